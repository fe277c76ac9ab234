"""The standard streams, which whoever starts a program may have closed (`>&-`)."""

from __future__ import annotations

import os
import sys
from typing import TextIO, cast


def open_closed() -> None:
    """Let standard streams that are closed lead nowhere, instead of to whatever is opened next.

    A free descriptor 0, 1 or 2 would be given to a socket or a database, and messages be written into it;
    libuv ends the process when it is to close such a one.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)  # takes the lowest descriptor that is free: this one
            os.set_inheritable(nowhere, True)
    for descriptor, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:  # as Python leaves it where the descriptor was closed at its start
            setattr(sys, name, _stream(descriptor, mode))


def _stream(descriptor: int, mode: str) -> TextIO:
    return cast(TextIO, open(descriptor, mode, encoding="utf-8", closefd=False))
