"""The drills that were run: what they found, kept so that a change can be seen."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Final

from shareai_cli.drill_types import DrillRecord
from shareai_cli.errors import UsageError
from shareai_cli.ledger.database import connect_reader, understood
from shareai_cli.ledger.entries import drill_id, parse_drill_id
from shareai_cli.ledger.store import Store
from shareai_cli.paths import Paths

MOST: Final = 500
"""Drills that are kept; the oldest go."""

LONGEST_REPORT: Final = 4 << 20
"""Characters."""


def keep_drill(store: Store, record: DrillRecord) -> None:
    """Keep what a drill found; raises `UsageError` where it is no drill's, and `LedgerUnavailable`."""
    number = parse_drill_id(record.id)
    if number is None or len(record.report) > LONGEST_REPORT:
        raise UsageError("That is no drill's report.")
    row = (number, record.began_ms, record.ended_ms, record.cause, record.verdict, record.report)
    with understood(store.path), store.transaction() as connection:
        connection.execute("INSERT OR REPLACE INTO drills VALUES (?, ?, ?, ?, ?, ?)", row)
        connection.execute(
            "DELETE FROM drills WHERE id NOT IN (SELECT id FROM drills ORDER BY id DESC LIMIT ?)", (MOST,)
        )


def list_drills(source: Paths | Store, limit: int) -> Sequence[DrillRecord]:
    """Return the latest drills, the newest first; raises `LedgerUnavailable`."""
    path = source.path if isinstance(source, Store) else source.database
    with understood(path), closing(connect_reader(path)) as connection:
        rows = connection.execute(
            "SELECT id, began_ms, ended_ms, cause, verdict, report FROM drills ORDER BY id DESC LIMIT ?",
            (min(max(limit, 0), MOST),),
        ).fetchall()
    return [_record(row) for row in rows]


def _record(row: sqlite3.Row | tuple[int, int, int, str, str, str]) -> DrillRecord:
    number, *rest = row
    return DrillRecord(drill_id(number), *rest)
