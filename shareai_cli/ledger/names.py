"""Names that a shell completes, read from the database while whoever owns it goes on writing."""

from __future__ import annotations

from contextlib import closing
from typing import Final

from shareai_cli.ledger.database import connect_reader, understood
from shareai_cli.ledger.entries import public_id
from shareai_cli.paths import Paths

MOST: Final = 1000


def valid_key_names(paths: Paths) -> list[str]:
    """Return the names of the keys that are not revoked, the newest first; raises `LedgerUnavailable`."""
    return _first_column(
        paths, "SELECT name FROM keys WHERE revoked_ms IS NULL ORDER BY id DESC LIMIT ?", MOST
    )


def team_names(paths: Paths) -> list[str]:
    """Return the names of the teams, the newest first; raises `LedgerUnavailable`."""
    return _first_column(
        paths, "SELECT name FROM teams WHERE removed_ms IS NULL ORDER BY id DESC LIMIT ?", MOST
    )


def latest_request_ids(paths: Paths, count: int) -> list[str]:
    """Return the ids of the latest requests, the newest first; raises `LedgerUnavailable`."""
    numbers = _first_column(paths, "SELECT id FROM requests WHERE drill = 0 ORDER BY id DESC LIMIT ?", count)
    return [public_id(int(number)) for number in numbers]


def _first_column(paths: Paths, query: str, most: int) -> list[str]:
    path = paths.database
    with understood(path), closing(connect_reader(path)) as connection:
        return [str(row[0]) for row in connection.execute(query, (most,))]
