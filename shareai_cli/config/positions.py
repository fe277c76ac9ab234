"""On which line of a TOML text each key stands: `tomllib` gives values and keeps no positions.

`tomllib` has read the text before, so this scan follows the grammar (toml.io/en/v1.0.0) and checks nothing.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from typing import Final

Path = tuple[str | int, ...]

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE: Final = re.compile(r"[^,\]}#\r\n]*")
_STRINGS: Final = (
    re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\]|\\.)*"'),
    re.compile(r"'[^']*'"),
)


def find_line(text: str, path: Path) -> int | None:
    """Return the line of the key at `path`, else that of the nearest table around it; None where none is."""
    try:
        offsets = _Scan(text).offsets()
    except (LookupError, ValueError, RecursionError):
        return None
    for length in range(len(path), 0, -1):
        offset = offsets.get(path[:length])
        if offset is not None:
            return text.count("\n", 0, offset) + 1
    return None


def find_lines(text: str) -> dict[Path, int]:
    """Return the line of every key and array element; nothing where the text is too strange."""
    try:
        offsets = _Scan(text).offsets()
    except (LookupError, ValueError, RecursionError):
        return {}
    ends = [found.start() for found in re.finditer("\n", text)]
    return {path: bisect_left(ends, offset) + 1 for path, offset in offsets.items()}


class _Scan:
    """One walk over a text; the first place where a key stands is the one kept."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._offsets: dict[Path, int] = {}

    def offsets(self) -> dict[Path, int]:
        """Return the offset of every key and array element."""
        table: Path = ()
        while True:
            self._skip(_BLANK)
            if self._at >= len(self._text):
                return self._offsets
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        brackets = 2 if self._text.startswith("[[", self._at) else 1
        self._at += brackets
        path = self._key(())
        self._at += brackets
        return path

    def _pair(self, table: Path) -> None:
        path = self._key(table)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _key(self, table: Path) -> Path:
        path = table
        while True:
            self._skip(_SPACE)
            start = self._at
            path = (*path, self._key_part())
            self._offsets.setdefault(path, start)
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return path
            self._at += 1

    def _key_part(self) -> str:
        if self._text[self._at] in "\"'":
            return str(tomllib.loads(f"k = {self._string()}")["k"])
        return self._take(_BARE_KEY)

    def _value(self, path: Path) -> None:
        self._offsets.setdefault(path, self._at)
        first = self._text[self._at]
        if first in "\"'":
            self._string()
        elif first == "[":
            self._items(path, "]", is_table=False)
        elif first == "{":
            self._items(path, "}", is_table=True)
        else:
            self._take(_BARE_VALUE)

    def _items(self, path: Path, end: str, *, is_table: bool) -> None:
        self._at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self._text[self._at] == ",":
                self._at += 1
            elif self._text[self._at] == end:
                self._at += 1
                return
            elif is_table:
                self._pair(path)
            else:
                self._value((*path, index))
                index += 1

    def _string(self) -> str:
        for form in _STRINGS:
            found = form.match(self._text, self._at)
            if found:
                self._at = found.end()
                return found[0]
        raise LookupError

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None or not found[0]:
            raise LookupError
        self._at = found.end()
        return found[0]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
