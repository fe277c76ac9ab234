"""What was said so far, and how a model is asked the next question."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from shareai_cli.cli.chat.answer import Answer


class Options(Struct, frozen=True):
    """How every question is to be answered."""

    max_tokens: int | None = None
    temperature: float | None = None


class Conversation:
    """Questions with their answers; a question that got no answer is no part of it."""

    def __init__(self, options: Options, system: str | None = None) -> None:
        self.system = system
        self.question = ""
        """What was asked last."""
        self._is_answered = False
        self._options = options
        self._turns: list[tuple[str, str]] = []

    def __repr__(self) -> str:
        return f"<Conversation [turns: {len(self._turns)}]>"

    def ask(self, question: str) -> None:
        """Go on with a question."""
        self.question = question
        self._is_answered = False

    def answer(self, text: str) -> None:
        """Take in the answer to it, which may have been stopped on its way."""
        if text:
            self._turns.append((self.question, text))
            self._is_answered = True

    def take_back(self) -> None:
        """Forget the answer to the last question, which is asked again."""
        if self._is_answered:
            self._turns.pop()
            self._is_answered = False

    def clear(self) -> None:
        """Forget what was said; the system prompt stays."""
        self._turns.clear()
        self.ask("")

    def body(self, model: str) -> dict[str, Any]:
        """Return the body of the request that asks the last question."""
        messages = [{"role": "system", "content": self.system}] if self.system else []
        for question, answer in self._turns:
            messages.append({"role": "user", "content": question})
            messages.append({"role": "assistant", "content": answer})
        messages.append({"role": "user", "content": self.question})
        body = {
            "model": model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": self._options.max_tokens,
            "temperature": self._options.temperature,
        }
        return {name: value for name, value in body.items() if value is not None}


class Voice:
    """A model, what was said with it, and its latest answer."""

    def __init__(self, model: str, conversation: Conversation) -> None:
        self.model = model
        self.conversation = conversation
        self.answer = Answer(model)

    def __repr__(self) -> str:
        return f"<Voice {self.model} {self.conversation!r}>"

    def begin(self) -> None:
        """Make room for the answer to the last question."""
        self.answer = Answer(self.model)
