"""The database as the rest of the gateway knows it: keys, nodes, and one writing connection behind a lock."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from shareai_cli.errors import UsageError
from shareai_cli.ledger.audit import append
from shareai_cli.ledger.database import connect, understood
from shareai_cli.ledger.key_settings import (
    KEY_COLUMNS,
    check_settings,
    decode_names,
    encode_names,
    key_info,
)
from shareai_cli.nearest import nearest
from shareai_cli.types import GATEWAY, PLAIN_KEY, Actor, Caller, KeyInfo, KeySettings, NodeInfo, WallClock

LONGEST_NAME: Final = 100
"""Characters of a key's, team's or node's name."""

_ACTIVE_KEYS: Final = (
    "SELECT digest, id, name, team, allowed, preferences, expires_ms FROM keys WHERE revoked_ms IS NULL "
    "UNION ALL SELECT former_digests.digest, id, name, team, allowed, preferences, "
    "MIN(until_ms, IFNULL(expires_ms, until_ms)) "
    "FROM former_digests JOIN keys ON keys.id = former_digests.key WHERE revoked_ms IS NULL"
)
_NODE_COLUMNS: Final = "id, name, facts, models, registered_ms, updated_ms"


class Store:
    """The database of this process. Every method may be called from any thread, and may wait for the disk.

    Raises `LedgerUnavailable` where the database refuses.
    """

    def __init__(self, path: Path, wall_clock: WallClock = time.time) -> None:
        self.path = path
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._connection = connect(path)

    def __repr__(self) -> str:
        return f"<Store {self.path}>"

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection within a transaction that is all or nothing; raises `sqlite3.Error`."""
        with self._lock:
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def checkpoint(self) -> bool:
        """Bring everything from the write-ahead log into the database file, on the disk itself.

        False where a reader holds some of it back; raises `sqlite3.Error`.
        """
        with self._lock:
            row = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        busy, logged, moved = row
        return not busy and logged == moved

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    def active_keys(self) -> dict[bytes, Caller]:
        """Return who each key is that is not revoked, by the digests of its secrets; some expire."""
        with understood(self.path), self._lock:
            rows = self._connection.execute(_ACTIVE_KEYS).fetchall()
        return {
            digest: Caller(number, name, team, decode_names(allowed), decode_names(preferences), expires_ms)
            for digest, number, name, team, allowed, preferences, expires_ms in rows
        }

    def create_key(
        self,
        name: str,
        digest: bytes,
        settings: KeySettings = PLAIN_KEY,
        *,
        shown: str = "",
        by: Actor = GATEWAY,
    ) -> KeyInfo:
        """Keep a new key's digest; raises `UsageError` where a valid key has the name."""
        created_ms = self._now_ms()
        _check_name(name, "key")
        _check_name(settings.team, "team")
        check_settings(settings, created_ms)
        allowed, preferences = encode_names(settings.allowed), encode_names(settings.preferences)
        row = (name, digest, settings.team, shown, created_ms, allowed, preferences, settings.expires_ms)
        with understood(self.path), self.transaction() as connection:
            if _find_key(connection, name) is not None:
                raise UsageError(
                    f"There is a key named '{name}' already.",
                    hint=f"Choose another name, or end it with 'shareai key revoke {name}'.",
                )
            connection.execute(
                "INSERT INTO keys (name, digest, team, shown, created_ms, allowed, preferences, expires_ms) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            made = _key(connection, name)
            append(connection, created_ms, by, "key.create", name, after=made)
            return made

    def list_keys(self) -> list[KeyInfo]:
        """Return every key, revoked ones included, in the order in which they were made."""
        with understood(self.path), self._lock:
            rows = self._connection.execute(f"SELECT {KEY_COLUMNS} FROM keys ORDER BY id").fetchall()  # noqa: S608
        return [key_info(row) for row in rows]

    def revoke_key(self, name: str, *, by: Actor = GATEWAY) -> KeyInfo:
        """End a key; raises `UsageError` where no valid key has the name."""
        with understood(self.path), self.transaction() as connection:
            found = _find_key(connection, name)
            if found is None:
                raise _unknown_key(connection, name)
            revoked_ms = self._now_ms()
            connection.execute("UPDATE keys SET revoked_ms = ? WHERE id = ?", (revoked_ms, found.id))
            revoked = msgspec.structs.replace(found, revoked_ms=revoked_ms)
            append(connection, revoked_ms, by, "key.revoke", name, before=found, after=revoked)
            return revoked

    def rotate_key(
        self, name: str, digest: bytes, *, overlap_ms: int = 0, shown: str = "", by: Actor = GATEWAY
    ) -> KeyInfo:
        """Give a key another secret; those of before are valid for `overlap_ms` at most.

        Raises `UsageError` where no valid key has the name.
        """
        with understood(self.path), self.transaction() as connection:
            found = _key(connection, name)
            now = self._now_ms()
            until = now + overlap_ms
            connection.execute("DELETE FROM former_digests WHERE until_ms <= ?", (now,))
            connection.execute(
                "UPDATE former_digests SET until_ms = MIN(until_ms, ?) WHERE key = ?", (until, found.id)
            )
            connection.execute(
                "INSERT INTO former_digests (digest, key, until_ms) "
                "SELECT digest, id, ? FROM keys WHERE id = ?",
                (until, found.id),
            )
            connection.execute(
                "UPDATE keys SET digest = ?, shown = ?, rotated_ms = ? WHERE id = ?",
                (digest, shown, now, found.id),
            )
            rotated = _key(connection, name)
            append(connection, now, by, "key.rotate", name, before=found, after=rotated)
            return rotated

    def register_node(
        self,
        name: str,
        facts: Mapping[str, object],
        models: Collection[str] = (),
        *,
        by: Actor = GATEWAY,
    ) -> NodeInfo:
        """Keep a machine's facts and the models that it serves, in the place of what was known of it."""
        _check_name(name, "node")
        now = self._now_ms()
        encode = msgspec.json.encode
        row = (name, encode(facts).decode(), encode(sorted(set(models))).decode(), now, now)
        with understood(self.path), self.transaction() as connection:
            former = _find_node(connection, name)
            connection.execute(
                "INSERT INTO nodes (name, facts, models, registered_ms, updated_ms) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET "
                "facts = excluded.facts, models = excluded.models, updated_ms = excluded.updated_ms",
                row,
            )
            node = _find_node(connection, name)
            append(connection, now, by, "node.register", name, before=former, after=node)
            assert node is not None  # noqa: S101 - it was just written
            return node

    def list_nodes(self) -> list[NodeInfo]:
        """Return every machine, by name."""
        with understood(self.path), self._lock:
            rows = self._connection.execute(f"SELECT {_NODE_COLUMNS} FROM nodes ORDER BY name").fetchall()  # noqa: S608
        return [_node(row) for row in rows]

    def record(
        self, by: Actor, action: str, subject: str, *, before: object = None, after: object = None
    ) -> None:
        """Add a change to the audit that is made elsewhere than in this database; no secret may be in it."""
        with understood(self.path), self.transaction() as connection:
            append(connection, self._now_ms(), by, action, subject, before=before, after=after)

    def _now_ms(self) -> int:
        return int(self._wall_clock() * 1000)


def _find_key(connection: sqlite3.Connection, name: str) -> KeyInfo | None:
    row = connection.execute(
        f"SELECT {KEY_COLUMNS} FROM keys WHERE name = ? AND revoked_ms IS NULL",  # noqa: S608 - constant
        (name,),
    ).fetchone()
    return key_info(row) if row else None


def _key(connection: sqlite3.Connection, name: str) -> KeyInfo:
    found = _find_key(connection, name)
    if found is None:
        raise _unknown_key(connection, name)
    return found


def _unknown_key(connection: sqlite3.Connection, name: str) -> UsageError:
    rows = connection.execute("SELECT name FROM keys WHERE revoked_ms IS NULL").fetchall()
    near = nearest(name, [row[0] for row in rows])
    hint = f"Did you mean '{near}'?" if near else "'shareai key list' shows all keys."
    return UsageError(f"There is no valid key named '{name[:LONGEST_NAME]}'.", hint=hint)


def _check_name(name: str, what: str) -> None:
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise UsageError(
            f"That is no name for a {what}.",
            hint=f"A name is 1 to {LONGEST_NAME} printable characters, without spaces around them.",
        )


def _find_node(connection: sqlite3.Connection, name: str) -> NodeInfo | None:
    query = f"SELECT {_NODE_COLUMNS} FROM nodes WHERE name = ?"  # noqa: S608 - constant
    row = connection.execute(query, (name,)).fetchone()
    return _node(row) if row else None


def _node(row: tuple[int, str, str, str, int, int]) -> NodeInfo:
    number, name, facts, models, registered_ms, updated_ms = row
    return NodeInfo(
        id=number,
        name=name,
        facts=msgspec.json.decode(facts, type=dict[str, object]),
        models=msgspec.json.decode(models, type=tuple[str, ...]),
        registered_ms=registered_ms,
        updated_ms=updated_ms,
    )
