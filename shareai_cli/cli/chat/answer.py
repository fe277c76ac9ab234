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
    """An answer that grows while it comes, from the moment when it is asked for."""

    def __init__(self, model: str, clock: Clock = time.monotonic) -> None:
        self.model = model
        self.request_id = ""
        self.target = ""
        self.attempts = 0
        self.finish_reason = ""
        self.tokens: Tokens | None = None
        self.account: RequestRow | None = None
        """What the gateway's accounts say of it, where they can be asked."""
        self.error: ShareAIError | None = None
        self.has_ended = False
        self.is_stopped = False
        """Whether the person had enough of it before it ended."""
        self.is_thinking = False
        """Whether reasoning has come, and no text yet."""
        self.characters = 0
        self.first_token_seconds: float | None = None
        self.total_seconds = 0.0
        self._clock = clock
        self._began = clock()
        self._pieces: list[str] = []
        self._on_text: OnText | None = None

    def __repr__(self) -> str:
        return f"<Answer of {self.model} [characters: {self.characters}]>"

    @property
    def text(self) -> str:
        """Everything that has come."""
        return "".join(self._pieces)

    @property
    def is_shown(self) -> bool:
        """Whether its text goes to somebody."""
        return self._on_text is not None

    def show_on(self, on_text: OnText) -> None:
        """Hand on what has come, and from now on what comes."""
        self._on_text = on_text
        on_text(self.text)

    def think(self) -> None:
        """Take note of reasoning, which is not shown."""
        self.is_thinking = not self._pieces

    def add(self, text: str) -> None:
        """Take in the next piece of text."""
        if self.first_token_seconds is None:
            self.first_token_seconds = self.elapsed()
        self.is_thinking = False
        self.characters += len(text)
        self._pieces.append(text)
        if self._on_text is not None:
            self._on_text(text)

    def end(self) -> None:
        """Take note that nothing more comes."""
        self.has_ended = True
        self.total_seconds = self.elapsed()

    def stop(self) -> None:
        """Take note that no more of it is wanted; of one that has ended there was no more."""
        if not self.has_ended:
            self.is_stopped = True
            self.end()

    def elapsed(self) -> float:
        """Return the seconds since it was asked for."""
        return self._clock() - self._began
