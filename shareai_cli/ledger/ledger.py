"""The accounts of requests: taken in on the event loop, moved into the database by a thread."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from msgspec import Struct

from shareai_cli.errors import LedgerUnavailable, Overloaded
from shareai_cli.ledger.costs import Costs, Prices
from shareai_cli.ledger.database import understood
from shareai_cli.ledger.entries import Closed, Entry, Opened
from shareai_cli.ledger.frames import frame, frames
from shareai_cli.ledger.journal import FILE_BYTES, Journal, Position, Write, file_numbers
from shareai_cli.ledger.mover import Mover
from shareai_cli.ledger.reader import JournalReader
from shareai_cli.ledger.rows import Rows
from shareai_cli.ledger.store import Store
from shareai_cli.ledger.use import PastUse, UseQuestion, past_use
from shareai_cli.ledger.writer import Writer
from shareai_cli.paths import Paths
from shareai_cli.types import WallClock

MOST_WAITING: Final = 10_000
"""Entries that wait in memory while the disk refuses them, before requests are refused."""


TakingIn = Callable[[int, int], None]
"""Told how many bytes of the journal are taken in, of how many, while it is opened."""


class LedgerState(Struct, frozen=True):
    """How the accounts stand."""

    problem: str | None
    """What keeps entries from the disk, for a person; None where all is well."""
    waiting: int
    """Entries in memory that the disk refuses; those that came together with the first may count as one."""
    unmoved_bytes: int
    """Bytes of the journal that are not in the database yet."""
    refused: int = 0
    """Refusals that were not written, as the disk took nothing and the memory is bounded."""
    damaged_bytes: int = 0
    """Bytes of the journal that could not be read; their files are kept as `*.damaged`."""


class Ledger:
    """The journal, the database and the thread between them, of the process that holds the state's lock."""

    def __init__(self, store: Store, journal: Journal, mover: Mover, writer: Writer, costs: Costs) -> None:
        self.store = store
        self.costs = costs
        """By which the rows' costs are worked out; used by the writer's thread too."""
        self._journal = journal
        self._mover = mover
        self._writer = writer
        self._refused = 0
        self._schedule: Callable[[], None] = self.flush
        self._collected: list[Entry] = []
        with understood(store.path), store.transaction() as connection:
            self.salt: bytes = connection.execute("SELECT salt FROM ledger").fetchone()[0]
            newest = connection.execute("SELECT max(id) FROM requests").fetchone()[0]
        self.newest_request: int = newest or 0
        """The largest number of a request that the database held at the start."""

    def __repr__(self) -> str:
        return f"<Ledger {self.store.path} [{self._journal}]>"

    @classmethod
    def open(
        cls,
        paths: Paths,
        make_prices: Callable[[], Prices],
        *,
        wall_clock: WallClock = time.time,
        file_bytes: int = FILE_BYTES,
        write: Write = os.write,
        taking_in: TakingIn | None = None,
    ) -> Ledger:
        """Open the accounts, take in what a former process left in the journal, and start the writer.

        The caller holds the state folder's lock. Raises `LedgerUnavailable`.
        """
        paths.make_state()
        store = Store(paths.database, wall_clock)
        try:
            return cls._take_up(store, paths.journal, make_prices, file_bytes, write, taking_in)
        except BaseException:
            store.close()
            raise

    @classmethod
    def _take_up(
        cls,
        store: Store,
        folder: Path,
        make_prices: Callable[[], Prices],
        file_bytes: int,
        write: Write,
        taking_in: TakingIn | None,
    ) -> Ledger:
        with understood(store.path), store.transaction() as connection:
            position = Position(
                *connection.execute("SELECT journal_file, journal_offset FROM ledger").fetchone()
            )
        journal = _begin_journal(folder, position, file_bytes, write)
        costs = Costs(make_prices)
        mover = Mover(store, Rows(costs), JournalReader(folder, journal, position), folder)
        try:
            with understood(store.path):
                mover.recall()
                whole = mover.unmoved_bytes()
                while mover.move_next():
                    if taking_in is not None:
                        taking_in(whole - mover.unmoved_bytes(), whole)
                mover.settle_under_way()
            ledger = cls(store, journal, mover, Writer(journal, mover, costs), costs)
        except BaseException:
            journal.close()
            mover.close()
            raise
        ledger._writer.start()
        return ledger

    def opened(self, entry: Opened) -> None:
        """Keep that a request is about to be sent; raises `Overloaded` where that cannot be kept."""
        journal = self._journal
        if journal.waiting and len(journal.waiting) >= MOST_WAITING:
            raise Overloaded(
                "This gateway's accounts cannot be written, so it takes no more requests.",
                hint="'shareai status' says what is wrong with the disk.",
                retry_after=5,
            )
        self._take(entry)

    def closed(self, entry: Closed) -> None:
        """Keep how a request ended; never raises."""
        journal = self._journal
        if journal.waiting and len(journal.waiting) >= MOST_WAITING and not entry.attempts:
            self._refused += 1  # nothing was sent: what the disk refuses must not fill the memory
            return
        self._take(entry)

    def collect(self, schedule: Callable[[], None]) -> None:
        """From now on keep entries until `flush`, for whose call `schedule` asks at the first of them."""
        self._schedule = schedule

    def flush(self) -> None:
        """Write what was collected, before anything that it is about leaves this process; never raises."""
        if self._collected:
            entries, self._collected = self._collected, []
            # One by one while they wait in memory, which is bounded by their number.
            self._journal.append([*map(frame, entries)] if self._journal.waiting else frames(entries))
            if self._writer.asleep:
                self._writer.wake()

    def _take(self, entry: Entry) -> None:
        collected = self._collected
        collected.append(entry)
        if len(collected) == 1:
            self._schedule()

    def state(self) -> LedgerState:
        """Tell how the accounts stand."""
        return LedgerState(
            problem=self._journal.problem or self._writer.problem,
            waiting=len(self._journal.waiting),
            unmoved_bytes=self._mover.unmoved_bytes(),
            refused=self._refused,
            damaged_bytes=self._mover.damaged,
        )

    def under_way(self) -> list[Opened]:
        """Return the requests that have begun and not ended, the newest last, as far as they were moved."""
        return self._mover.requests_under_way()

    def past_use(
        self, questions: Collection[UseQuestion], ended: Callable[[], Collection[int]] = tuple
    ) -> PastUse:
        """Look up what was used, as far as it was moved (see `use.past_use`); raises `LedgerUnavailable`."""
        return past_use(self.store.path, questions, ended)

    async def settled(self) -> None:
        """Return when everything taken in so far is in the database, or the disk has refused it."""
        self.flush()
        await self._writer.settled()

    def close(self) -> None:
        """Move everything, close the files, and delete those of the journal that are in the database.

        What the disk refuses stays in the journal for the next start.
        """
        self.flush()
        self._writer.close()
        self._journal.close()
        try:
            self._mover.finish(b"".join(self._journal.waiting))
        except (sqlite3.Error, OSError):
            pass  # all of it is in the journal, and taken in at the next start
        finally:
            self._mover.close()
            self.store.close()


def _begin_journal(folder: Path, position: Position, file_bytes: int, write: Write) -> Journal:
    """Begin a file of this process's own: what follows a torn end or lost bytes is never mixed with it."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        number = max([position.file, *file_numbers(folder)]) + 1
        return Journal(folder, number, file_bytes=file_bytes, write=write)
    except OSError as error:
        raise LedgerUnavailable(
            f"The journal's folder {folder} cannot be written: {error.strerror or error}.",
            hint="Make room, or let this user write there.",
        ) from None
