"""The lock of a configuration file: commands that change it at once do so one after the other.

It is the operating system's (flock, or a locked byte on Windows), and so ends with its process.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shareai_cli.errors import StateError
from shareai_cli.paths import make_private_folder

LOCK_SECONDS = 10.0
"""How long the changes of other commands are waited for."""

_PAUSE_SECONDS = 0.01


@contextmanager
def locked(file: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock of a configuration file, which need not exist; the lock's own file stays beside it.

    Raises `StateError` where it is not to be had within `seconds`, or the folder cannot be written.
    """
    lock_file = make_private_folder(file.parent) / f".{file.name}.lock"
    try:
        descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is not possible"
        raise StateError(f"{lock_file} cannot be written: {reason}.") from None
    try:
        _wait(descriptor, file, time.monotonic() + seconds)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, file: Path, until: float) -> None:
    while not _lock(descriptor):
        if time.monotonic() > until:
            raise StateError(f"Another command is changing {file}.", hint="Try again when it has ended.")
        time.sleep(_PAUSE_SECONDS)


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
