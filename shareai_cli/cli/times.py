"""Times as commands print them."""

from __future__ import annotations

import time


def day(milliseconds: int | None) -> str:
    """Return a time in the local zone, to the minute; a dash for none."""
    if milliseconds is None:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(milliseconds / 1000))
