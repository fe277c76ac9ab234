"""The audit: a row for each change, chained by hashes, so that rows that were tampered with can be named.

A row's hash is the SHA-256 (FIPS 180-4), in hex, of a JSON array (RFC 8259; ASCII only, no spaces) of
`[id, time_ms, actor, origin, action, subject, before, after, previous]`, where `previous` is the hash of
the row before, or 64 zeros. `audit_head` has the last row's id and hash: a removal at the end is seen too.
All of it is written in the transaction of the change itself.

What this does not do: no secret goes into the hashes, so whoever may write the database can write it anew,
from some row to the end and the head, or cut rows off the end with the head set back, and it is whole again.
Only a copy that such a person cannot reach tells then: an export, or the head's hash noted down elsewhere.
Whoever rewrites all rows from some point on, and not the head, is seen at the last row alone.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from shareai_cli.ledger.database import connect_reader, understood
from shareai_cli.ledger.schema import AUDIT_START
from shareai_cli.types import Actor, AuditFault, AuditRow, AuditVerdict

MOST: Final = 1000
"""Rows that are returned at once."""

_LOWEST: Final = -(1 << 63)

_COLUMNS: Final = "id, time_ms, actor, origin, action, subject, before, after, previous, hash"

_INSERT: Final = f"INSERT INTO audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants

_Values = tuple[object, ...]
"""A row as the database has it, whatever somebody has written there."""


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
    new = _hash(values)
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
        head = connection.execute("SELECT last_id, hash FROM audit_head").fetchone()
        links = list(_links(connection.execute(f"SELECT {_COLUMNS} FROM audit ORDER BY id")))  # noqa: S608
    faults = sorted(_faults(links, head if _is_head(head) else None), key=lambda fault: fault.first)
    return AuditVerdict(rows=len(links), head=head[1] if _is_head(head) else "", faults=tuple(faults))


class _Link(Struct, frozen=True):
    """What the chain needs of a row."""

    id: int
    previous: object
    hash: object
    fits: bool
    """Whether its hash is that of its fields."""
    fits_before: bool
    """Whether its hash would be that of its fields, if `previous` was the hash of the row before."""


def _links(rows: Iterable[_Values]) -> Iterator[_Link]:
    before: object = AUDIT_START
    for *fields, written in rows:
        number, *rest, previous = fields
        assert isinstance(number, int)  # noqa: S101 - the primary key of a table is nothing else
        fits = _hash(fields) == written
        fits_before = fits or _hash([number, *rest, before]) == written
        yield _Link(number, previous, written, fits, fits_before)
        before = written


def _faults(links: list[_Link], head: tuple[int, str] | None) -> Iterator[AuditFault]:
    """Go from the end to the start: each row that is whole vouches for the one before it."""
    last_id: int = head[0] if head else max((one.id for one in links), default=0)
    expected: object = head[1] if head else None
    if head is None:
        yield AuditFault(0, 0, "the record of the end is missing, or is none")
    else:
        named = next((one.id for one in links if one.fits and one.hash == expected), last_id)
        if named != last_id:
            yield AuditFault(0, 0, f"the record of the end was changed: its hash is that of row {named}")
            last_id = named
    cited = {expected, *(link.previous for link in links)}
    places: dict[object, int] = {AUDIT_START: 0, **{link.hash: link.id for link in links}}
    next_id, above = last_id + 1, None
    for link in reversed(links):
        if not 0 < link.id <= last_id:
            yield AuditFault(link.id, link.id, "was inserted: it lies outside what was written")
            continue
        if link.id < next_id - 1:
            yield _removed(link.id + 1, next_id - 1)
            expected, above = None, None
        # The row behind went on from an earlier one before this one came in between.
        is_skipped = above is not None and places.get(above.previous, link.id) < link.id
        what = _fault(link, expected, above, is_alone=is_skipped and link.hash not in cited)
        if what is not None:
            yield AuditFault(link.id, link.id, what)
        # Only a row that is whole vouches for another one.
        expected = link.previous if what is None else None
        next_id, above = link.id, link
    if next_id > 1:
        yield _removed(1, next_id - 1)


def _fault(link: _Link, expected: object, above: _Link | None, *, is_alone: bool) -> str | None:
    """Return what is wrong with a row, where `above` is the one after it, None where that is not there."""
    if not link.fits:
        return "was changed: its hash is not that of its fields"
    if expected is not None and link.hash != expected:
        teller = "the record of the end" if above is None else f"row {above.id}"
        return f"was changed or inserted, or {teller} was: that tells another hash of it"
    if is_alone and above is not None and not above.fits_before:
        return "was inserted, or changed: no row tells of its hash"
    if link.id == 1 and link.previous != AUDIT_START:
        return "was changed: it does not begin the chain"
    return None


def _removed(first: int, last: int) -> AuditFault:
    return AuditFault(first, last, "was removed" if first == last else "were removed")


def _is_head(head: tuple[object, object] | None) -> bool:
    """Tell whether that can be a record of the end."""
    return head is not None and isinstance(head[0], int) and isinstance(head[1], str)


def _hash(values: Iterable[object]) -> str | None:
    """Return the hash of a row's fields without its own; None where a field is what no row has."""
    try:
        encoded = json.dumps(list(values), ensure_ascii=True, separators=(",", ":"))
    except TypeError:
        return None
    return hashlib.sha256(encoded.encode("ascii")).hexdigest()


def _json(value: object) -> str | None:
    if value is None:
        return None
    return _clean(json.dumps(msgspec.to_builtins(value), ensure_ascii=False, separators=(",", ":")))


def _clean(text: str) -> str:
    """Return a text as UTF-8 can hold it: names of files may be anything."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _row(values: _Values) -> AuditRow:
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
