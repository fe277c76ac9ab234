"""One `llama_context` with a unified KV cache, shared by many sequences: used by one thread.

Every call that would end the process when it is given the wrong thing is checked before it is made.
Reference: llama.h of llama.cpp.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from typing import Any

import llama_cpp
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shareai_cli.errors import EngineFailed, ModelUnavailable
from shareai_cli.llama.batching.cache import Change, Copy
from shareai_cli.llama.bindings import Library, Model

_DONE = 0
_FULL = 1


class Piece(Struct, frozen=True, gc=False):
    """Tokens of one sequence that are evaluated in one step, the first at `position`."""

    sequence: int
    position: int
    tokens: Sequence[int]
    wants_logits: bool
    """Whether a token is drawn after the last one."""


class Context:
    """The cache, and the logits of the last `decode`."""

    def __init__(
        self,
        library: Library,
        model: Model,
        *,
        cells: int,
        sequences: int,
        threads: int,
        batch: int = 512,
        embeddings: bool = False,
        flash_attention: bool | None = None,
    ) -> None:
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = cells
        parameters.n_batch = parameters.n_ubatch = min(batch, cells)
        # With one ubatch a decode either happened as a whole or not at all.
        parameters.n_seq_max = parameters.n_outputs_max = sequences
        parameters.kv_unified = True
        if flash_attention is not None:
            parameters.flash_attn_type = (
                llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
                if flash_attention
                else llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
            )
        if embeddings:
            parameters.embeddings = True
            # What the file does not say: the mean over a text.
            parameters.pooling_type = model.pooling or llama_cpp.LLAMA_POOLING_TYPE_MEAN
            # Each token counts, and has a row.
            parameters.n_outputs_max = parameters.n_batch
        self._every_row = embeddings
        parameters.n_threads = parameters.n_threads_batch = threads
        library.take_errors()
        self._model = model
        self._pointer: Any = llama_cpp.llama_init_from_model(model.pointer, parameters)
        if not self._pointer:
            why = next(iter(library.take_errors()), "llama.cpp does not say why")
            raise ModelUnavailable(f"llama.cpp cannot make a context of {cells} tokens: {why.rstrip('.')}.")
        self._memory: Any = llama_cpp.llama_get_memory(self._pointer)
        self.cells = int(llama_cpp.llama_n_ctx(self._pointer))
        self.sequences = int(llama_cpp.llama_n_seq_max(self._pointer))
        # A batch larger than this one ends the process.
        self.batch = int(llama_cpp.llama_n_batch(self._pointer))
        self._buffers = _Buffers(self.batch)
        self._rows: dict[int, int] = {}
        self._row_type = ctypes.c_float * model.vocabulary_size

    def __repr__(self) -> str:
        return f"<Context of {self.cells} cells for {self.sequences} sequences>"

    @property
    def pointer(self) -> Any:
        """The `llama_context *`."""
        return self._pointer

    def decode(self, pieces: Sequence[Piece]) -> bool:
        """Evaluate pieces of different sequences together; False when the cache has no room for them.

        `EngineFailed` when llama.cpp cannot do it. Either way the sequences are as they were before.
        """
        self._rows = {}
        rows = self._fill(pieces)
        result = int(llama_cpp.llama_decode(self._pointer, self._buffers.batch))
        if result == _DONE:
            self._rows = rows
            return True
        for piece in pieces:
            llama_cpp.llama_memory_seq_rm(self._memory, piece.sequence, piece.position, -1)
        if result == _FULL:
            return False
        raise EngineFailed(f"llama.cpp stopped with {result} while it evaluated the tokens.")

    def row(self, sequence: int) -> int:
        """Return the row of a sequence's logits; `EngineFailed` if the last `decode` made none."""
        row = self._rows.get(sequence)
        if row is None:
            raise EngineFailed("A token was to be drawn where nothing was computed.")
        return row

    def logits(self, sequence: int) -> NDArray[np.float32]:
        """Return a sequence's logits: llama.cpp's own memory, until the next `decode`."""
        found = llama_cpp.llama_get_logits_ith(self._pointer, self.row(sequence))
        if not found:
            raise EngineFailed("llama.cpp has no logits for a token that it evaluated.")
        row: Any = self._row_type.from_address(ctypes.addressof(found.contents))
        logits: NDArray[np.float32] = np.frombuffer(row, dtype=np.float32)
        return logits

    def apply(self, changes: Iterable[Change]) -> None:
        """Carry out what the cache's accounts decided."""
        for change in changes:
            if isinstance(change, Copy):
                llama_cpp.llama_memory_seq_cp(self._memory, change.source, change.target, 0, change.count)
            else:
                llama_cpp.llama_memory_seq_rm(self._memory, change.sequence, -1, -1)

    def clear(self) -> None:
        """Forget all sequences."""
        if self._memory:
            llama_cpp.llama_memory_clear(self._memory, True)

    def length(self, sequence: int) -> int:
        """Return how many tokens of a sequence llama.cpp holds."""
        return int(llama_cpp.llama_memory_seq_pos_max(self._memory, sequence)) + 1

    def close(self) -> None:
        """Free the context."""
        if self._pointer:
            llama_cpp.llama_free(self._pointer)
            self._pointer = None

    def _fill(self, pieces: Sequence[Piece]) -> dict[int, int]:
        """Write the batch; return the row of each sequence that wants logits."""
        buffers, rows, start = self._buffers, {}, 0
        for piece in pieces:
            end = start + len(piece.tokens)
            if end > self.batch or not piece.tokens or not 0 <= piece.sequence < self.sequences:
                raise EngineFailed("A step was planned that does not fit llama.cpp's batch.")
            buffers.tokens[start:end] = piece.tokens
            buffers.positions[start:end] = range(piece.position, piece.position + len(piece.tokens))
            buffers.sequences[start:end] = piece.sequence
            buffers.wanted[start:end] = self._every_row
            if piece.wants_logits:
                buffers.wanted[end - 1] = 1
                rows[piece.sequence] = end - 1
            start = end
        if len(rows) > self.sequences:
            raise EngineFailed("A step was planned that wants too many logits.")
        buffers.batch.n_tokens = start
        return rows


class _Buffers:
    """The arrays of a `llama_batch`, each token in one sequence."""

    def __init__(self, size: int) -> None:
        self.tokens = np.zeros(size, dtype=np.int32)
        self.positions = np.zeros(size, dtype=np.int32)
        self.sequences = np.zeros(size, dtype=np.int32)
        self.wanted = np.zeros(size, dtype=np.int8)
        self._counts = np.ones(size, dtype=np.int32)
        first = self.sequences.ctypes.data
        self._places = np.arange(first, first + 4 * size, 4, dtype=np.uintp)
        self.batch = llama_cpp.llama_batch(
            n_tokens=0,
            token=_pointer(self.tokens, ctypes.c_int32),
            pos=_pointer(self.positions, ctypes.c_int32),
            n_seq_id=_pointer(self._counts, ctypes.c_int32),
            seq_id=_pointer(self._places, ctypes.POINTER(ctypes.c_int32)),
            logits=_pointer(self.wanted, ctypes.c_int8),
        )


def _pointer(array: NDArray[Any], kind: Any) -> Any:
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))
