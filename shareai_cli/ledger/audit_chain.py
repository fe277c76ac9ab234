"""The chain that the audit's rows make by their hashes, and what of it is not as it was written.

A row's hash is the SHA-256 (FIPS 180-4), in hex, of a JSON array (RFC 8259; ASCII only, no spaces) of
`[id, time_ms, actor, origin, action, subject, before, after, previous]`, where `previous` is the hash of
the row before, or 64 zeros.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from shareai_cli.ledger.schema import AUDIT_START
from shareai_cli.types import AuditFault

Values = tuple[object, ...]
"""A row's fields and its hash, whatever somebody has written there; the id is a number."""

Head = tuple[int, str]
"""The id and the hash of the last row."""

_encode: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


class Link(Struct, frozen=True):
    """What the chain needs of a row."""

    id: int
    previous: object
    hash: object
    fits: bool
    """Whether its hash is that of its fields."""
    fits_before: bool
    """Whether its hash would be that of its fields, if `previous` was the hash of the row before."""


class Run(Struct, frozen=True):
    """Rows that follow each other as they should, from the first one to the last."""

    first: Link
    last: Link

    @property
    def rows(self) -> int:
        """How many they are."""
        return self.last.id - self.first.id + 1


class Chain(Struct, frozen=True):
    """What a look at every row came to: as long as nobody tampers with rows, all of them are one run."""

    runs: Sequence[Run]
    places: Mapping[object, int]
    """Where the rows are with whose hashes runs go on, by these hashes."""

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(run.rows for run in self.runs)

    @property
    def end(self) -> Link | None:
        """The last row."""
        return self.runs[-1].last if self.runs else None


def hash_of(values: Iterable[object]) -> str | None:
    """Return the hash of a row's fields without its own; None where a field is what no row has."""
    try:
        encoded = _encode(list(values))
    except TypeError:
        return None
    return hashlib.sha256(encoded.encode("ascii")).hexdigest()


def links_of(rows: Iterable[Values]) -> Iterator[Link]:
    """Return what the chain needs of each row, in the order of their ids."""
    before: object = AUDIT_START
    for *fields, written in rows:
        number, *rest, previous = fields
        assert isinstance(number, int)  # noqa: S101 - the primary key of a table is nothing else
        fits = hash_of(fields) == written
        fits_before = fits or hash_of([number, *rest, before]) == written
        yield Link(number, previous, written, fits, fits_before)
        before = written


def look_at(rows: Callable[[], Iterable[Values]], head: Head | None = None) -> Chain:
    """Go through all rows, in the order of their ids, and once more where there is more than one run.

    Memory is needed for runs alone, however many rows there are. `head` is the record of the end.
    """
    runs = list(_runs(rows(), head))
    places: dict[object, int] = {AUDIT_START: 0}
    if len(runs) > 1:
        wanted = {run.first.previous for run in runs}
        places |= {link: number for number, link in _hashes(rows()) if link in wanted}
    return Chain(runs, places)


def faults_of(chain: Chain, head: Head | None) -> list[AuditFault]:
    """Return what is not as it was written, in the order of the rows; the record of the end comes first."""
    return sorted(_faults(chain, head), key=lambda fault: fault.first)


def _runs(rows: Iterable[Values], head: Head | None) -> Iterator[Run]:
    last_id, last_hash = head or (0, None)
    first: Link | None = None
    last: Link | None = None
    for link in links_of(rows):
        if first is None or last is None:
            first = last = link
            continue
        is_next = last.fits and link.fits and link.id == last.id + 1 and link.previous == last.hash
        if not is_next or last.id in (0, last_id) or last.hash == last_hash:
            yield Run(first, last)
            first = link
        last = link
    if first is not None and last is not None:
        yield Run(first, last)


def _hashes(rows: Iterable[Values]) -> Iterator[tuple[int, object]]:
    for number, *_, written in rows:
        assert isinstance(number, int)  # noqa: S101 - as above
        yield number, written


def _faults(chain: Chain, head: Head | None) -> Iterator[AuditFault]:
    """Go from the end to the start: each row that is whole vouches for the one before it."""
    runs, places = chain.runs, chain.places
    last_id: int = head[0] if head else max((run.last.id for run in runs), default=0)
    expected: object = head[1] if head else None
    if head is None:
        yield AuditFault(0, 0, "the record of the end is missing, or is none")
    else:
        ends = (run.last for run in runs)
        named = next((one.id for one in ends if one.fits and one.hash == expected), last_id)
        if named != last_id:
            yield AuditFault(0, 0, f"the record of the end was changed: its hash is that of row {named}")
            last_id = named
    cited = {expected, *(run.first.previous for run in runs)}
    next_id, above = last_id + 1, None
    for run in reversed(runs):
        link = run.last
        if not 0 < link.id <= last_id:
            yield AuditFault(run.first.id, link.id, "was inserted: it lies outside what was written")
            continue
        if link.id < next_id - 1:
            yield _removed(link.id + 1, next_id - 1)
            expected, above = None, None
        # The row behind went on from an earlier one before this one came in between.
        is_skipped = above is not None and places.get(above.previous, link.id) < link.id
        what = _fault(link, expected, above, is_alone=is_skipped and link.hash not in cited)
        if what is not None:
            yield AuditFault(link.id, link.id, what)
        if run.first is not link:
            link, what = run.first, _beginning(run.first)
            if what is not None:
                yield AuditFault(link.id, link.id, what)
        # Only a row that is whole vouches for another one.
        expected = link.previous if what is None else None
        next_id, above = link.id, link
    if next_id > 1:
        yield _removed(1, next_id - 1)


def _fault(link: Link, expected: object, above: Link | None, *, is_alone: bool) -> str | None:
    """Return what is wrong with a row, where `above` is the one after it, None where that is not there."""
    if not link.fits:
        return "was changed: its hash is not that of its fields"
    if expected is not None and link.hash != expected:
        teller = "the record of the end" if above is None else f"row {above.id}"
        return f"was changed or inserted, or {teller} was: that tells another hash of it"
    if is_alone and above is not None and not above.fits_before:
        return "was inserted, or changed: no row tells of its hash"
    return _beginning(link)


def _beginning(link: Link) -> str | None:
    if link.id == 1 and link.previous != AUDIT_START:
        return "was changed: it does not begin the chain"
    return None


def _removed(first: int, last: int) -> AuditFault:
    return AuditFault(first, last, "was removed" if first == last else "were removed")
