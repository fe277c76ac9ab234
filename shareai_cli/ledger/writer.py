"""The thread between the journal and the database."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from shareai_cli.ledger.costs import Costs
from shareai_cli.ledger.database import explain
from shareai_cli.ledger.journal import Journal, Position
from shareai_cli.ledger.mover import Mover
from shareai_cli.ledger.pace import EAGER, GENTLE, next_pace
from shareai_cli.ledger.rush import Rush

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

BEAT: Final = 0.05
"""Seconds between two batches under load."""

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
        self._settling: deque[_Settling] = deque()
        self._thread = threading.Thread(target=self._run, name="ledger writer", daemon=True)
        self._synced_at = 0.0
        self._idle = False
        self._rush = Rush()
        self.asleep = False
        """Whether an entry has to call `wake`."""
        self.problem: str | None = None

    def __repr__(self) -> str:
        return f"<Writer [{self._mover}, problem: {self.problem}]>"

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something to do."""
        self.asleep = False
        self._wake.set()

    async def settled(self) -> None:
        """Return when what was taken in before is in the database, or the disk has refused it."""
        if not self._thread.is_alive():
            return
        import asyncio  # here, as a command that only reads the accounts has no need of it

        loop = asyncio.get_running_loop()
        future: Future[None] = loop.create_future()
        self._settling.append(_Settling(self._journal.end, loop, future))
        self.wake()
        await future

    def close(self) -> None:
        """Move everything that the disk takes, and end the thread."""
        self._end = True
        self.wake()
        self._thread.join()

    def _run(self) -> None:
        while not self._end:
            self._wake.clear()
            self._rest(self._work())
        self._synced_at = 0.0
        self._work()

    def _rest(self, moved: bool) -> None:
        """Sleep until there is something to do: entries, somebody who waits, the next look at the disk."""
        self._idle = False
        self.asleep = not moved
        if moved or self._came_meanwhile():
            self.asleep = False
            self._wake.wait(BEAT)
            return
        self._idle = not self._wake.wait(SYNC if self._must_look_again() else None)
        self.asleep = False

    def _came_meanwhile(self) -> bool:
        """Tell whether an entry came before this thread could say that it sleeps."""
        return self._mover.has_more() and not self.problem

    def _must_look_again(self) -> bool:
        return bool(
            self.problem
            or self._journal.waiting
            or not self._journal.synced
            or self._mover.has_moved_files
            or not self._costs.prepared
        )

    def _work(self) -> bool:
        """Do what there is to do; True where entries were moved."""
        moved = False
        settling = len(self._settling)
        try:
            if self._idle:
                self._costs.prepare()  # now, so that no request's row has to wait for it
            if self._journal.waiting:
                self._journal.retry()
            self._sync_when_due()
            can_wait = not (self._settling or self._end)
            if self._rush.is_on(self._mover.unmoved_bytes()) and can_wait:
                return True
            pace = next_pace(EAGER if self._end else GENTLE, self._mover.unmoved_bytes())
            while self._mover.move_next(pace):
                moved = True
                settling -= self._tell_settled()
                self._sync_when_due()
                if self._mover.caught_up and not self._end:
                    break  # what comes from now on is worth a batch only in a while
                time.sleep(pace.pause)
                pace = next_pace(EAGER if self._end else pace, self._mover.unmoved_bytes())
            self.problem = None
            self._rush.moved(self._mover.unmoved_bytes())
        except Exception as error:  # whatever it is, requests go on, and the next round tries again
            self.problem = explain(error)
        for _ in range(settling):
            self._settling.popleft().tell()
        return moved

    def _sync_when_due(self) -> None:
        now = time.monotonic()
        if now - self._synced_at < SYNC:
            return
        self._synced_at = now
        self._journal.sync()
        if self._mover.has_moved_files:
            self._mover.delete_moved_files()

    def _tell_settled(self) -> int:
        told = 0
        while self._settling and self._settling[0].end <= self._mover.position:
            self._settling.popleft().tell()
            told += 1
        return told


class _Settling(Struct, frozen=True):
    """Somebody who waits until the database holds the journal up to `end`."""

    end: Position
    loop: AbstractEventLoop
    future: Future[None]

    def tell(self) -> None:
        """Let them go on."""

        def done() -> None:
            if not self.future.done():
                self.future.set_result(None)

        with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            self.loop.call_soon_threadsafe(done)
