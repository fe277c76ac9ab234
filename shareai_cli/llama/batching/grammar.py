"""A grammar that a reply keeps to: a drawn token is checked, and drawn again among the admitted if need be.

llama.cpp ends the process over a token that its grammar does not admit: none is given to it unchecked. To
look at the whole vocabulary costs tens of milliseconds where it is large, and is the last resort.
"""

from __future__ import annotations

import ctypes
from collections.abc import Collection
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from shareai_cli.errors import EngineFailed
from shareai_cli.llama.bindings import Model

FEW = 1024
"""The likeliest tokens, which are looked at before all others."""

_CANDIDATE = np.dtype([("id", "<i4"), ("logit", "<f4"), ("p", "<f4")])
"""`llama_token_data` (llama.h)."""


class Candidates:
    """Tokens with their logits, as llama.cpp's samplers take them."""

    def __init__(self, tokens: NDArray[np.intp], logits: NDArray[np.float32]) -> None:
        self._entries = np.zeros(len(tokens), dtype=_CANDIDATE)
        self._entries["id"] = tokens
        self._entries["logit"] = logits
        first = ctypes.cast(self._entries.ctypes.data, llama_cpp.llama_token_data_p)
        self._array = llama_cpp.llama_token_data_array(first, len(tokens), -1, False)

    @property
    def pointer(self) -> Any:
        """The `llama_token_data_array *`."""
        return ctypes.byref(self._array)

    @property
    def admitted(self) -> bool:
        """Whether any of them is left."""
        return bool(np.isfinite(self._entries["logit"]).any())

    def likeliest(self) -> int:
        """Return the token with the greatest logit."""
        return int(self._entries["id"][self._entries["logit"].argmax()])

    def drawn(self, chain: Any) -> int:
        """Return the token that a chain of samplers draws."""
        llama_cpp.llama_sampler_apply(chain, self.pointer)
        if not 0 <= self._array.selected < self._array.size:
            raise EngineFailed("llama.cpp drew no token.")
        return int(self._array.data[self._array.selected].id)


class Grammar:
    """Where a reply stands in a grammar of GBNF; it has to be closed."""

    def __init__(self, model: Model, text: str, shown: Collection[int] = ()) -> None:
        # llama.cpp takes a control token for its text, which a reply does not show but for a few of them.
        self._silent = np.array([token for token in model.silent if token not in shown], dtype=np.intp)
        # A refused grammar is a NULL pointer object, and an empty text one that admits everything.
        self._pointer: Any = llama_cpp.llama_sampler_init_grammar(model.vocabulary, text.encode(), b"root")
        if not text.strip() or not self._pointer:
            raise EngineFailed("llama.cpp refuses the grammar of this request.")

    def admits(self, token: int, logits: NDArray[np.float32]) -> bool:
        """Return whether a token may come next."""
        return token not in self._silent and self._restrict(np.array([token]), logits).admitted

    def admitted(self, logits: NDArray[np.float32]) -> Candidates:
        """Return the tokens that may come next; `EngineFailed` where there are none."""
        usable = logits.copy()
        usable[self._silent] = -np.inf
        if len(logits) > FEW:
            candidates = self._restrict(np.argpartition(usable, -FEW)[-FEW:], usable)
            if candidates.admitted:
                return candidates
        candidates = self._restrict(np.arange(len(usable)), usable)
        if not candidates.admitted:
            raise EngineFailed("No token of this model can continue what its reply has to be.")
        return candidates

    def accept(self, token: int) -> None:
        """Go on with a token that is admitted."""
        llama_cpp.llama_sampler_accept(self._pointer, token)

    def close(self) -> None:
        """Free it."""
        if self._pointer:
            llama_cpp.llama_sampler_free(self._pointer)
            self._pointer = None

    def _restrict(self, tokens: NDArray[np.intp], logits: NDArray[np.float32]) -> Candidates:
        candidates = Candidates(tokens, logits[tokens])
        llama_cpp.llama_sampler_apply(self._pointer, candidates.pointer)
        return candidates
