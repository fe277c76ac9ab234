"""Draws the README's picture of the dashboard: `python -m docs.dashboard` writes docs/dashboard.svg.

The gateway in it is a made-up one on a busy day, the screen is what `shareai dash` shows of it.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from msgspec.structs import replace

from tests.dashboard.scenes import BUSY, NOW, SETTLED
from tests.support.dashboards import ScriptedGateway, ScriptedSource, shown

PICTURE = Path(__file__).with_suffix(".svg")
SIZE = (120, 34)


async def draw() -> str:
    """Return the overview as SVG."""
    named = tuple(one for one in SETTLED if one.route.isprintable())
    source = ScriptedSource(ScriptedGateway(replace(BUSY, settled=named)))
    async with shown(source, size=SIZE, wall_clock=lambda: NOW) as screen:
        await screen.until("12.4", "groq/llama-3.3-70b was ejected", "Quit")
        return await screen.settle()


if __name__ == "__main__":
    PICTURE.write_text(asyncio.run(draw()))
    sys.stdout.write(f"{PICTURE}: {PICTURE.stat().st_size} bytes\n")
