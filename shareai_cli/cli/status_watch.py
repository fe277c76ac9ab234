"""`shareai status --watch`: the dashboard's overview as plain text, again and again."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from contextlib import suppress

from shareai_cli.cli.console import print_line
from shareai_cli.dashboard.link import Link
from shareai_cli.dashboard.state import Connection, LiveState
from shareai_cli.dashboard.words import overview, time_of_day
from shareai_cli.errors import AuthenticationFailed
from shareai_cli.watching import Source

_ANEW = "\x1b[H\x1b[J"
"""Moves a terminal's cursor to its first line and clears what follows (ECMA-48, CUP and ED)."""

_PATIENCE = 2.0
"""Seconds that a gateway has to tell something before the first look."""


async def watch_status(source: Source, every: float, *, is_redrawn: bool) -> None:
    """Print the overview every so many seconds until cancelled; raises `AuthenticationFailed`."""
    state, told = LiveState(), asyncio.Event()
    link = Link(source, state, told.set, time.time)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(link.run())
        with suppress(TimeoutError):
            await asyncio.wait_for(told.wait(), _PATIENCE)
        while link.connection is not Connection.REFUSED:
            _print(state, link, is_redrawn=is_redrawn)
            await asyncio.sleep(every)
        watching.cancel()
    raise AuthenticationFailed(link.problem)


def _print(state: LiveState, link: Link, *, is_redrawn: bool) -> None:
    size = shutil.get_terminal_size()
    now_ms = int(time.time() * 1000)
    lines = [f"{time_of_day(now_ms)}  {link.standing}", ""]
    lines += overview(state, now_ms, size.columns if is_redrawn else 120)
    if is_redrawn:
        sys.stdout.write(_ANEW)
        lines = [line[: size.columns] for line in lines[: size.lines - 1]]
    for line in lines:
        print_line(line)
    if not is_redrawn:
        print_line()
    sys.stdout.flush()
