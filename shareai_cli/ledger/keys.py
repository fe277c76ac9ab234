"""Clients' keys, as rows of the database; every function works within a transaction of the caller's."""

from __future__ import annotations

import sqlite3
from typing import Final

from msgspec.structs import replace

from shareai_cli.config.reading import shown as in_quotes
from shareai_cli.errors import UsageError
from shareai_cli.ledger.audit import append
from shareai_cli.ledger.key_bounds import bounded, earlier, wider
from shareai_cli.ledger.key_settings import (
    KEY_COLUMNS,
    changed_settings,
    check_name,
    check_settings,
    decode_names,
    encode_limits,
    encode_names,
    key_info,
    settings_of,
)
from shareai_cli.ledger.teams import find_team
from shareai_cli.nearest import nearest
from shareai_cli.types import Actor, Caller, KeyChanges, KeyInfo, KeySettings

_DIGESTS: Final = (
    "SELECT digest, id, NULL FROM keys WHERE revoked_ms IS NULL "
    "UNION ALL SELECT former_digests.digest, id, until_ms "
    "FROM former_digests JOIN keys ON keys.id = former_digests.key WHERE revoked_ms IS NULL"
)
_SETTINGS: Final = (
    "SELECT id, name, team, allowed, preferences, expires_ms, prefer, parent FROM keys "
    "WHERE revoked_ms IS NULL ORDER BY id"
)
_MINTED: Final = (
    "WITH RECURSIVE minted (id) AS (SELECT id FROM keys WHERE parent = ? "
    "UNION SELECT keys.id FROM keys JOIN minted ON keys.parent = minted.id) "
)
"""The ids of the keys that were minted from one, and from those."""


def active_keys(connection: sqlite3.Connection) -> dict[bytes, Caller]:
    """Return who each key is that is not revoked, by the digests of its secrets; some expire.

    A key that was minted ends with the first of those that it was minted from, and each of them bounds it.
    """
    callers: dict[int, Caller] = {}
    for number, name, team, allowed, preferences, expires_ms, prefer, parent in connection.execute(_SETTINGS):
        caller = Caller(
            number, name, team, decode_names(allowed), decode_names(preferences), expires_ms, prefer
        )
        if parent is None:
            callers[number] = caller
        elif parent in callers:  # older than what was minted from it, so that it was here before
            callers[number] = bounded(caller, callers[parent])
    found: dict[bytes, Caller] = {}
    for digest, number, until_ms in connection.execute(_DIGESTS):
        if number in callers:
            caller = callers[number]
            found[digest] = replace(caller, expires_ms=earlier(caller.expires_ms, until_ms))
    return found


def list_keys(connection: sqlite3.Connection) -> list[KeyInfo]:
    """Return every key, revoked ones included, in the order in which they were made."""
    return [key_info(row) for row in connection.execute(f"SELECT {KEY_COLUMNS} FROM keys ORDER BY id")]  # noqa: S608


def create_key(
    connection: sqlite3.Connection,
    now_ms: int,
    by: Actor,
    name: str,
    digest: bytes,
    settings: KeySettings,
    *,
    shown: str,
    parent: int | None = None,
) -> KeyInfo:
    """Keep a new key's digest.

    Raises `UsageError` where a valid key has the name, or there is no such team.
    """
    check_name(name, "key")
    check_name(settings.team, "team")
    check_settings(settings, now_ms)
    limits = encode_limits(settings.limits)
    if find_key(connection, name) is not None:
        raise UsageError(
            f"There is a key named '{name}' already.",
            hint=f"Choose another name, or end it with 'shareai key revoke {name}'.",
        )
    row = {
        "name": name,
        "digest": digest,
        "team": find_team(connection, settings.team).name,
        "shown": shown,
        "created_ms": now_ms,
        "allowed": encode_names(settings.allowed),
        "preferences": encode_names(settings.preferences),
        "expires_ms": settings.expires_ms,
        "prefer": settings.prefer,
        "may_mint": settings.may_mint,
        "limits": limits,
        "parent": parent,
    }
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO keys ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))  # noqa: S608
    made = named_key(connection, name)
    append(connection, now_ms, by, "key.create" if parent is None else "key.mint", name, after=made)
    return made


def change_key(
    connection: sqlite3.Connection, now_ms: int, by: Actor, name: str, changes: KeyChanges
) -> KeyInfo:
    """Change what a key is for; raises `UsageError` where it cannot be that."""
    former = named_key(connection, name)
    wanted = changed_settings(settings_of(former), changes)
    # An end that has passed is no reason to refuse another change.
    still = wanted.expires_ms == former.expires_ms
    check_settings(replace(wanted, expires_ms=None) if still else wanted, now_ms)
    if former.parent is not None:
        problem = wider(wanted, settings_of(key_by_id(connection, former.parent)))
        if problem is not None:
            raise UsageError(problem, hint=f"shareai key show {name}")
    connection.execute(
        "UPDATE keys SET allowed = ?, preferences = ?, expires_ms = ?, prefer = ?, may_mint = ?, limits = ? "
        "WHERE id = ?",
        (
            encode_names(wanted.allowed),
            encode_names(wanted.preferences),
            wanted.expires_ms,
            wanted.prefer,
            wanted.may_mint,
            encode_limits(wanted.limits),
            former.id,
        ),
    )
    changed = named_key(connection, name)
    if changed != former:
        append(connection, now_ms, by, "key.change", name, before=former, after=changed)
    return changed


def revoke_key(connection: sqlite3.Connection, now_ms: int, by: Actor, name: str) -> KeyInfo:
    """End a key, and those that were minted from it; raises `UsageError` where no valid key has the name."""
    found = named_key(connection, name)
    for key in (found, *descendants(connection, found.id)):
        if key.revoked_ms is None:
            connection.execute("UPDATE keys SET revoked_ms = ? WHERE id = ?", (now_ms, key.id))
            revoked = replace(key, revoked_ms=now_ms)
            append(connection, now_ms, by, "key.revoke", key.name, before=key, after=revoked)
    return replace(found, revoked_ms=now_ms)


def rotate_key(
    connection: sqlite3.Connection,
    now_ms: int,
    by: Actor,
    name: str,
    digest: bytes,
    *,
    overlap_ms: int,
    shown: str,
) -> KeyInfo:
    """Give a key another secret; those of before are valid for `overlap_ms` at most. See `revoke_key`."""
    found = named_key(connection, name)
    until = now_ms + overlap_ms
    connection.execute("DELETE FROM former_digests WHERE until_ms <= ?", (now_ms,))
    connection.execute(
        "UPDATE former_digests SET until_ms = MIN(until_ms, ?) WHERE key = ?", (until, found.id)
    )
    connection.execute(
        "INSERT INTO former_digests (digest, key, until_ms) SELECT digest, id, ? FROM keys WHERE id = ?",
        (until, found.id),
    )
    connection.execute(
        "UPDATE keys SET digest = ?, shown = ?, rotated_ms = ? WHERE id = ?",
        (digest, shown, now_ms, found.id),
    )
    rotated = named_key(connection, name)
    append(connection, now_ms, by, "key.rotate", name, before=found, after=rotated)
    return rotated


def descendants(connection: sqlite3.Connection, number: int) -> list[KeyInfo]:
    """Return the keys that were minted from one, and from those, revoked ones included."""
    query = f"{_MINTED} SELECT {KEY_COLUMNS} FROM keys WHERE id IN minted ORDER BY id"  # noqa: S608 - constant
    return [key_info(row) for row in connection.execute(query, (number,))]


def descendant_ids(connection: sqlite3.Connection, number: int) -> tuple[int, ...]:
    """Return the ids of the same."""
    query = f"{_MINTED} SELECT id FROM minted ORDER BY id"  # noqa: S608 - constant
    return tuple(row[0] for row in connection.execute(query, (number,)))


def count_descendants(connection: sqlite3.Connection, number: int) -> int:
    """Return how many of the same are not revoked."""
    query = f"{_MINTED} SELECT count(*) FROM keys WHERE id IN minted AND revoked_ms IS NULL"  # noqa: S608
    return int(connection.execute(query, (number,)).fetchone()[0])


def minted_since(connection: sqlite3.Connection, number: int, since_ms: int) -> tuple[int, int]:
    """Return how many of the same were made after a time, revoked ones included, and when the first was."""
    query = f"{_MINTED} SELECT count(*), min(created_ms) FROM keys WHERE id IN minted AND created_ms > ?"  # noqa: S608
    count, first_ms = connection.execute(query, (number, since_ms)).fetchone()
    return int(count), int(first_ms or since_ms)


def find_key(connection: sqlite3.Connection, name: str) -> KeyInfo | None:
    """Return the valid key of a name; None where there is none."""
    row = connection.execute(
        f"SELECT {KEY_COLUMNS} FROM keys WHERE name = ? AND revoked_ms IS NULL",  # noqa: S608 - constant
        (name,),
    ).fetchone()
    return key_info(row) if row else None


def key_by_id(connection: sqlite3.Connection, number: int) -> KeyInfo:
    """Return a key that there is, revoked or not."""
    query = f"SELECT {KEY_COLUMNS} FROM keys WHERE id = ?"  # noqa: S608 - constant
    return key_info(connection.execute(query, (number,)).fetchone())


def named_key(connection: sqlite3.Connection, name: str) -> KeyInfo:
    """Return the valid key of a name; raises `UsageError`."""
    found = find_key(connection, name)
    if found is None:
        rows = connection.execute("SELECT name FROM keys WHERE revoked_ms IS NULL").fetchall()
        near = nearest(name, [row[0] for row in rows])
        hint = f"Did you mean '{near}'?" if near else "'shareai key list' shows all keys."
        raise UsageError(f"There is no valid key named {in_quotes(name)}.", hint=hint)
    return found
