"""The lock of the state folder: whoever holds it owns the database, and no other process writes there."""

from __future__ import annotations

from shareai_cli.errors import AlreadyRunning, StateError
from shareai_cli.file_lock import FileLock
from shareai_cli.paths import Paths


class StateLock(FileLock):
    """Held from `acquire` to `release`."""

    @classmethod
    def acquire(cls, paths: Paths) -> StateLock:
        """Take the lock without waiting; raises `AlreadyRunning`, `StateError` where no file can be made."""
        paths.make_state()
        file = paths.lock_file
        try:
            lock = cls.take(file)
        except OSError as error:
            raise StateError(
                f"{file} cannot be opened: {error.strerror}.",
                hint="The state folder has to be writable; SHAREAI_HOME moves it.",
            ) from None
        if lock is None:
            raise AlreadyRunning(
                f"Another process uses {paths.state}.",
                hint="'shareai status' tells of a running gateway; SHAREAI_HOME moves all state.",
            )
        return lock
