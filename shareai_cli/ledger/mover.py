"""Moves entries from the journal into the database: rows, sums and position in one transaction."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

import msgspec

from shareai_cli.ledger.entries import Closed
from shareai_cli.ledger.frames import CLOSED, decode_closed, decode_opened
from shareai_cli.ledger.journal import file_numbers, file_of
from shareai_cli.ledger.reader import JournalReader, Piece, Position
from shareai_cli.ledger.rows import Row, Rows
from shareai_cli.ledger.schema import REQUEST_COLUMNS
from shareai_cli.ledger.store import Store
from shareai_cli.ledger.sums import ADD_HOURS, DIMENSIONS, add_batch

STRETCH: Final = 16
"""Rows to a statement. The interpreter's lock is held while they are made and free while they are written,
so this is what the event loop may have to wait for."""

_ONE_ROW: Final = f"({', '.join('?' * len(REQUEST_COLUMNS))})"
_INSERTS: Final = {
    count: f"INSERT OR IGNORE INTO batch VALUES {', '.join([_ONE_ROW] * count)}"  # noqa: S608 - constants
    for count in (16, 8, 4, 2, 1)
}
_MOVE_BATCH: Final = (
    # A request that has its row keeps it: nothing is counted twice, whatever the journal says.
    "DELETE FROM batch WHERE id IN (SELECT id FROM requests)",
    "INSERT INTO requests SELECT * FROM batch",
    ADD_HOURS,
    *(add_batch(dimension) for dimension in DIMENSIONS),
    "DELETE FROM batch",
)


class Mover:
    """Takes pieces of the journal, one transaction each. Used by one thread at a time.

    Raises `sqlite3.Error` and `OSError`; the next call tries the same piece again.
    """

    def __init__(self, store: Store, rows: Rows, reader: JournalReader, folder: Path) -> None:
        self._store = store
        self._rows = rows
        self._reader = reader
        self._folder = folder
        self._under_way: dict[int, bytes] = {}
        self._stored: set[int] = set()
        """Those of them that stand in the database, as their file of the journal may be deleted."""
        self.damaged = 0
        """Bytes of the journal that could not be read."""
        self._damaged_files: set[int] = set()
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

    def move_next(self) -> bool:
        """Move one piece; False where there is none."""
        piece = self._reader.next()
        if piece is None:
            return False
        opened, ended, closed = _sort(piece)
        next_file = piece.after.file != self._reader.position.file
        under_way = {**self._under_way, **opened}
        for request in ended:
            under_way.pop(request, None)
        try:
            with self._store.transaction() as connection:
                self._write(connection, closed)
                self._forget_stored(connection, ended)
                if next_file:
                    self._store_under_way(connection, under_way)
                _set_position(connection, piece.after)
        except BaseException:
            self._rows.forget()
            raise
        self._after(piece, under_way, ended, next_file)
        return True

    def settle_under_way(self) -> None:
        """Write what is under way as incomplete: its process has ended, or is about to."""
        try:
            with self._store.transaction() as connection:
                rows = [
                    self._rows.incomplete(connection, decode_opened(payload))
                    for payload in self._under_way.values()
                ]
                _insert(connection, rows)
                _move_batch(connection)
                connection.execute("DELETE FROM under_way")
        except BaseException:
            self._rows.forget()
            raise
        self._under_way = {}
        self._stored = set()

    def finish(self) -> None:
        """Leave nothing in the journal: its last file was closed, and nobody writes to it any more."""
        while self.move_next():
            pass
        self.settle_under_way()
        with self._store.transaction() as connection:
            after = Position(self._reader.position.file + 1, 0)
            _set_position(connection, after)
        self._reader.advance(after)
        self.delete_moved_files()

    def has_more(self) -> bool:
        """Tell whether the journal goes on behind the position."""
        return self._reader.has_more()

    def delete_moved_files(self) -> None:
        """Delete the files before the position, once the database holds their entries on the disk itself."""
        position = self._reader.position
        moved = [number for number in file_numbers(self._folder) if number < position.file]
        if moved and not self._store.checkpoint():
            return
        for number in moved:
            file = file_of(self._folder, number)
            if number in self._damaged_files:
                file.rename(file.with_suffix(".damaged"))
            else:
                file.unlink(missing_ok=True)
        self.has_moved_files = False

    def unmoved_bytes(self) -> int:
        """Return the size of what is not in the database yet."""
        position = self._reader.position
        sizes = 0
        for number in file_numbers(self._folder):
            if number >= position.file:
                sizes += file_of(self._folder, number).stat().st_size
        return max(sizes - position.offset, 0)

    def _write(self, connection: sqlite3.Connection, closed: list[bytes]) -> None:
        if not closed:
            return
        for start in range(0, len(closed), STRETCH):
            rows = []
            for payload in closed[start : start + STRETCH]:
                entry = _decode(payload)
                if entry is not None:
                    rows.append(self._rows.row(connection, entry))
            _insert(connection, rows)
        _move_batch(connection)

    def _forget_stored(self, connection: sqlite3.Connection, ended: list[int]) -> None:
        if self._stored:
            gone = [(request,) for request in ended if request in self._stored]
            connection.executemany("DELETE FROM under_way WHERE id = ?", gone)

    def _store_under_way(self, connection: sqlite3.Connection, under_way: dict[int, bytes]) -> None:
        connection.executemany("INSERT OR IGNORE INTO under_way VALUES (?, ?)", under_way.items())

    def _after(self, piece: Piece, under_way: dict[int, bytes], ended: list[int], next_file: bool) -> None:
        self._under_way = under_way
        self._stored.difference_update(ended)
        if piece.damaged:
            self.damaged += piece.damaged
            self._damaged_files.add(self._reader.position.file)
        if next_file:
            self._stored.update(under_way)
            self.has_moved_files = True
        self._reader.advance(piece.after)


def _sort(piece: Piece) -> tuple[dict[int, bytes], list[int], list[bytes]]:
    """Return the `Opened` without their `Closed`, the requests that ended, and the `Closed`."""
    opened: dict[int, bytes] = {}
    ended: list[int] = []
    closed: list[bytes] = []
    for kind, request, payload in piece.frames:
        if kind == CLOSED:
            closed.append(payload)
            if opened.pop(request, None) is None:
                ended.append(request)
        else:
            opened[request] = payload
    return opened, ended, closed


def _decode(payload: bytes) -> Closed | None:
    """Decode an entry; None for one that a program of another version wrote."""
    try:
        return decode_closed(payload)
    except msgspec.MsgspecError:
        return None


def _insert(connection: sqlite3.Connection, rows: list[Row]) -> None:
    at = 0
    for count, statement in _INSERTS.items():
        while len(rows) - at >= count:
            flat: list[int | str | bytes | None] = []
            for row in rows[at : at + count]:
                flat += row
            connection.execute(statement, flat)
            at += count


def _move_batch(connection: sqlite3.Connection) -> None:
    for statement in _MOVE_BATCH:
        connection.execute(statement)


def _set_position(connection: sqlite3.Connection, position: Position) -> None:
    connection.execute(
        "UPDATE ledger SET journal_file = ?, journal_offset = ?", (position.file, position.offset)
    )
