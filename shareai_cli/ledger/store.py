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

from shareai_cli.ledger import keys, minting, overrides, teams
from shareai_cli.ledger.audit import append
from shareai_cli.ledger.database import connect, understood
from shareai_cli.ledger.declared import declared_limits
from shareai_cli.ledger.key_settings import check_name
from shareai_cli.overrides import NodeOrder, NodeOverride, Overrides, TargetOrder, TargetOverride
from shareai_cli.types import (
    GATEWAY,
    PLAIN_KEY,
    Actor,
    Caller,
    KeyChanges,
    KeyInfo,
    KeySettings,
    LimitChanges,
    Limits,
    NodeInfo,
    Subject,
    TeamInfo,
    WallClock,
    WrittenLimits,
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
        with self._reading() as connection:
            return keys.active_keys(connection)

    def limits(self) -> dict[Subject, Limits]:
        """Return the limits of teams, and of keys that are not revoked, where they have any."""
        with self._reading() as connection:
            return declared_limits(connection)

    def list_keys(self) -> list[KeyInfo]:
        """Return every key, revoked ones included, in the order in which they were made."""
        with self._reading() as connection:
            return keys.list_keys(connection)

    def create_key(
        self,
        name: str,
        digest: bytes,
        settings: KeySettings = PLAIN_KEY,
        *,
        shown: str = "",
        by: Actor = GATEWAY,
    ) -> KeyInfo:
        """Keep a new key's digest; `UsageError` where a valid key has the name, or there is no such team."""
        with self._changing() as (connection, now_ms):
            return keys.create_key(connection, now_ms, by, name, digest, settings, shown=shown)

    def change_key(self, name: str, changes: KeyChanges, *, by: Actor = GATEWAY) -> KeyInfo:
        """Change what a key is for; raises `UsageError`."""
        with self._changing() as (connection, now_ms):
            return keys.change_key(connection, now_ms, by, name, changes)

    def revoke_key(self, name: str, *, by: Actor = GATEWAY) -> KeyInfo:
        """End a key, and those minted from it; raises `UsageError` where no valid key has the name."""
        with self._changing() as (connection, now_ms):
            return keys.revoke_key(connection, now_ms, by, name)

    def rotate_key(
        self, name: str, digest: bytes, *, overlap_ms: int = 0, shown: str = "", by: Actor = GATEWAY
    ) -> KeyInfo:
        """Give a key another secret; those of before are valid for `overlap_ms` at most.

        Raises `UsageError` where no valid key has the name.
        """
        with self._changing() as (connection, now_ms):
            return keys.rotate_key(connection, now_ms, by, name, digest, overlap_ms=overlap_ms, shown=shown)

    def mint_key(
        self, caller: Caller, name: str, digest: bytes, wanted: KeyChanges, *, shown: str = ""
    ) -> KeyInfo:
        """Make a key for a key; raises `PermissionRefused`, `RateLimited`, `UsageError`."""
        with self._changing() as (connection, now_ms):
            return minting.mint_key(connection, now_ms, caller, name, digest, wanted, shown=shown)

    def minted_keys(self, caller: Caller) -> list[KeyInfo]:
        """Return the valid keys that were minted from a key, and from those."""
        with self._reading() as connection:
            return minting.minted_keys(connection, caller)

    def revoke_minted(self, caller: Caller, name: str) -> KeyInfo:
        """End a key that was minted from a key; raises `UnknownKey`."""
        with self._changing() as (connection, now_ms):
            return minting.revoke_minted(connection, now_ms, caller, name)

    def list_teams(self) -> list[TeamInfo]:
        """Return the teams that there are, in the order in which they were made."""
        with self._reading() as connection:
            return teams.list_teams(connection)

    def create_team(self, name: str, limits: WrittenLimits, *, by: Actor = GATEWAY) -> TeamInfo:
        """Make a team; raises `UsageError`."""
        with self._changing() as (connection, now_ms):
            return teams.create_team(connection, now_ms, by, name, limits)

    def change_team(self, name: str, limits: LimitChanges, *, by: Actor = GATEWAY) -> TeamInfo:
        """Set limits of a team, and take those away that are None; raises `UsageError`."""
        with self._changing() as (connection, now_ms):
            return teams.change_team(connection, now_ms, by, name, limits)

    def remove_team(self, name: str, *, by: Actor = GATEWAY) -> TeamInfo:
        """Remove a team without valid keys; raises `UsageError`."""
        with self._changing() as (connection, now_ms):
            return teams.remove_team(connection, now_ms, by, name)

    def register_node(
        self,
        name: str,
        facts: Mapping[str, object],
        models: Collection[str] = (),
        *,
        by: Actor = GATEWAY,
    ) -> NodeInfo:
        """Keep a machine's facts and the models that it serves, in the place of what was known of it."""
        check_name(name, "node")
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

    def overrides(self) -> Overrides:
        """Return what is ordered of targets and nodes otherwise than the configuration says."""
        with self._reading() as connection:
            return overrides.list_overrides(connection)

    def override_target(self, order: TargetOrder, *, by: Actor = GATEWAY) -> TargetOverride:
        """Order something of a target of a route; return what holds of it from now on."""
        with self._changing() as (connection, now_ms):
            return overrides.override_target(connection, now_ms, by, order)

    def override_node(self, order: NodeOrder, *, by: Actor = GATEWAY) -> NodeOverride:
        """Order something of a machine; return what holds of it from now on."""
        with self._changing() as (connection, now_ms):
            return overrides.override_node(connection, now_ms, by, order)

    def record(
        self, by: Actor, action: str, subject: str, *, before: object = None, after: object = None
    ) -> None:
        """Add a change to the audit that is made elsewhere than in this database; no secret may be in it."""
        with understood(self.path), self.transaction() as connection:
            append(connection, self._now_ms(), by, action, subject, before=before, after=after)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with understood(self.path), self._lock:
            yield self._connection

    @contextmanager
    def _changing(self) -> Iterator[tuple[sqlite3.Connection, int]]:
        with understood(self.path), self.transaction() as connection:
            yield connection, self._now_ms()

    def _now_ms(self) -> int:
        return int(self._wall_clock() * 1000)


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
