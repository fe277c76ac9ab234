"""An export of the audit, verified by the file alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from shareai_cli.errors import StateError, UsageError
from shareai_cli.ledger import Store, list_audit, verify_export
from shareai_cli.ledger.audit import MOST
from shareai_cli.ledger.audit_export import LONGEST
from shareai_cli.ledger.schema import AUDIT_START
from shareai_cli.types import Actor

Lines = list[dict[str, Any]]


@pytest.fixture
def rows(tmp_path: Path) -> Lines:
    """Return the rows of five changes, as an export has them."""
    store = Store(tmp_path / "shareai.db")
    for number in range(5):
        store.record(Actor("ann", "command"), "x", f"\u00e9 {number}", after={"a": number})
    store.close()
    return [asdict(row) for row in list_audit(tmp_path / "shareai.db", MOST)]


def exported(tmp_path: Path, rows: Lines) -> Path:
    file = tmp_path / "audit.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_an_export_is_whole(tmp_path: Path, rows: Lines) -> None:
    """The last hash is that of its last row."""
    verdict = verify_export(exported(tmp_path, rows))
    assert (verdict.rows, verdict.head, verdict.faults) == (5, rows[-1]["hash"], ())


def test_a_missing_end_is_seen_by_the_last_hash_alone(tmp_path: Path, rows: Lines) -> None:
    """As nothing in the file tells of it; an empty file has the hash with which a chain begins."""
    assert verify_export(exported(tmp_path, rows[:3])).head == rows[2]["hash"]
    empty = verify_export(exported(tmp_path, []))
    assert (empty.rows, empty.head, empty.faults) == (0, AUDIT_START, ())


CHANGES: dict[str, tuple[Callable[[Lines], object], list[tuple[int, int]]]] = {
    "the first row": (lambda rows: rows[0].update(actor="bob"), [(1, 1)]),
    "a row between": (lambda rows: rows[2].update(after=None), [(3, 3)]),
    "the last row": (lambda rows: rows[4].update(time_ms=0), [(5, 5)]),
    "a removed first row": (lambda rows: rows.pop(0), [(1, 1)]),
    "removed rows": (lambda rows: rows.__delitem__(slice(1, 3)), [(2, 3)]),
    "a row of no number": (lambda rows: rows.insert(0, rows[0] | {"id": 0}), [(0, 0)]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_is_named(tmp_path: Path, rows: Lines, change: str) -> None:
    """A row that was changed, removed or put in; no other one."""
    tamper, found = CHANGES[change]
    tamper(rows)
    faults = verify_export(exported(tmp_path, rows)).faults
    assert [(fault.first, fault.last) for fault in faults] == found


@pytest.mark.parametrize("line", [b"{}", b"[" * 5000, b"\xff", b'{"id": "1"}', b"x" * (LONGEST + 1), b""])
def test_a_line_that_is_no_row_is_named(tmp_path: Path, rows: Lines, line: bytes) -> None:
    """However long it is, and whatever it is made of."""
    file = exported(tmp_path, rows)
    file.write_bytes(file.read_bytes() + line + b"\n")
    with pytest.raises(StateError, match="line 6: that is no row"):
        verify_export(file)


@pytest.mark.parametrize(
    ("order", "named"), [((0, 1, 1, 2), "3: row 2"), ((0, 2, 1), "3: row 2"), ((1, 0), "2: row 1")]
)
def test_rows_out_of_their_order_are_named(
    tmp_path: Path, rows: Lines, order: tuple[int, ...], named: str
) -> None:
    """One that is there twice, or behind a later one."""
    with pytest.raises(StateError, match=f"line {named} is there twice, or behind"):
        verify_export(exported(tmp_path, [rows[number] for number in order]))


def test_a_file_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    """Or a folder in its place."""
    for file in (tmp_path / "none", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            verify_export(file)
