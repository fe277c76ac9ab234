"""A file that one process at a time holds: the operating system's lock, which ends with its process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self


class FileLock:
    """Held from `take` to `release`, by flock, or by a locked byte on Windows."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, file: Path) -> Self | None:
        """Make the file where there is none, and lock it without waiting; None where somebody else has it.

        Raises `OSError` where the file cannot be written, `ValueError` where no file can be called so.
        """
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        if _lock(descriptor):
            return cls(descriptor)
        os.close(descriptor)
        return None

    def release(self) -> None:
        """Give the lock back; twice does no harm. The file stays: removing it would let two hold one name."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
