"""llama.cpp's C interface, as far as this package uses it, with every call that can end the process guarded.

The high-level `llama_cpp.Llama` is left aside: it detokenises the whole reply at every token, cannot be
stopped while it reads a prompt, and fails on pieces longer than 32 bytes. Reference: llama.h of llama.cpp.
"""

from __future__ import annotations

import ctypes
import sys
from collections import deque
from collections.abc import Sequence
from typing import Any

import llama_cpp
from msgspec import Struct

from shareai_cli.errors import EngineFailed, ModelUnavailable

PENALTY_WINDOW = 1024
"""How many of the last tokens the frequency and presence penalties look at."""

_LOG_ERROR = 4
"""`GGML_LOG_LEVEL_ERROR` (ggml.h)."""


class Sampling(Struct, frozen=True):
    """How a token is drawn from the logits; the defaults are llama.cpp's own."""

    temperature: float = 0.8
    """0 takes the likeliest token."""
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.05
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int = 0
    """32 bits."""


class Library:
    """llama.cpp itself: silenced, checked and initialised once in a process.

    Keeps the log callback alive (a collected one would be called all the same) and the last error lines.
    """

    def __init__(self) -> None:
        self._errors: deque[str] = deque(maxlen=8)
        self._callback = llama_cpp.llama_log_callback(self._log)
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))
        _check_structs()
        llama_cpp.llama_backend_init()

    def _log(self, level: int, text: bytes, _user: ctypes.c_void_p) -> None:
        if level == _LOG_ERROR:
            self._errors.append(text.decode("utf-8", "replace").strip())

    def take_errors(self) -> list[str]:
        """Return the error lines since the last call."""
        lines = list(self._errors)
        self._errors.clear()
        return lines


def _check_structs() -> None:
    """Stop where llama-cpp-python's structs do not fit the library: defaults are not where they belong."""
    model = llama_cpp.llama_model_default_params()
    context = llama_cpp.llama_context_default_params()
    fits = (
        (model.use_extra_bufts, model.vocab_only, model.check_tensors) == (True, False, False)
        and (context.n_ctx, context.n_batch, context.n_seq_max) == (512, 2048, 1)
        and (context.type_k, context.type_v) == (1, 1)
        and (context.yarn_beta_fast, context.embeddings, context.offload_kqv) == (-1.0, False, True)
    )
    if not fits:
        raise ModelUnavailable(
            f"llama-cpp-python {llama_cpp.__version__} does not fit the llama.cpp library that it found.",
            hint="Reinstall it: pip install --force-reinstall --no-cache-dir 'llama-cpp-python<0.4'",
        )


class Model:
    """One loaded GGUF: its weights and its vocabulary. The vocabulary's calls may come from any thread."""

    def __init__(self, library: Library, path: str, *, gpu_layers: int = -1) -> None:
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = gpu_layers
        library.take_errors()
        self._pointer: Any = llama_cpp.llama_model_load_from_file(path.encode(), parameters)
        if not self._pointer:
            why = next(iter(library.take_errors()), "llama.cpp does not say why")
            raise ModelUnavailable(f"llama.cpp cannot load {path}: {why.rstrip('.')}.")
        self._vocabulary: Any = llama_cpp.llama_model_get_vocab(self._pointer)
        self.vocabulary_size = int(llama_cpp.llama_vocab_n_tokens(self._vocabulary))
        self.trained_context = int(llama_cpp.llama_model_n_ctx_train(self._pointer))
        self.size = int(llama_cpp.llama_model_size(self._pointer))
        self.begin = int(llama_cpp.llama_vocab_bos(self._vocabulary))
        self.end = int(llama_cpp.llama_vocab_eos(self._vocabulary))
        self.adds_begin = bool(llama_cpp.llama_vocab_get_add_bos(self._vocabulary))

    def __repr__(self) -> str:
        return f"<Model {self.vocabulary_size} tokens, trained on {self.trained_context}, {self.size} bytes>"

    @property
    def pointer(self) -> Any:
        """The `llama_model *`."""
        return self._pointer

    @property
    def cache_bytes_per_token(self) -> int:
        """Return about how many bytes of KV cache a token takes, at 16 bits a value."""
        heads = max(1, int(llama_cpp.llama_model_n_head(self._pointer)))
        shared = int(llama_cpp.llama_model_n_head_kv(self._pointer)) or heads
        width = int(llama_cpp.llama_model_n_embd(self._pointer)) * shared // heads
        return int(llama_cpp.llama_model_n_layer(self._pointer)) * width * 2 * 2

    def template(self) -> str | None:
        """Return the chat template (Jinja) that the file holds."""
        found = llama_cpp.llama_model_chat_template(self._pointer, None)
        return found.decode("utf-8", "replace") if found else None

    def text_of(self, token: int) -> str:
        """Return a token's text as the vocabulary writes it, "" for no token."""
        if not 0 <= token < self.vocabulary_size:
            return ""
        return bytes(llama_cpp.llama_vocab_get_text(self._vocabulary, token)).decode("utf-8", "replace")

    def ends(self, token: int) -> bool:
        """Return whether a token ends a reply."""
        return bool(llama_cpp.llama_vocab_is_eog(self._vocabulary, token))

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a prompt from a chat template, with the begin token if the model wants it."""
        data = text.encode("utf-8", "replace")
        room = len(data) // 2 + 16
        while True:
            tokens = (llama_cpp.llama_token * room)()
            count = llama_cpp.llama_tokenize(self._vocabulary, data, len(data), tokens, room, False, True)
            if count >= 0:
                break
            if -count <= room:
                raise EngineFailed("llama.cpp cannot turn the messages into tokens.")
            room = -count
        found = list(tokens[:count])
        if self.adds_begin and self.begin >= 0 and found[:1] != [self.begin]:
            found.insert(0, self.begin)
        return found

    def piece(self, token: int) -> bytes:
        """Return a token's bytes in the reply; control tokens have none."""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = llama_cpp.llama_token_to_piece(self._vocabulary, token, buffer, size, 0, False)
            if count >= 0:
                return buffer.raw[:count]
            size = -count

    def close(self) -> None:
        """Free the weights; the contexts made of them have to be closed before."""
        if self._pointer:
            llama_cpp.llama_model_free(self._pointer)
            self._pointer = None


class Context:
    """One sequence of tokens being evaluated: used by one thread, except for `interrupt`."""

    def __init__(self, library: Library, model: Model, *, size: int, threads: int, batch: int = 512) -> None:
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = size
        parameters.n_batch = parameters.n_ubatch = min(batch, size)
        parameters.n_threads = parameters.n_threads_batch = threads
        library.take_errors()
        self._model = model
        self._pointer: Any = llama_cpp.llama_init_from_model(model.pointer, parameters)
        if not self._pointer:
            why = next(iter(library.take_errors()), "llama.cpp does not say why")
            raise ModelUnavailable(f"llama.cpp cannot make a context of {size} tokens: {why.rstrip('.')}.")
        self._memory: Any = llama_cpp.llama_get_memory(self._pointer)
        self.size = int(llama_cpp.llama_n_ctx(self._pointer))
        # A batch larger than this one ends the process.
        self.batch = int(llama_cpp.llama_n_batch(self._pointer))
        self._interrupted = ctypes.create_string_buffer(2)
        self._abort_callback = _abort_when_set()
        if self._abort_callback is not None:
            llama_cpp.llama_set_abort_callback(
                self._pointer, self._abort_callback, ctypes.addressof(self._interrupted)
            )

    def interrupt(self, wanted: bool) -> None:
        """Make a running `decode` end soon, or (False) let the next ones run. From any thread."""
        self._interrupted[0] = b"\x01" if wanted else b"\x00"

    @property
    def interrupted(self) -> bool:
        """Whether `interrupt` asks for an end."""
        return self._interrupted[0] != b"\x00"

    def decode(self, tokens: Sequence[int]) -> bool:
        """Evaluate tokens after those before; False when interrupted. `EngineFailed` clears the context."""
        for start in range(0, len(tokens), self.batch):
            if self.interrupted:
                return False
            part = tokens[start : start + self.batch]
            array = (llama_cpp.llama_token * len(part))(*part)
            result = llama_cpp.llama_decode(self._pointer, llama_cpp.llama_batch_get_one(array, len(part)))
            if result == 2:
                return False
            if result != 0:
                self.clear()
                raise EngineFailed(f"llama.cpp stopped with {result} while it evaluated the tokens.")
        return True

    def keep(self, count: int) -> bool:
        """Forget all after the first `count` tokens; False where all had to be forgotten."""
        if count and llama_cpp.llama_memory_seq_rm(self._memory, 0, count, -1):
            return True
        self.clear()
        return False

    def clear(self) -> None:
        """Forget all tokens."""
        llama_cpp.llama_memory_clear(self._memory, True)

    def sampler(self, sampling: Sampling) -> Sampler:
        """Return a sampler over this context's last logits; it has to be closed."""
        return Sampler(self._pointer, self._model.vocabulary_size, sampling)

    def close(self) -> None:
        """Free the context."""
        if self._pointer:
            llama_cpp.llama_free(self._pointer)
            self._pointer = None


class Sampler:
    """A chain of llama.cpp's samplers for one reply."""

    def __init__(self, context: Any, vocabulary_size: int, sampling: Sampling) -> None:
        self._context = context
        self._chain: Any = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        if not self._chain:
            raise EngineFailed("llama.cpp cannot make a sampler.")
        try:
            for sampler in _samplers(vocabulary_size, sampling):
                # A refused sampler is a NULL pointer object; adding it would end the process.
                if not sampler:
                    raise EngineFailed("llama.cpp refuses these sampling parameters.")
                llama_cpp.llama_sampler_chain_add(self._chain, sampler)
        except EngineFailed:
            self.close()
            raise

    def next(self) -> int:
        """Draw the token after those evaluated; only after a `decode` that returned True."""
        return int(llama_cpp.llama_sampler_sample(self._chain, self._context, -1))

    def close(self) -> None:
        """Free the chain and its samplers."""
        if self._chain:
            llama_cpp.llama_sampler_free(self._chain)
            self._chain = None


def _samplers(vocabulary_size: int, sampling: Sampling) -> list[Any]:
    chosen: list[Any] = []
    if sampling.frequency_penalty or sampling.presence_penalty:
        chosen.append(
            llama_cpp.llama_sampler_init_penalties(
                vocabulary_size, PENALTY_WINDOW, 1.0, sampling.frequency_penalty, sampling.presence_penalty
            )
        )
    if sampling.temperature <= 0:
        return [*chosen, llama_cpp.llama_sampler_init_greedy()]
    return [
        *chosen,
        llama_cpp.llama_sampler_init_top_k(sampling.top_k),
        llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1),
        llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1),
        llama_cpp.llama_sampler_init_temp(sampling.temperature),
        llama_cpp.llama_sampler_init_dist(sampling.seed),
    ]


def _abort_when_set() -> Any:
    """Return a C function that is true for a pointer to a byte other than zero, None where there is none.

    llama.cpp calls it at every node of its graph: a Python function would need the GIL each time, and libc's
    `strlen`, whose result has a true lowest byte for a string of one character, does the same without.
    """
    if sys.platform == "win32":
        return None
    function = ctypes.CDLL(None).strlen
    return ctypes.cast(function, llama_cpp.ggml_abort_callback)
