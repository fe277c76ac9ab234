"""How often a model's process has died in a row, and when that is often enough."""

from __future__ import annotations

MOST = 3
"""Deaths in a row after which a model is left alone: a fourth start would tell nothing new."""

LONG_LIFE = 300.0
"""Seconds of service after which a death stands by itself."""


class Deaths:
    """Counts them."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def __repr__(self) -> str:
        return f"<Deaths {self._in_a_row} of {MOST}>"

    @property
    def are_enough(self) -> bool:
        """Whether the model is to be left alone until somebody asks for it to be tried again."""
        return self._in_a_row >= MOST

    def add(self, lived: float) -> None:
        """Take note of a death after `lived` seconds of service."""
        self._in_a_row = 1 if lived >= LONG_LIFE else self._in_a_row + 1

    def forget(self) -> None:
        """Begin anew."""
        self._in_a_row = 0
