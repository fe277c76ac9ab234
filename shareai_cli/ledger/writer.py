"""The thread between the journal and the database."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Final

from shareai_cli.ledger.costs import Costs
from shareai_cli.ledger.database import explain
from shareai_cli.ledger.journal import Journal
from shareai_cli.ledger.mover import Mover

BEAT: Final = 0.05
"""Seconds between two batches under load."""

PAUSE: Final = 0.0001
"""Seconds of sleep after each statement, so that the event loop need not wait for a time slice of the
system's to end: where both have the same core, that would be milliseconds. (A lower priority would do the same
until other processes want the core: then this thread would hold the interpreter's lock and not run.)"""

SYNC: Final = 1.0
"""Seconds between two `fsync` of the journal: what a power loss may cost."""


class Writer:
    """Moves entries as they come, brings the journal to the disk, and sleeps when there is nothing to do."""

    def __init__(self, journal: Journal, mover: Mover, costs: Costs) -> None:
        self._journal = journal
        self._mover = mover
        self._costs = costs
        self._wake = threading.Event()
        self._end = False
        self._settling: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._thread = threading.Thread(target=self._run, name="ledger writer", daemon=True)
        self._synced_at = 0.0
        self.asleep = False
        """Whether an entry has to call `wake`."""
        self.problem: str | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something to do."""
        self.asleep = False
        self._wake.set()

    async def settled(self) -> None:
        """Return when what was taken in before is in the database, or the disk has refused it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._settling.append((loop, future))
        self.wake()
        await future

    def close(self) -> None:
        """Move everything that the disk takes, and end the thread."""
        self._end = True
        self.wake()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._wake.clear()
            end = self._end
            settling = len(self._settling)
            moved = self._work(urgent=end)
            for _ in range(settling):
                _tell(*self._settling.popleft())
            if end:
                return
            self._rest(moved)

    def _rest(self, moved: bool) -> None:
        if moved:
            self._wake.wait(BEAT)
            return
        self.asleep = True
        if self._mover.has_more():
            return
        busy = self.problem or self._journal.waiting or not self._journal.synced
        woken = self._wake.wait(None if self._costs.prepared and not busy else SYNC)
        self.asleep = False
        if not woken:
            self._costs.prepare()  # now, so that no request's row has to wait for it

    def _work(self, *, urgent: bool) -> bool:
        """Do what there is to do; True where entries were moved."""
        moved = False
        try:
            if self._journal.waiting:
                self._journal.retry()
            while self._mover.move_next(pause=0.0 if urgent else PAUSE):
                moved = True
            now = time.monotonic()
            if urgent or now - self._synced_at >= SYNC:
                self._synced_at = now
                self._journal.sync()
                if self._mover.has_moved_files:
                    self._mover.delete_moved_files()
            self.problem = None
        except (sqlite3.Error, OSError) as error:
            self.problem = explain(error)
        return moved


def _tell(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    def done() -> None:
        if not future.done():
            future.set_result(None)

    with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
        loop.call_soon_threadsafe(done)
