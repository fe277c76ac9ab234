"""From a reply's tokens to its text, piece by piece: whole characters, stop strings, tool calls."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct


class ReplyText:
    """Turns pieces of bytes into text and ends it before a stop string.

    A character that is not complete yet, and an end that may become a stop string, are held back.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = tuple(stops)
        self._pending = ""
        self.stopped = False
        """A stop string came; nothing follows it."""

    def feed(self, piece: bytes) -> str:
        """Return the text that is settled after one more piece."""
        return self._settle(self._decoder.decode(piece))

    def finish(self) -> str:
        """Return what was held back, once no piece follows."""
        text = self._settle(self._decoder.decode(b"", True))
        if self.stopped:
            return text
        text += self._pending
        self._pending = ""
        return text

    def _settle(self, text: str) -> str:
        if self.stopped:
            return ""
        if not self._stops:
            return text
        self._pending += text
        found = [place for stop in self._stops if (place := self._pending.find(stop)) >= 0]
        if found:
            settled, self._pending, self.stopped = self._pending[: min(found)], "", True
            return settled
        held = max(held_back(self._pending, stop) for stop in self._stops)
        cut = len(self._pending) - held
        settled, self._pending = self._pending[:cut], self._pending[cut:]
        return settled


def held_back(text: str, mark: str) -> int:
    """Return how many of the last characters of `text` may be the start of `mark`."""
    for length in range(min(len(mark) - 1, len(text)), 0, -1):
        if text.endswith(mark[:length]):
            return length
    return 0


class Call(Struct, frozen=True):
    """A tool call that the model wrote; `arguments` is a JSON text."""

    name: str
    arguments: str


class ToolCallReader:
    """Finds `<tool_call>{"name": ..., "arguments": ...}</tool_call>` in a reply (the Hermes and Qwen form).

    What is no proper call stays text.
    """

    OPEN = "<tool_call>"
    CLOSE = "</tool_call>"

    def __init__(self) -> None:
        self._pending = ""
        self._inside = False
        self._after_call = False

    def feed(self, text: str) -> list[str | Call]:
        """Return the text and the calls that are settled after more text."""
        self._pending += text
        found: list[str | Call] = []
        while True:
            mark = self.CLOSE if self._inside else self.OPEN
            before, met, after = self._pending.partition(mark)
            if not met:
                break
            self._pending = after
            self._add(found, before)
            self._inside = not self._inside
        if not self._inside:
            cut = len(self._pending) - held_back(self._pending, self.OPEN)
            self._add(found, self._pending[:cut])
            self._pending = self._pending[cut:]
        return found

    def finish(self) -> list[str | Call]:
        """Return what was held back; a call whose end is missing counts when it is complete otherwise."""
        found: list[str | Call] = []
        self._add(found, self._pending, closed=False)
        self._pending = ""
        return found

    def _add(self, found: list[str | Call], text: str, *, closed: bool = True) -> None:
        if self._inside:
            call = _call_of(text)
            if call is not None:
                self._after_call = True
                found.append(call)
            else:
                found.append(f"{self.OPEN}{text}{self.CLOSE if closed else ''}")
            return
        # The line ends that a model puts around its calls are no part of the text.
        text = text.lstrip() if self._after_call else text
        if text:
            self._after_call = False
            found.append(text)


def _call_of(text: str) -> Call | None:
    try:
        value: Any = msgspec.json.decode(text.strip())
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    arguments = value.get("arguments", value.get("parameters", {}))
    return Call(
        name=value["name"],
        arguments=arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode(),
    )
