"""Biases and penalties: they concern few tokens, and are put on the logits of these alone.

llama.cpp's own samplers for them look at every token of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

BANNED = np.float32(-1e30)
"""The logit of a token that must not come; finite, so that one can be drawn where all are banned."""

BAN = -100.0
"""The bias that means a ban, as in OpenAI's interface."""


class Bias:
    """What is added to some tokens' logits."""

    def __init__(self, pairs: Sequence[tuple[int, float]]) -> None:
        added = [(token, value) for token, value in pairs if value > BAN]
        self._tokens = np.array([token for token, _ in added], dtype=np.intp)
        self._values = np.array([value for _, value in added], dtype=np.float32)
        self._banned = np.array([token for token, value in pairs if value <= BAN], dtype=np.intp)

    def apply(self, logits: NDArray[np.float32]) -> None:
        """Add them."""
        logits[self._tokens] += self._values
        logits[self._banned] = BANNED


class Penalties:
    """The tokens so far, each once, and how often each is in the reply."""

    def __init__(self, repeat: float, frequency: float, presence: float, *, prompt: Iterable[int]) -> None:
        self._repeat = np.float32(repeat)
        self._frequency = np.float32(frequency)
        self._presence = np.float32(presence)
        seen = list(dict.fromkeys(prompt)) if repeat != 1 else []
        self._places = {token: place for place, token in enumerate(seen)}
        self._tokens = np.array(seen, dtype=np.intp)
        self._counts = np.zeros(len(seen), dtype=np.float32)

    def add(self, token: int) -> None:
        """Count a token of the reply."""
        place = self._places.setdefault(token, len(self._places))
        if place == len(self._tokens):
            room = max(64, place)
            self._tokens = np.concatenate([self._tokens, np.full(room, token, dtype=np.intp)])
            self._counts = np.concatenate([self._counts, np.zeros(room, dtype=np.float32)])
        self._tokens[place] = token
        self._counts[place] += 1

    def apply(self, logits: NDArray[np.float32]) -> None:
        """Lower the logits of these tokens, by the formulas of llama.cpp and OpenAI."""
        known = len(self._places)
        tokens, counts = self._tokens[:known], self._counts[:known]
        found = logits[tokens]
        if self._repeat != 1:
            found = np.where(found > 0, found / self._repeat, found * self._repeat)
        logits[tokens] = found - counts * self._frequency - (counts > 0) * self._presence
