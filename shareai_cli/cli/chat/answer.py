"""One answer of a model's: what has come of it, and what is known of how it came about."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct

from shareai_cli.errors import ShareAIError
from shareai_cli.types import Clock, RequestRow

OnText = Callable[[str], None]
"""Told of each piece of text as it comes."""


class Tokens(Struct, frozen=True):
    """What the model read and wrote, as the stream's `usage` counts it."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Answer:
    """An answer that grows while it comes; `began` is when it was asked for, by `clock`."""

    def __init__(self, model: str, on_text: OnText, clock: Clock = time.monotonic) -> None:
        self.model = model
        self.request_id = ""
        self.target = ""
        self.attempts = 0
        self.finish_reason = ""
        self.tokens: Tokens | None = None
        self.account: RequestRow | None = None
        """What the gateway's accounts say of it, where they can be asked."""
        self.error: ShareAIError | None = None
        self.is_stopped = False
        """Whether the person had enough of it."""
        self.thinks = False
        """Whether reasoning has come, and no text yet."""
        self.first_token_seconds: float | None = None
        self.total_seconds = 0.0
        self.began = clock()
        self._clock = clock
        self._on_text = on_text
        self._pieces: list[str] = []
        self.characters = 0

    def __repr__(self) -> str:
        return f"<Answer of {self.model} [characters: {self.characters}]>"

    @property
    def text(self) -> str:
        """Everything that has come."""
        return "".join(self._pieces)

    def think(self) -> None:
        """Take note of reasoning, which is not shown."""
        self.thinks = not self._pieces

    def add(self, text: str) -> None:
        """Take in the next piece of text."""
        if self.first_token_seconds is None:
            self.first_token_seconds = self.elapsed()
        self.thinks = False
        self.characters += len(text)
        self._pieces.append(text)
        self._on_text(text)

    def end(self) -> None:
        """Take note of the time: nothing more comes."""
        self.total_seconds = self.elapsed()

    def elapsed(self) -> float:
        """Return the seconds since it was asked for."""
        return self._clock() - self.began
