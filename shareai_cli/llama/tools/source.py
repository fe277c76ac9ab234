"""A reply's text as it comes, read by generators that yield pieces, and None where they need more text.

So the reading of a format is written as if the whole text was there, and is right wherever a token ends.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from shareai_cli.llama.text import held_back
from shareai_cli.llama.tools.pieces import Arguments, Piece

Result = TypeVar("Result")
Reading = Generator[Piece | None, None, Result]

MOST_HELD = 1 << 20
"""Characters of one piece that is looked at as a whole."""


class Source:
    """The text that came and is not read yet."""

    def __init__(self) -> None:
        self.text = ""
        self.ended = False
        """Nothing follows `text`."""

    def pour(self, make: Callable[[str], Piece], *marks: str) -> Reading[str]:
        """Hand text on as it settles, up to the first of some marks; return that mark, "" for none.

        Blank text before a mark is left out: it belongs to the mark.
        """
        while True:
            place, mark = self._first(marks)
            if mark:
                before, self.text = self.text[:place].rstrip(), self.text[place + len(mark) :]
                if before:
                    yield make(before)
                return mark
            settled = self.text if self.ended else self.text[: self._settled(marks)]
            if settled:
                self.text = self.text[len(settled) :]
                yield make(settled)
            if self.ended:
                return ""
            yield None

    def take(self, *marks: str) -> Reading[tuple[str, str]]:
        """Return all text up to the first of some marks, and that mark, "" where none comes."""
        while True:
            place, mark = self._first(marks)
            if mark or self.ended or len(self.text) > MOST_HELD:
                taken = self.text[:place] if mark else self.text
                self.text = self.text[len(taken) + len(mark) :]
                return taken, mark
            yield None

    def met(self, *marks: str) -> Reading[str]:
        """Return the first of some marks that comes next, and pass it, "" for none; blank text is passed."""
        for mark in marks:
            while not self.ended and mark.startswith(self.text.lstrip()) and mark != self.text.lstrip():
                yield None
            rest = self.text.lstrip()
            if rest.startswith(mark):
                self.text = rest[len(mark) :]
                return mark
        return ""

    def next_character(self) -> Reading[str]:
        """Return what comes next that is not blank, and leave it there; "" for nothing."""
        while True:
            rest = self.text.lstrip()
            if rest or self.ended:
                return rest[:1]
            yield None

    def skip_blank(self) -> Reading[None]:
        """Pass blank text."""
        while True:
            self.text = self.text.lstrip()
            if self.text or self.ended:
                return
            yield None

    def pour_json(self) -> Reading[bool]:
        """Hand an object or a list of JSON on as a call's arguments; return whether it came to its end."""
        scan = JsonScan()
        while True:
            length = scan.feed(self.text)
            passed, self.text = self.text[:length], self.text[length:]
            if passed:
                yield Arguments(passed)
            if scan.complete or self.ended:
                return scan.complete
            yield None

    def _first(self, marks: Sequence[str]) -> tuple[int, str]:
        found = [(place, mark) for mark in marks if (place := self.text.find(mark)) >= 0]
        return min(found, default=(-1, ""))

    def _settled(self, marks: Sequence[str]) -> int:
        """Return how much of the text is certain to stand before the marks, without blank text at its end."""
        if not marks:
            return len(self.text)
        sure = len(self.text) - max(held_back(self.text, mark) for mark in marks)
        return len(self.text[:sure].rstrip())


class JsonScan:
    """Finds the end of an object or a list of JSON."""

    def __init__(self) -> None:
        self.complete = False
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, text: str) -> int:
        """Return how many characters of `text` belong to it."""
        for place, character in enumerate(text):
            if self._in_string:
                self._pass_string(character)
            elif character == '"':
                self._in_string = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth <= 0:
                    self.complete = True
                    return place + 1
        return len(text)

    def _pass_string(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._in_string = False


class ReplyReader:
    """Reads a reply piece by piece."""

    def __init__(self, read: Callable[[Source], Reading[None]]) -> None:
        self._source = Source()
        self._reading = read(self._source)

    def feed(self, text: str) -> list[Piece]:
        """Return what is settled after more text."""
        self._source.text += text
        return self._settled()

    def finish(self) -> list[Piece]:
        """Return what was held back, as no text follows."""
        self._source.ended = True
        return self._settled()

    def _settled(self) -> list[Piece]:
        found: list[Piece] = []
        for piece in self._reading:
            if piece is None:
                break
            found.append(piece)
        return found
