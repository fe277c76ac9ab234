"""The event loop on which every process of this program serves."""

from __future__ import annotations

import asyncio
import sys


def loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop where there is one, for `asyncio.Runner`."""
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.Loop
