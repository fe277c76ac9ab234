"""Waiting for what another thread or process does, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psutil


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until `condition()` is true; TimeoutError when it is not within `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - it becomes true elsewhere, and nobody tells
            await asyncio.sleep(0.005)


def alive(pid: int) -> bool:
    """Return whether a process runs; one that ended and was not reaped yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def turns(count: int = 50) -> None:
    """Let the event loop turn, so that what this process wrote to itself on the loopback has arrived."""
    for _ in range(count):
        await asyncio.sleep(0)
