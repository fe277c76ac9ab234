"""llama.cpp's library and models, as far as this package uses them, with fatal calls guarded.

The high-level `llama_cpp.Llama` is left aside: it detokenises the whole reply at every token, cannot be
stopped while it reads a prompt, and fails on pieces longer than 32 bytes. Reference: llama.h of llama.cpp.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import llama_cpp

from shareai_cli.errors import EngineFailed, ModelUnavailable

_LOG_ERROR = 4
"""`GGML_LOG_LEVEL_ERROR` (ggml.h)."""


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
        self.width = int(llama_cpp.llama_model_n_embd(self._pointer))
        """Numbers of an embedding."""
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
    def vocabulary(self) -> Any:
        """The `llama_vocab *`."""
        return self._vocabulary

    @property
    def shares_beginnings(self) -> bool:
        """Whether a sequence can go on from a part of another's: not with recurrence or a sliding window."""
        return not (
            llama_cpp.llama_model_is_recurrent(self._pointer)
            or llama_cpp.llama_model_is_hybrid(self._pointer)
            or llama_cpp.llama_model_n_swa(self._pointer) > 0
        )

    @property
    def pooling(self) -> int:
        """How the file wants a text's embedding to be made of its tokens', 0 where it does not say."""
        found = self._entry(f"{self._entry('general.architecture')}.pooling_type")
        return int(found) if found.isdecimal() else 0

    @property
    def generates(self) -> bool:
        """Whether it makes text: encoders, and what looks at the tokens that follow, make embeddings."""
        architecture = self._entry("general.architecture")
        return (
            bool(llama_cpp.llama_model_has_decoder(self._pointer))
            and not llama_cpp.llama_model_has_encoder(self._pointer)
            and self._entry(f"{architecture}.attention.causal") != "false"
        )

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

    def _entry(self, key: str) -> str:
        """Return a value of the file's header as text, "" for none."""
        buffer = ctypes.create_string_buffer(256)
        size = llama_cpp.llama_model_meta_val_str(self._pointer, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if size >= 0 else ""

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

    @cached_property
    def silent(self) -> list[int]:
        """The tokens that do not end a reply, have a text, and show none of it in a reply."""
        hidden = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
        attributes = llama_cpp.llama_vocab_get_attr
        found = (
            token for token in range(self.vocabulary_size) if attributes(self._vocabulary, token) & hidden
        )
        return [token for token in found if not self.ends(token)]

    def piece(self, token: int, *, shown: bool = False) -> bytes:
        """Return a token's bytes in the reply; control tokens have none unless they are `shown`."""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = llama_cpp.llama_token_to_piece(self._vocabulary, token, buffer, size, 0, shown)
            if count >= 0:
                return buffer.raw[:count]
            size = -count

    def text(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens; control tokens have none."""
        return b"".join(map(self.piece, tokens)).decode("utf-8", "replace")

    def close(self) -> None:
        """Free the weights; the contexts made of them have to be closed before."""
        if self._pointer:
            llama_cpp.llama_model_free(self._pointer)
            self._pointer = None
