"""From a reply's tokens to its text, piece by piece: whole characters, stop strings."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


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
