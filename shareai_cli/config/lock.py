"""The lock of a configuration file: commands that change it at once do so one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shareai_cli.errors import StateError
from shareai_cli.file_lock import FileLock
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
    until = time.monotonic() + seconds
    while (lock := _take(lock_file)) is None:
        if time.monotonic() > until:
            raise StateError(f"Another command is changing {file}.", hint="Try again when it has ended.")
        time.sleep(_PAUSE_SECONDS)
    with lock:
        yield


def _take(lock_file: Path) -> FileLock | None:
    try:
        return FileLock.take(lock_file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is not possible"
        raise StateError(f"{lock_file} cannot be written: {reason}.") from None
