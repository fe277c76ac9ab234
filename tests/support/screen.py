"""A terminal's screen, as far as what is drawn in the tests needs one: lines, and moving up over them."""

from __future__ import annotations

import re

_PIECE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\r|\n|[^\x1b\r\n]+")


class Emulator:
    """Understands CR, LF, moving up and erasing; what has scrolled away can no longer be reached."""

    def __init__(self, width: int, height: int) -> None:
        self._width = width
        self._height = height
        self._rows = [""]
        self._row = 0
        self._column = 0

    def feed(self, text: str) -> None:
        for piece in _PIECE.finditer(text):
            number, letter = piece[1], piece[2]
            if letter is not None:
                self._control(number, letter)
            elif piece[0] == "\r":
                self._column = 0
            elif piece[0] == "\n":
                self._row, self._column = self._row + 1, 0  # as a terminal's driver makes CR LF of it
                if self._row == len(self._rows):
                    self._rows.append("")
            else:
                self._write(piece[0])

    def lines(self) -> list[str]:
        """Return everything from the first line on, spaces and empty lines at the end left out."""
        return "\n".join(row.rstrip() for row in self._rows).rstrip().split("\n")

    def _write(self, text: str) -> None:
        row = self._rows[self._row].ljust(self._column)
        assert self._column + len(text) <= self._width, f"too wide: {text!r}"
        self._rows[self._row] = row[: self._column] + text + row[self._column + len(text) :]
        self._column += len(text)

    def _control(self, number: str, letter: str) -> None:
        if letter == "A":
            top = max(0, len(self._rows) - self._height)
            self._row -= int(number or 1)
            assert self._row >= top, "what has scrolled away was drawn over"
        elif letter == "K":
            assert number == "2"
            self._rows[self._row] = ""
        else:
            assert letter in "mhl", f"not understood: {number}{letter}"
