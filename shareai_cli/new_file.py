"""Files that a person asks for: new ones, which their owner alone reads, and never in place of another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from shareai_cli.errors import StateError, UsageError


@contextmanager
def new_private_file(path: Path) -> Iterator[TextIO]:
    """Make a file (0600) and yield it for writing; what is begun and not ended is taken away again.

    Raises `UsageError` where there is one of that name, and `StateError`.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(
            f"There is a file {path} already; it was left as it is.", hint="Give another name."
        ) from None
    except (OSError, ValueError) as error:
        raise StateError(f"{path} cannot be written: {_reason(error)}.") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise StateError(f"{path} cannot be written: {_reason(error)}.") from None
        raise


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or "its name is not possible"
