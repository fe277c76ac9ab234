"""Answers of models as the screens know them; who opens the dashboard hands in what asks."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Reply(Struct, frozen=True):
    """An answer as far as it has come. Durations in microseconds, money in nano-dollars."""

    text: str = ""
    target: str = ""
    """`provider/model` of who answers; empty as long as that is not known."""
    attempts: int = 0
    is_thinking: bool = False
    has_ended: bool = False
    is_stopped: bool = False
    error: str = ""
    ending: str = ""
    """Why it ended, where that is not that all was said."""
    first_us: int | None = None
    elapsed_us: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_nano: int | None = None
    is_cost_known: bool = False
    """Whether the accounts were asked what it cost; they may not know, either."""
    is_estimate: bool = False


class Voice(Protocol):
    """One model that is asked one question."""

    model: str

    def now(self) -> Reply:
        """Return the answer as it stands."""

    async def run(self) -> None:
        """Ask, to the end of the answer and of its account; what goes wrong is in the answer."""


class Talking(Protocol):
    """What asks models."""

    def voice(self, model: str, prompt: str) -> Voice:
        """Return one who can be asked."""
