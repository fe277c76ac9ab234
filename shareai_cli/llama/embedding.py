"""Embeddings: many texts computed together, in a context of their own that is made for the first of them."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from shareai_cli.errors import EngineBusy, EngineFailed
from shareai_cli.llama.batching.context import Context, Piece
from shareai_cli.llama.bindings import Library, Model

MOST_TOKENS = 4096
"""Tokens of one step, and so of the longest text: a text is computed as a whole."""

TEXTS = 32
"""Texts of one step."""

QUEUE = 64
"""Requests that wait at most."""

Vector = NDArray[np.float32]


class Embedder:
    """Computes embeddings in a thread of its own, one request after the other."""

    def __init__(self, library: Library, model: Model, *, threads: int) -> None:
        self._library = library
        self._model = model
        self._threads = threads
        self._context: Context | None = None
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embeddings")
        self.longest = max(256, min(MOST_TOKENS, model.trained_context or MOST_TOKENS))
        """Tokens that one text may have."""

    def __repr__(self) -> str:
        return f"<Embedder of {self._model!r}, {self._waiting} waiting>"

    async def embed(self, texts: Sequence[Sequence[int]]) -> list[Vector]:
        """Return a vector of length 1 for each text; `EngineBusy` when too many wait.

        Texts have at least one token and at most `longest`.
        """
        if self._waiting >= QUEUE:
            raise EngineBusy(f"{QUEUE} requests wait for embeddings of this model already.", retry_after=1.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._compute, texts)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Free the context, after what is being computed."""
        self._thread.shutdown(cancel_futures=True)
        if self._context is not None:
            self._context.close()

    def _compute(self, texts: Sequence[Sequence[int]]) -> list[Vector]:
        if self._context is None:
            self._context = Context(
                self._library,
                self._model,
                cells=self.longest,
                sequences=TEXTS,
                threads=self._threads,
                batch=self.longest,
                embeddings=True,
            )
        context = self._context
        return [vector for step in steps(texts, context.batch) for vector in self._step(context, step)]

    def _step(self, context: Context, texts: Sequence[Sequence[int]]) -> list[Vector]:
        context.clear()
        pieces = [Piece(number, 0, tokens, wants_logits=True) for number, tokens in enumerate(texts)]
        if not context.decode(pieces):
            raise EngineFailed("llama.cpp has no room for the texts to embed.")
        return [self._vector(context, number) for number in range(len(texts))]

    def _vector(self, context: Context, sequence: int) -> Vector:
        found: Any = llama_cpp.llama_get_embeddings_seq(context.pointer, sequence)
        if not found:
            raise EngineFailed("llama.cpp has no embedding for a text that it computed.")
        row: Any = (ctypes.c_float * self._model.width).from_address(ctypes.addressof(found.contents))
        return normalised(np.frombuffer(row, dtype=np.float32))


def normalised(vector: Vector) -> Vector:
    """Return a vector of the same direction and the length 1, itself where it has none."""
    length = float(np.linalg.norm(vector))
    return np.asarray(vector / np.float32(length or 1.0), dtype=np.float32)


def steps(texts: Sequence[Sequence[int]], most: int) -> Iterator[list[Sequence[int]]]:
    """Yield texts that are computed together, in their order: at most `TEXTS`, and `most` tokens."""
    step: list[Sequence[int]] = []
    tokens = 0
    for text in texts:
        if step and (len(step) == TEXTS or tokens + len(text) > most):
            yield step
            step, tokens = [], 0
        step.append(text)
        tokens += len(text)
    if step:
        yield step
