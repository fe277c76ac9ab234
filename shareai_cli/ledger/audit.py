"""The audit: a row for each change, chained by hashes, so that rows that were tampered with can be named.

`audit_chain` tells how. `audit_head` has the last row's id and hash: a removal at the end is seen too. All of
it is written in the transaction of the change itself.

What this does not do: no secret goes into the hashes, so whoever may write the database can write it anew,
from some row to the end and the head, or cut rows off the end with the head set back, and it is whole again.
Only a copy that such a person cannot reach tells then: an export, or the head's hash noted down elsewhere.
Whoever rewrites all rows from some point on, and not the head, is seen at the last row alone.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from shareai_cli.ledger.audit_chain import Head, Values, faults_of, hash_of, look_at
from shareai_cli.ledger.database import connect_reader, understood
from shareai_cli.ledger.schema import AUDIT_START
from shareai_cli.types import Actor, AuditRow, AuditVerdict

MOST: Final = 1000
"""Rows that are returned at once."""

_LOWEST: Final = -(1 << 63)

_COLUMNS: Final = "id, time_ms, actor, origin, action, subject, before, after, previous, hash"

_INSERT: Final = f"INSERT INTO audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants


def append(
    connection: sqlite3.Connection,
    time_ms: int,
    by: Actor,
    action: str,
    subject: str,
    *,
    before: object = None,
    after: object = None,
) -> None:
    """Add a row within the transaction of the change that it tells of; raises `sqlite3.Error`.

    `before` and `after` become JSON. The caller answers for there being no secret in them. A chain that was
    tampered with is gone on with: to tell of that is for `verify_audit`, and keys have to be revocable.
    """
    head = connection.execute("SELECT last_id, hash FROM audit_head").fetchone()
    number, previous = (head[0] + 1, head[1]) if _is_head(head) else (1, AUDIT_START)
    while connection.execute("SELECT 1 FROM audit WHERE id = ?", (number,)).fetchone():
        number += 1  # somebody else has put a row there
    texts = [_clean(text) for text in (by.name, by.origin, action, subject)]
    values = (number, time_ms, *texts, _json(before), _json(after), previous)
    new = hash_of(values)
    connection.execute(_INSERT, (*values, new))
    connection.execute("UPDATE audit_head SET last_id = ?, hash = ?", (number, new))


def list_audit(
    path: Path, limit: int, since_ms: int | None = None, after: int | None = None
) -> list[AuditRow]:
    """Return the latest rows, the newest last, or the first ones behind an id; raises `LedgerUnavailable`."""
    limit = min(max(limit, 0), MOST)
    order = "DESC" if after is None else "ASC"
    query = f"SELECT {_COLUMNS} FROM audit WHERE time_ms >= ? AND id > ? ORDER BY id {order} LIMIT ?"  # noqa: S608
    bounds = [_LOWEST if one is None else one for one in (since_ms, after)]
    with _reading(path, errors="backslashreplace") as connection:
        rows = connection.execute(query, (*bounds, limit)).fetchall()
    return [_row(values) for values in (rows if after is not None else reversed(rows))]


def changes_made(path: Path, action: str) -> list[str]:
    """Return what rows of an action have as `after`, JSON, the newest last; raises `LedgerUnavailable`."""
    query = "SELECT after FROM audit WHERE action = ? AND after IS NOT NULL ORDER BY id"
    with _reading(path, errors="replace") as connection:
        return [str(after) for (after,) in connection.execute(query, (action,))]


def verify_audit(path: Path) -> AuditVerdict:
    """Look at every row and at the head; raises `LedgerUnavailable`."""
    with _reading(path, errors="surrogateescape") as connection:
        connection.execute("BEGIN")  # so that the rows and the head are of the same moment
        found = connection.execute("SELECT last_id, hash FROM audit_head").fetchone()
        head: Head | None = found if _is_head(found) else None
        chain = look_at(lambda: connection.execute(f"SELECT {_COLUMNS} FROM audit ORDER BY id"), head)  # noqa: S608
    return AuditVerdict(chain.rows, head[1] if head else "", tuple(faults_of(chain, head)))


def _is_head(head: tuple[object, object] | None) -> bool:
    """Tell whether that can be a record of the end."""
    return head is not None and isinstance(head[0], int) and isinstance(head[1], str)


def _json(value: object) -> str | None:
    if value is None:
        return None
    return _clean(json.dumps(msgspec.to_builtins(value), ensure_ascii=False, separators=(",", ":")))


def _clean(text: str) -> str:
    """Return a text as UTF-8 can hold it: names of files may be anything."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _row(values: Values) -> AuditRow:
    """Return a row; where somebody has put what cannot be there, as something that can be shown."""
    number, time_ms, *texts = values
    actor, origin, action, subject, before, after, previous, written = (
        text if text is None else str(text) for text in texts
    )
    return AuditRow(
        id=int(str(number)),
        time_ms=time_ms if isinstance(time_ms, int) else 0,
        actor=actor or "",
        origin=origin or "",
        action=action or "",
        subject=subject or "",
        before=before,
        after=after,
        previous=previous or "",
        hash=written or "",
    )


@contextmanager
def _reading(path: Path, *, errors: str) -> Iterator[sqlite3.Connection]:
    with understood(path), closing(connect_reader(path)) as connection:
        connection.text_factory = lambda text: text.decode("utf-8", errors)
        yield connection
