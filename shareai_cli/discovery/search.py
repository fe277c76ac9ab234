"""Looking through folders with an end: so deep, so many entries, so long."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from shareai_cli.types import Clock

DEEPEST = 6
"""Folders below the one where a search begins."""
MOST_ENTRIES = 50_000
SECONDS = 3.0


class Search:
    """One look through folders, whose bounds hold for all of them together."""

    def __init__(
        self, *, entries: int = MOST_ENTRIES, seconds: float = SECONDS, clock: Clock = time.monotonic
    ) -> None:
        self._entries = entries
        self._clock = clock
        self._until = clock() + seconds
        self.complete = True
        """Whether nothing was left out for a bound's sake."""

    def __repr__(self) -> str:
        return f"<Search [{self._entries} entries left, complete: {self.complete}]>"

    def files(self, folder: Path, deepest: int = DEEPEST) -> Iterator[Path]:
        """Yield the files under a folder, by name; what cannot be read has none. Links are followed."""
        for entry in self.entries(folder):
            if not entry.name.isprintable():
                continue  # nobody could name it in a configuration
            path = folder / entry.name
            if _is_folder(entry):
                if deepest > 0:
                    yield from self.files(path, deepest - 1)
                else:
                    self.complete = False
            else:
                yield path

    def entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """Return a folder's entries by name; none where it is missing, unreadable, or a bound is reached."""
        found: list[os.DirEntry[str]] = []
        try:
            with os.scandir(folder) as scanned:
                for entry in scanned:
                    if not self._may_go_on():
                        break
                    found.append(entry)
        except (OSError, ValueError):
            pass
        return sorted(found, key=lambda entry: entry.name)

    def _may_go_on(self) -> bool:
        self._entries -= 1
        if self._entries < 0 or self._clock() > self._until:
            self.complete = False
        return self.complete


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
