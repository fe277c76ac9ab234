"""Time limits without a timer each: one sweep a loop over whatever has a deadline."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from shareai_cli.types import Clock

EVERY = 0.1
"""Seconds between two sweeps, and so the precision of every time limit."""


class Limited(Protocol):
    """What can run out of time. `deadline` is the clock's time at which `expired` is called; 0 is never."""

    deadline: float

    def expired(self) -> None:
        """The deadline has passed; it is called at each sweep until the deadline moves."""


class Deadlines:
    """Sweeps what was added, in one event loop."""

    __slots__ = ("_clock", "_interval", "_limited", "_timer")

    def __init__(self, interval: float = EVERY, clock: Clock = time.monotonic) -> None:
        self._interval = interval
        self._clock = clock
        self._limited: set[Limited] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Deadlines [{len(self._limited)} watched]>"

    def add(self, limited: Limited) -> None:
        """Watch a thing until it is discarded."""
        self._limited.add(limited)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)

    def discard(self, limited: Limited) -> None:
        """Watch a thing no longer."""
        self._limited.discard(limited)

    def sweep(self) -> None:
        """Call `expired` on everything whose deadline has passed."""
        now = self._clock()
        for limited in [one for one in self._limited if 0 < one.deadline <= now]:
            limited.expired()

    def close(self) -> None:
        """Stop sweeping."""
        self._limited.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        self.sweep()
        if self._limited:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)
