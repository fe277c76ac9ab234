"""How many tokens of prompts a step may take, so that streams go on evenly meanwhile."""

from __future__ import annotations

SMOOTH_SECONDS = 0.1
"""How long a step may last on account of prompts while replies wait for their next token."""

CANCEL_SECONDS = 0.5
"""How long any step may last: a request that is given up leaves between two steps."""

FIRST = 64
"""Tokens of the first step, before anything was measured."""

LEAST = 16
"""A piece below makes a prompt take much longer, at little use for the streams."""

_SHARE = 0.2
"""The weight of a new measurement."""


class Pace:
    """What was measured lately of the two kinds of steps: those with prompts, and those without."""

    def __init__(self) -> None:
        self._prompt_seconds = 0.0
        self._step_seconds = 0.0
        self._step_tokens = 0.0

    @property
    def prompt_tokens_per_second(self) -> float:
        """How fast prompts are read, 0 before the first."""
        return 1 / self._prompt_seconds if self._prompt_seconds else 0.0

    @property
    def reply_tokens_per_second(self) -> float:
        """How fast all replies together grow, 0 before the first step of them."""
        return self._step_tokens / self._step_seconds if self._step_seconds else 0.0

    def piece(self, most: int, *, replies: bool) -> int:
        """Return how many tokens of prompts the next step takes; `replies` says that some wait for it."""
        if not self._prompt_seconds:
            return min(FIRST, most)
        seconds = SMOOTH_SECONDS if replies else CANCEL_SECONDS
        return min(most, max(LEAST, int(seconds / self._prompt_seconds)))

    def took(self, seconds: float, *, prompt: int, reply: int) -> None:
        """Take note of a step, with how many tokens of prompts and of replies it had."""
        if prompt == 0:
            self._step_seconds = _smooth(self._step_seconds, seconds)
            self._step_tokens = _smooth(self._step_tokens, reply)
        elif prompt >= LEAST:
            self._prompt_seconds = _smooth(self._prompt_seconds, seconds / (prompt + reply))


def _smooth(before: float, measured: float) -> float:
    return before + (measured - before) * _SHARE if before else measured
