"""The chain of the audit's rows: looked at run by run, and found the same as row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from shareai_cli.ledger.audit_chain import (
    Chain,
    Head,
    Run,
    Values,
    faults_of,
    hash_of,
    links_of,
    look_at,
)
from shareai_cli.ledger.schema import AUDIT_START

Row = tuple[int, int, str, str, str, str, str | None, str | None, str]
"""A row without its hash."""


def row(number: int, previous: str, actor: str = "ann") -> Values:
    fields: Row = (number, 5, actor, "command", "key.create", "ci", None, "{}", previous)
    return (*fields, hash_of(fields))


def written(count: int) -> list[Values]:
    """Return so many rows as they are written."""
    rows: list[Values] = []
    for number in range(1, count + 1):
        rows.append(row(number, str(rows[-1][-1]) if rows else AUDIT_START))
    return rows


def head_of(rows: Sequence[Values]) -> Head:
    number, text = rows[-1][0], rows[-1][-1]
    assert isinstance(number, int)
    return number, str(text)


def row_by_row(rows: Sequence[Values]) -> Chain:
    """Return the chain without any row being passed over."""
    links = list(links_of(rows))
    return Chain([Run(one, one) for one in links], {AUDIT_START: 0, **{one.hash: one.id for one in links}})


def found(chain: Chain, head: Head | None) -> Iterator[tuple[int, str]]:
    """Return what is said of each row."""
    for fault in faults_of(chain, head):
        rows = [fault.first] if "removed" in fault.text else range(fault.first, fault.last + 1)
        yield from ((number, fault.text) for number in rows)


def test_rows_that_were_not_tampered_with_are_one_run() -> None:
    """So that however many there are, memory is needed for one."""
    rows = written(500)
    chain = look_at(lambda: rows, head_of(rows))
    assert (len(chain.runs), chain.rows) == (1, 500)
    assert faults_of(chain, head_of(rows)) == []


@st.composite
def tampered(draw: st.DrawFn) -> tuple[list[Values], Head | None]:
    """Write rows, and change some in the ways in which somebody may, perhaps the record of the end too."""
    rows = dict(enumerate(written(draw(st.integers(1, 9))), 1))
    head: Head | None = head_of(list(rows.values()))
    for _ in range(draw(st.integers(0, 4))):
        number = draw(st.integers(-1, 11))
        hashes = st.sampled_from([AUDIT_START, "0", *(str(values[-1]) for values in rows.values())])
        match draw(st.sampled_from(["remove", "swap", "change", "forge", "hash", "previous", "head"])):
            case "remove":
                rows.pop(number, None)
            case "swap":
                other = draw(st.integers(1, 9))
                if number in rows and other in rows:
                    one, two = rows[number], rows[other]
                    rows[number], rows[other] = (number, *two[1:]), (other, *one[1:])
            case "change" if number in rows:
                rows[number] = (*rows[number][:2], "bob", *rows[number][3:])
            case "forge":
                rows[number] = row(number, draw(hashes), "bob")
            case "hash" if number in rows:
                rows[number] = (*rows[number][:-1], draw(hashes))
            case "previous" if number in rows:
                rows[number] = (*rows[number][:-2], draw(hashes), rows[number][-1])
            case "head":
                head = draw(st.none() | st.tuples(st.integers(-1, 11), hashes))
    return [rows[number] for number in sorted(rows)], head


@settings(max_examples=300, deadline=None)
@given(tampered())
def test_runs_tell_what_rows_tell(case: tuple[list[Values], Head | None]) -> None:
    """Passing over rows that follow each other as they should hides nothing, and names no other row."""
    rows, head = case
    assert sorted(found(look_at(lambda: rows, head), head)) == sorted(found(row_by_row(rows), head))
