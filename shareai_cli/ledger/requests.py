"""Single requests with their attempts: the latest ones, and one by its public id."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any, Final

import msgspec

from shareai_cli.errors import UsageError
from shareai_cli.ledger.codes import BASES, OUTCOMES
from shareai_cli.ledger.database import connect_reader, understood
from shareai_cli.ledger.entries import Opened, parse_public_id, public_id
from shareai_cli.ledger.store import Store
from shareai_cli.paths import Paths
from shareai_cli.types import Attempt, CostBasis, RequestRow, Usage

MOST: Final = 10_000
"""Requests that are returned at once."""

_QUERY: Final = (
    "SELECT requests.*, teams.name AS team_name, routes.name AS route_name, targets.name AS target_name, "
    "provider_keys.name AS provider_key_name, errors.name AS error_name, keys.name AS key_name FROM requests "
    "JOIN names AS teams ON teams.id = requests.team JOIN names AS routes ON routes.id = requests.route "
    "JOIN targets ON targets.id = requests.target "
    "JOIN names AS provider_keys ON provider_keys.id = requests.provider_key "
    "JOIN names AS errors ON errors.id = requests.error LEFT JOIN keys ON keys.id = requests.key "
)


def recent(source: Paths | Store, limit: int = 20) -> list[RequestRow]:
    """Return the latest requests, the newest first, without those of drills; raises `LedgerUnavailable`."""
    return _select(
        source, "WHERE requests.drill = 0 ORDER BY requests.id DESC LIMIT ?", min(max(limit, 0), MOST)
    )


def find(source: Paths | Store, request: str) -> RequestRow | None:
    """Return one request by its public id, None where the accounts have none such.

    Raises `UsageError` where the text is no id, and `LedgerUnavailable`.
    """
    found = _select(source, "WHERE requests.id = ?", number_of(request))
    return found[0] if found else None


def number_of(request: str) -> int:
    """Return the number of a request from its public id; raises `UsageError` where the text is none."""
    number = parse_public_id(request)
    if number is None:
        raise UsageError(
            "That is no request's id.",
            hint="The header x-request-id tells it: req_ and 16 digits. The latest one: shareai explain last",
        )
    return number


def row_under_way(entry: Opened, key: str) -> RequestRow:
    """Return what is known of a request before its end: who asked, and for what."""
    return RequestRow(
        id=public_id(entry.request),
        time_ms=entry.time_ms,
        key=key,
        team=entry.team,
        route=entry.route,
        target="",
        provider_key="",
        status=0,
        streamed=entry.streamed,
        outcome=None,
        error="",
        attempts=(),
        usage=Usage(),
        estimated_tokens=False,
        cost_nano=None,
        basis=CostBasis.UNKNOWN,
        first_token_us=0,
        total_us=0,
        prompt_bytes=entry.prompt_bytes,
        completion_bytes=0,
        fingerprint=entry.fingerprint,
    )


def _select(source: Paths | Store, condition: str, value: int) -> list[RequestRow]:
    path = source.path if isinstance(source, Store) else source.database
    with understood(path), closing(connect_reader(path)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN")
        rows = connection.execute(_QUERY + condition, (value,)).fetchall()
        return [_row(connection, row) for row in rows]


def _row(connection: sqlite3.Connection, row: sqlite3.Row) -> RequestRow:
    return RequestRow(
        id=public_id(row["id"]),
        time_ms=row["time_ms"],
        key=row["key_name"] or "",
        team=row["team_name"],
        route=row["route_name"],
        target=row["target_name"],
        provider_key=row["provider_key_name"],
        status=row["status"],
        streamed=bool(row["streamed"]),
        outcome=OUTCOMES[row["outcome"]],
        error=row["error_name"],
        attempts=_attempts(connection, row),
        usage=Usage(row["prompt"], row["cached"], row["cache_write"], row["completion"], row["reasoning"]),
        estimated_tokens=bool(row["estimated_tokens"]),
        cost_nano=row["cost_nano"],
        basis=BASES[row["basis"]],
        first_token_us=row["first_token_us"],
        total_us=row["total_us"],
        prompt_bytes=row["prompt_bytes"],
        completion_bytes=row["completion_bytes"],
        fingerprint=row["fingerprint"] or b"",
    )


def _attempts(connection: sqlite3.Connection, row: sqlite3.Row) -> tuple[Attempt, ...]:
    if row["attempts"] is not None:
        short: list[list[int]] = msgspec.json.decode(row["attempts"])
        return tuple(
            Attempt(
                _name(connection, "targets", target),
                _name(connection, "names", key),
                _name(connection, "names", outcome),
                status,
                duration_us,
            )
            for target, key, outcome, status, duration_us in short
        )
    if row["attempt_us"] is None:
        return ()
    return (Attempt(row["target_name"], row["provider_key_name"], "ok", row["status"], row["attempt_us"]),)


def _name(connection: sqlite3.Connection, table: str, number: int) -> str:
    found: Any = connection.execute(f"SELECT name FROM {table} WHERE id = ?", (number,)).fetchone()  # noqa: S608
    return str(found[0]) if found else ""
