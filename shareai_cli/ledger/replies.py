"""Replies at rest: what the cache keeps beyond the process, in an SQLite file of its own.

There is no such file unless the configuration asks for one. It holds replies and where they came from, never
requests: their keys are salted hashes. Losing it costs nothing but the replies, so a file that is damaged or
of another version is made anew.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from shareai_cli.errors import UsageError
from shareai_cli.nearest import nearest

Fields = tuple[tuple[bytes, bytes], ...]

VERSION: Final = 1
"""`user_version` of the file."""

BUSY_SECONDS: Final = 2.0

ROW_BYTES: Final = 256
"""What a reply takes in the file beside itself, about."""

_SCHEMA: Final = """
CREATE TABLE replies (
    key BLOB PRIMARY KEY,
    route TEXT NOT NULL,
    kept_ms INTEGER NOT NULL,
    size INTEGER NOT NULL,
    reply BLOB NOT NULL
);
CREATE INDEX by_age ON replies (route, kept_ms);
CREATE TABLE totals (route TEXT PRIMARY KEY, replies INTEGER NOT NULL, size INTEGER NOT NULL);
CREATE TRIGGER came AFTER INSERT ON replies BEGIN
    INSERT INTO totals VALUES (new.route, 1, new.size)
        ON CONFLICT (route) DO UPDATE SET replies = replies + 1, size = size + new.size;
END;
CREATE TRIGGER went AFTER DELETE ON replies BEGIN
    UPDATE totals SET replies = replies - 1, size = size - old.size WHERE route = old.route;
END;
"""

_NEW_FILE: Final = ("PRAGMA auto_vacuum = FULL",)
"""What has to be said before the first table: what is deleted makes the file smaller."""

_EVERY_TIME: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = OFF",  # a power loss may cost the file, and nothing else
    "PRAGMA secure_delete = ON",
    "PRAGMA journal_size_limit = 4194304",
)


class KeptReply(Struct, frozen=True, array_like=True):
    """A complete reply, as it can be given again."""

    status: int
    headers: Fields
    lines: bytes
    """More fields, ready to be sent."""
    pieces: tuple[bytes, ...]
    """A stream's events, or the one body."""
    streamed: bool
    target: str
    """`provider/model` of who gave it."""
    kept_ms: int
    """When it was complete."""

    @property
    def size(self) -> int:
        """Bytes of the pieces."""
        return sum(map(len, self.pieces))


class Stored(Struct, frozen=True):
    """How many replies of a route the file holds, and how large they are."""

    route: str
    replies: int
    size: int


_encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(KeptReply)


class Replies:
    """The file, opened when it is first needed. Methods may be called from any thread, and wait for the disk.

    They raise `sqlite3.Error` and `OSError`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def __repr__(self) -> str:
        return f"<Replies {self._path}>"

    @property
    def exists(self) -> bool:
        """Whether there is a file."""
        return self._path.exists()

    def find(self, key: bytes, since_ms: int, until_ms: int) -> KeptReply | None:
        """Return a reply that was kept from `since_ms` to `until_ms`."""
        if not self.exists:
            return None
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT reply FROM replies WHERE key = ? AND kept_ms BETWEEN ? AND ?",
                (key, since_ms, until_ms),
            ).fetchone()
            if row is None:
                return None
            try:
                return _decoder.decode(row[0])
            except msgspec.MsgspecError:
                connection.execute("DELETE FROM replies WHERE key = ?", (key,))
                return None

    def keep(self, key: bytes, route: str, reply: KeptReply, *, most: int, since_ms: int) -> None:
        """Keep a reply; the route's oldest go until those left are `most` bytes and none older than that."""
        encoded = _encode(reply)
        size = len(encoded) + ROW_BYTES
        if size > most:
            return
        with self._transaction() as connection:
            connection.execute("DELETE FROM replies WHERE route = ? AND kept_ms < ?", (route, since_ms))
            connection.execute("DELETE FROM replies WHERE key = ?", (key,))
            connection.execute(
                "INSERT INTO replies VALUES (?, ?, ?, ?, ?)", (key, route, reply.kept_ms, size, encoded)
            )
            _shrink(connection, route, most)

    def stored(self) -> list[Stored]:
        """Return what the file holds, by route; nothing where there is none."""
        if not self.exists:
            return []
        with self._transaction() as connection:
            rows = connection.execute("SELECT route, replies, size FROM totals WHERE replies ORDER BY route")
            return [Stored(*row) for row in rows]

    def clear(self, route: str | None = None) -> None:
        """Delete every reply, or those of a route."""
        if not self.exists:
            return
        if route is None:
            with self._lock:
                self._remove()
        else:
            with self._transaction() as connection:
                connection.execute("DELETE FROM replies WHERE route = ?", (route,))

    def retain(self, routes: Collection[str]) -> None:
        """Delete the replies of all other routes; without any, the file itself."""
        if not routes:
            self.clear()
        for one in self.stored():
            if one.route not in routes:
                self.clear(one.route)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            connection = self._connection
            if connection is None:
                connection = self._connection = self._open()
            try:
                with connection:
                    connection.execute("BEGIN IMMEDIATE")
                    yield connection
            except sqlite3.DatabaseError as error:
                if _is_damage(error):
                    self._remove()
                raise

    def _open(self) -> sqlite3.Connection:
        try:
            return self._prepared()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
        self._remove()
        return self._prepared()

    def _prepared(self) -> sqlite3.Connection:
        is_new = not self._path.exists()
        if is_new:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            for statement in (*(_NEW_FILE if is_new else ()), *_EVERY_TIME):
                connection.execute(statement)
            if is_new:
                connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT")
            if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                raise _OtherVersionError
        except BaseException:
            connection.close()
            raise
        return connection

    def _remove(self) -> None:
        self._close()
        for ending in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                self._path.with_name(self._path.name + ending).unlink()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def no_such_cache(route: str, known: list[str]) -> UsageError:
    """Say that a route keeps nothing, and name the nearest that does."""
    near = nearest(route, known)
    shown = route if len(route) <= 100 else route[:97] + "..."
    return UsageError(
        f"There is no cache of a route '{shown}'.",
        hint=f"Did you mean '{near}'?" if near else "'shareai cache stats' shows which routes have one.",
    )


class _OtherVersionError(sqlite3.DatabaseError):
    """A program of another version made the file."""


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    name = getattr(error, "sqlite_errorname", "")
    return isinstance(error, _OtherVersionError) or name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def _shrink(connection: sqlite3.Connection, route: str, most: int) -> None:
    """Delete the oldest replies of a route beyond `most` bytes."""
    [total] = connection.execute("SELECT size FROM totals WHERE route = ?", (route,)).fetchone()
    excess = total - most
    if excess <= 0:
        return
    gone: list[tuple[bytes]] = []
    for key, size in connection.execute(
        "SELECT key, size FROM replies WHERE route = ? ORDER BY kept_ms, rowid", (route,)
    ):
        gone.append((key,))
        excess -= size
        if excess <= 0:
            break
    connection.executemany("DELETE FROM replies WHERE key = ?", gone)
