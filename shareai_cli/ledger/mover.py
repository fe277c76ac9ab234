"""Moves entries from the journal into the database: rows, sums and position in one transaction."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from shareai_cli.ledger.entries import Closed, Opened
from shareai_cli.ledger.frames import CLOSED, Frame, Payload, decode_closed, decode_opened, split
from shareai_cli.ledger.hourly import HourlySums
from shareai_cli.ledger.journal import Position, file_numbers, file_of
from shareai_cli.ledger.pace import EAGER, STRETCHES, Pace
from shareai_cli.ledger.reader import JournalReader
from shareai_cli.ledger.rows import Row, Rows
from shareai_cli.ledger.schema import REQUEST_COLUMNS
from shareai_cli.ledger.store import Store

_ONE_ROW: Final = f"({', '.join('?' * len(REQUEST_COLUMNS))})"
_INSERTS: Final = {
    count: f"INSERT OR IGNORE INTO requests VALUES {', '.join([_ONE_ROW] * count)}"  # noqa: S608 - constants
    for count in STRETCHES
}

_DRILL: Final = REQUEST_COLUMNS.index("drill")


class _RowsExistError(Exception):
    """Some requests of a batch have their rows already."""


class Mover:
    """Takes pieces of the journal, one transaction for some. Used by one thread at a time.

    Raises `sqlite3.Error` and `OSError`; the next call tries the same pieces again.
    """

    def __init__(self, store: Store, rows: Rows, reader: JournalReader, folder: Path) -> None:
        self._store = store
        self._rows = rows
        self._reader = reader
        self._folder = folder
        self._under_way: dict[int, bytes] = {}
        self._stored: set[int] = set()
        """Those of them that stand in the database, as their file of the journal may be deleted."""
        self._damaged_files: set[int] = set()
        self.damaged = 0
        """Bytes of the journal that could not be read."""
        self.caught_up = False
        """Whether the last batch reached the journal's end, as it was then."""
        self.has_moved_files = True
        """Whether files may lie there whose entries are all in the database."""

    def __repr__(self) -> str:
        return f"<Mover [{self._reader}, under way: {len(self._under_way)}]>"

    def recall(self) -> None:
        """Take up the requests that were under way at the position where the last process came to."""
        with self._store.transaction() as connection:
            stored = dict(connection.execute("SELECT id, entry FROM under_way").fetchall())
        self._stored = set(stored)
        self._under_way = stored | self._reader.opened_before_position()

    def move_next(self, pace: Pace = EAGER) -> bool:
        """Move a batch; False where there is none."""
        try:
            return self._move(pace, check=False)
        except _RowsExistError:
            return self._move(pace, check=True)

    def settle_under_way(self) -> None:
        """Write what is under way as incomplete: its process has ended, or is about to."""
        try:
            with self._store.transaction() as connection:
                batch = _Batch(connection, self._rows, EAGER, check=True)
                batch.close_all(self._under_way)
                batch.finish()
                connection.execute("DELETE FROM under_way")
        except BaseException:
            self._rows.forget()
            raise
        self._under_way = {}
        self._stored = set()

    def finish(self, refused: bytes) -> None:
        """Leave nothing in the journal, now that nobody writes to it; `refused` is what its disk refused."""
        while self.move_next():
            pass
        after = Position(self._reader.position.file + 1, 0)
        under_way = dict(self._under_way)
        with self._store.transaction() as connection:
            batch = _Batch(connection, self._rows, EAGER, check=True)
            batch.take(split(refused, last=True).frames, under_way)
            batch.close_all(under_way)
            batch.finish()
            connection.execute("DELETE FROM under_way")
            _set_position(connection, after)
        self._reader.advance(after)
        self.delete_moved_files()

    def close(self) -> None:
        """Close the file that is read from."""
        self._reader.close()

    def has_more(self) -> bool:
        """Tell whether the journal goes on behind the position."""
        return self._reader.has_more()

    def delete_moved_files(self) -> None:
        """Delete the files before the position, once the database holds their entries on the disk itself."""
        position = self._reader.position
        moved = [number for number in file_numbers(self._folder) if number < position.file]
        if moved and not self._store.checkpoint():
            return
        self._reader.close()
        for number in moved:
            file = file_of(self._folder, number)
            if number in self._damaged_files:
                file.rename(file.with_suffix(".damaged"))
            else:
                file.unlink(missing_ok=True)
        self.has_moved_files = False

    @property
    def position(self) -> Position:
        """What lies before it in the journal is in the database."""
        return self._reader.position

    def requests_under_way(self) -> list[Opened]:
        """Return the requests that have begun and not ended, the newest last; any thread may ask."""
        under_way = self._under_way  # replaced as a whole, never changed
        entries = [_decode_opened(under_way[request]) for request in sorted(under_way)]
        return [entry for entry in entries if entry is not None]

    def unmoved_bytes(self) -> int:
        """Return the size of what is not in the database yet."""
        return self._reader.unmoved_bytes()

    def _move(self, pace: Pace, *, check: bool) -> bool:
        begin = position = self._reader.position
        piece = self._reader.next(position, pace.piece)
        if piece is None:
            return False
        under_way = dict(self._under_way)
        damaged: dict[int, int] = {}
        try:
            with self._store.transaction() as connection:
                batch = _Batch(connection, self._rows, pace, check=check)
                while piece is not None:
                    batch.take(piece.frames, under_way)
                    damaged[position.file] = damaged.get(position.file, 0) + piece.damaged
                    position = piece.after
                    if batch.is_full or position.file != begin.file:
                        break
                    piece = self._reader.next(position, pace.piece)
                batch.finish()
                stored = self._store_under_way(connection, under_way, position.file != begin.file)
                _set_position(connection, position)
        except BaseException:
            self._rows.forget()
            raise
        self.caught_up = piece is None
        self._under_way = under_way
        self._stored = stored
        self.damaged += sum(damaged.values())
        self._damaged_files.update(number for number, size in damaged.items() if size)
        self._reader.advance(position)
        self.has_moved_files = self.has_moved_files or position.file != begin.file
        return True

    def _store_under_way(
        self, connection: sqlite3.Connection, under_way: dict[int, bytes], file_ended: bool
    ) -> set[int]:
        """Let the database hold what an ended file's requests under way are, and no longer what has ended."""
        gone = [request for request in self._stored if request not in under_way]
        connection.executemany("DELETE FROM under_way WHERE id = ?", [(request,) for request in gone])
        if not file_ended:
            return self._stored.difference(gone) if gone else self._stored
        connection.executemany("INSERT OR IGNORE INTO under_way VALUES (?, ?)", under_way.items())
        return set(under_way)


class _Batch:
    """Rows and sums within one transaction."""

    def __init__(self, connection: sqlite3.Connection, rows: Rows, pace: Pace, *, check: bool) -> None:
        self._connection = connection
        self._rows = rows
        self._pace = pace
        self._check = check
        self._sums = HourlySums()
        self._waiting: list[Row] = []
        self._count = 0

    @property
    def is_full(self) -> bool:
        return self._count >= self._pace.batch

    def take(self, frames: list[Frame], under_way: dict[int, bytes]) -> None:
        """Write what ended, and keep account of what is under way."""
        for kind, request, payload in frames:
            if kind == CLOSED:
                under_way.pop(request, None)
                entry = _decode_closed(payload)
                if entry is not None:
                    self._add(self._rows.row(self._connection, entry))
            else:
                under_way[request] = bytes(payload)  # of its own, not a view of what was read

    def close_all(self, under_way: dict[int, bytes]) -> None:
        """Write what is under way as incomplete."""
        self._insert()
        targets: dict[str, str] = {}
        for payload in under_way.values():
            entry = _decode_opened(payload)
            if entry is None:
                continue
            if entry.route not in targets:
                targets[entry.route] = self._rows.latest_target(self._connection, entry.route)
            self._add(self._rows.incomplete(self._connection, entry, targets[entry.route]))

    def finish(self) -> None:
        """Write the rest, and the sums."""
        self._insert()
        self._sums.write(self._connection, self._pace.pause)

    def _add(self, row: Row) -> None:
        if self._check and self._has_row(row[0]):
            return
        if not row[_DRILL]:
            self._sums.add(row)
        self._waiting.append(row)
        self._count += 1
        if len(self._waiting) == self._pace.stretch:
            self._insert()
            if self._pace.pause:
                time.sleep(self._pace.pause)

    def _has_row(self, request: object) -> bool:
        found = self._connection.execute("SELECT 1 FROM requests WHERE id = ?", (request,)).fetchone()
        return found is not None or any(row[0] == request for row in self._waiting)

    def _insert(self) -> None:
        rows, at = self._waiting, 0
        for count, statement in _INSERTS.items():
            while len(rows) - at >= count:
                flat: list[Any] = []
                for row in rows[at : at + count]:
                    flat += row
                if self._connection.execute(statement, flat).rowcount != count:
                    # A request keeps the row that it has, and is not counted twice.
                    raise _RowsExistError
                at += count
        rows.clear()


def _decode_closed(payload: Payload) -> Closed | None:
    """Decode an entry; None for one that a program of another version wrote."""
    try:
        return decode_closed(payload)
    except msgspec.MsgspecError:
        return None


def _decode_opened(payload: bytes) -> Opened | None:
    try:
        return decode_opened(payload)
    except msgspec.MsgspecError:
        return None


def _set_position(connection: sqlite3.Connection, position: Position) -> None:
    connection.execute(
        "UPDATE ledger SET journal_file = ?, journal_offset = ?", (position.file, position.offset)
    )
