"""The journal: numbered files that are only appended to, each entry with one `write` on the event loop.

What the disk refuses waits in memory, in order, until the writer's thread gets it written. A short write is
cut off again before anything follows it.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

FILE_BYTES: Final = 64 << 20
"""Size at which a new file begins."""

_SUFFIX: Final = ".journal"
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)

Write = Callable[[int, bytes], int]


class Position(Struct, frozen=True, order=True):
    """A place in the journal: the number of a file, and a byte in it."""

    file: int
    offset: int


def file_of(folder: Path, number: int) -> Path:
    """Return the path of a numbered file."""
    return folder / f"{number:010d}{_SUFFIX}"


def file_numbers(folder: Path) -> list[int]:
    """Return the numbers of the files that exist, in order."""
    stems = (path.stem for path in folder.glob(f"*{_SUFFIX}"))
    return sorted(int(stem) for stem in stems if stem.isdecimal())


class Journal:
    """The end of the journal that is written to. Raises `OSError` where its first file cannot be made.

    `append` belongs to the event loop's thread; `retry`, `sync` and `close` to the writer's.
    """

    __slots__ = (
        "_descriptor",
        "_file_bytes",
        "_folder",
        "_lock",
        "_retired",
        "_synced",
        "_torn",
        "_write",
        "number",
        "problem",
        "size",
        "waiting",
    )

    def __init__(
        self, folder: Path, number: int, *, file_bytes: int = FILE_BYTES, write: Write = os.write
    ) -> None:
        self._folder = folder
        self._file_bytes = file_bytes
        self._write = write
        self._lock = threading.Lock()
        self._retired: deque[int] = deque()
        self._synced = (0, 0)
        self._torn = False
        self.number = number
        self.size = 0
        """Bytes of whole entries in the file that is written to."""
        self.waiting: deque[bytes] = deque()
        """Entries that the disk refused."""
        self.problem: str | None = None
        self._descriptor = self._open(number)

    def __repr__(self) -> str:
        return f"<Journal [file: {self.number}, bytes: {self.size}, waiting: {len(self.waiting)}]>"

    def append(self, entries: Sequence[bytes]) -> None:
        """Write entries with one call, or keep them in memory where the disk refuses them; never raises."""
        if self.waiting:
            with self._lock:
                if self.waiting:
                    self.waiting.extend(entries)
                    return
        if not self._append(entries[0] if len(entries) == 1 else b"".join(entries)):
            self.waiting.extend(entries)

    def retry(self) -> None:
        """Write what waits, as far as the disk takes it."""
        with self._lock:
            while self.waiting:
                if not self._append(self.waiting[0]):
                    return
                self.waiting.popleft()  # only now: an entry that comes meanwhile has to stand behind it
            self.problem = None

    def sync(self) -> None:
        """Bring what was written to the disk itself; raises `OSError`."""
        while self._retired:
            os.fsync(self._retired[0])
            os.close(self._retired.popleft())
        written = (self.number, self.size)
        if written != self._synced:
            os.fsync(self._descriptor)
            if written[0] != self._synced[0]:
                _sync_folder(self._folder)
            self._synced = written

    @property
    def end(self) -> Position:
        """Where the next entry will stand."""
        return Position(self.number, self.size)

    @property
    def synced(self) -> bool:
        """Whether all that was written is on the disk itself."""
        return self._synced == (self.number, self.size) and not self._retired

    def close(self) -> None:
        """Close the files; an entry that comes later stays in memory."""
        with self._lock:
            retired = [*self._retired, self._descriptor]
            self._retired.clear()
            self._descriptor = -1
        for descriptor in retired:
            if descriptor >= 0:
                os.close(descriptor)

    def _append(self, entry: bytes) -> bool:
        try:
            if self._torn:
                self._cut()
            written = self._write(self._descriptor, entry)
            if written != len(entry):
                self._torn = True
                self.problem = "The disk has no room for the journal."
                self._cut()
                return False
        except OSError as error:
            self.problem = f"The journal cannot be written ({error.strerror or error})."
            return False
        self.size += written
        if self.size >= self._file_bytes:
            self._begin_next_file()
        return True

    def _cut(self) -> None:
        os.ftruncate(self._descriptor, self.size)
        self._torn = False

    def _begin_next_file(self) -> None:
        try:
            descriptor = self._open(self.number + 1)
        except OSError:
            return  # this file grows on, and the next entry tries again
        self._retired.append(self._descriptor)
        self._descriptor = descriptor
        self.size = (
            0  # before the number: a reader that still sees the old one finds nothing, and looks again
        )
        self.number += 1

    def _open(self, number: int) -> int:
        return os.open(file_of(self._folder, number), _FLAGS | os.O_EXCL, 0o600)


def _sync_folder(folder: Path) -> None:
    """Make the names of new files last; Windows has no such call for a folder."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
