"""The lock of the state folder: whoever holds it owns the database, and no other process writes there.

It is the operating system's (flock, or a locked byte on Windows), and so ends with its process.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType

from shareai_cli.errors import AlreadyRunning, StateError
from shareai_cli.paths import Paths


class StateLock:
    """Held from `acquire` to `release`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, paths: Paths) -> StateLock:
        """Take the lock without waiting; raises `AlreadyRunning`, `StateError` where no file can be made."""
        paths.make_state()
        file = paths.lock_file
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StateError(
                f"{file} cannot be opened: {error.strerror}.",
                hint="The state folder has to be writable; SHAREAI_HOME moves it.",
            ) from None
        try:
            _lock(descriptor)
        except OSError:
            os.close(descriptor)
            raise AlreadyRunning(
                f"Another process uses {paths.state}.",
                hint="'shareai status' tells of a running gateway; SHAREAI_HOME moves all state.",
            ) from None
        return cls(descriptor)

    def release(self) -> None:
        """Give the lock back; twice does no harm."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> StateLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
