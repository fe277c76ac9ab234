"""The record of changes, and each way in which somebody may tamper with it behind the gateway's back."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database

from shareai_cli.errors import UsageError
from shareai_cli.ledger import Store, list_audit, verify_audit
from shareai_cli.ledger.audit import MOST, append
from shareai_cli.ledger.schema import AUDIT_START, VERSION, migrations
from shareai_cli.paths import Paths
from shareai_cli.types import Actor, AuditRow
from tests.ledger.making import query
from tests.support.clock import FakeClock

BY = Actor("ann", "command")
FIELDS = ("time_ms", "actor", "origin", "action", "subject", "before", "after", "previous", "hash")


@pytest.fixture
def store(paths: Paths) -> Iterator[Store]:
    """Return a store in which five changes were made."""
    paths.make_state()
    store = Store(paths.database, FakeClock(1_790_000_000.0))
    store.create_key("laptop", b"a" * 32, by=BY)
    store.rotate_key("laptop", b"b" * 32, by=BY)
    store.revoke_key("laptop", by=BY)
    store.register_node("box", {"cores": 4}, ["m"], by=BY)
    store.record(BY, "config.change", "config.toml", before={"a": 1}, after={"a": 2})
    yield store
    store.close()


def tamper(paths: Paths, *statements: str) -> None:
    """Run statements as somebody who has the file; what the tables themselves forbid is taken away first."""
    with closing(sqlite3.connect(paths.database, isolation_level=None)) as connection:
        for change in ("update", "delete"):
            connection.execute(f"DROP TRIGGER IF EXISTS audit_no_{change}")
        for statement in statements:
            connection.execute(statement)


def named(paths: Paths) -> list[tuple[int, int]]:
    """Return which rows are said not to be as they were written."""
    return [(fault.first, fault.last) for fault in verify_audit(paths.database).faults]


def rows_of(paths: Paths) -> list[AuditRow]:
    return list_audit(paths.database, MOST)


def hash_of(row: AuditRow, **changes: object) -> str:
    """Compute a row's hash as the documentation tells it."""
    fields = {name: getattr(row, name) for name in row.__struct_fields__} | changes
    fields.pop("hash")
    return hashlib.sha256(json.dumps(list(fields.values()), separators=(",", ":")).encode()).hexdigest()


def forged(paths: Paths, number: int, **changes: Any) -> str:
    """Return the statement that puts a row in whose own hash is right, in the place of what is there."""
    row = rows_of(paths)[0]
    values = {name: getattr(row, name) for name in row.__struct_fields__} | {"id": number} | changes
    values["hash"] = hash_of(row, **{name: value for name, value in values.items() if name != "hash"})
    texts = [
        "NULL" if value is None else "'" + str(value).replace("'", "''") + "'" for value in values.values()
    ]
    return f"INSERT OR REPLACE INTO audit VALUES ({', '.join(texts)})"


def test_each_change_leaves_a_row(store: Store, paths: Paths) -> None:
    """Who made it, from where, what was before and after; and the chain is whole."""
    rows = rows_of(paths)
    assert [(one.id, one.action, one.subject) for one in rows] == [
        (1, "key.create", "laptop"),
        (2, "key.rotate", "laptop"),
        (3, "key.revoke", "laptop"),
        (4, "node.register", "box"),
        (5, "config.change", "config.toml"),
    ]
    assert {(one.actor, one.origin, one.time_ms) for one in rows} == {("ann", "command", 1_790_000_000_000)}
    assert rows[0].before is None
    assert json.loads(rows[0].after or "")["name"] == "laptop"
    assert [json.loads(text or "")["revoked_ms"] for text in (rows[2].before, rows[2].after)] == [
        None,
        1_790_000_000_000,
    ]
    assert (rows[4].before, rows[4].after) == ('{"a":1}', '{"a":2}')
    verdict = verify_audit(paths.database)
    assert (verdict.rows, verdict.head, verdict.faults) == (5, rows[-1].hash, ())


def test_no_digest_of_a_key_is_in_the_rows(store: Store, paths: Paths) -> None:
    """What is stored of a secret is not repeated."""
    text = repr(query(paths, "SELECT * FROM audit"))
    assert all(one not in text for one in ("aaaa", "bbbb", (b"a" * 32).hex()))


def test_a_chain_is_verified_with_nothing_of_this_programs(store: Store, paths: Paths) -> None:
    """The hash of each row is that of its fields, and the next one repeats it; the first has zeros."""
    rows = rows_of(paths)
    assert [one.hash for one in rows] == [hash_of(one) for one in rows]
    assert [one.previous for one in rows] == ["0" * 64, *(one.hash for one in rows[:-1])]


def test_a_change_that_is_refused_leaves_no_row(store: Store, paths: Paths) -> None:
    """Row and change are of one transaction."""
    with pytest.raises(UsageError):
        store.revoke_key("laptop")
    with pytest.raises(UsageError):
        store.create_key("", b"c" * 32)
    with pytest.raises(ZeroDivisionError), store.transaction() as connection:
        append(connection, 1, BY, "key.create", "x")
        raise ZeroDivisionError
    assert len(rows_of(paths)) == 5
    assert named(paths) == []


def test_where_no_row_can_be_written_nothing_is_changed(store: Store, paths: Paths) -> None:
    """A key that nobody could tell of later is not made."""
    tamper(paths, "DROP TABLE audit")
    with pytest.raises(Exception, match="no such table"):
        store.create_key("phone", b"c" * 32)
    assert [one.name for one in store.list_keys()] == ["laptop"]


def test_the_tables_refuse_changes(store: Store, paths: Paths) -> None:
    """By mistake nobody changes or deletes a row."""
    with closing(sqlite3.connect(paths.database)) as connection:
        for statement in ("UPDATE audit SET actor = 'bob'", "DELETE FROM audit WHERE id = 5"):
            with pytest.raises(sqlite3.IntegrityError, match="only appended to"):
                connection.execute(statement)


@pytest.mark.parametrize("number", range(1, 6))
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    "value", ["'7'", "x'ff00'", "CAST(x'ff00' AS TEXT)"], ids=["text", "bytes", "no UTF-8"]
)
def test_a_changed_field_is_found(store: Store, paths: Paths, number: int, field: str, value: str) -> None:
    """In whichever row and field it is, and whatever was written there: that row is named and no other."""
    tamper(paths, f"UPDATE audit SET {field} = {value} WHERE id = {number}")
    assert named(paths) == [(number, number)]
    assert len(rows_of(paths)) == 5  # it is still listed


@pytest.mark.parametrize("field", ["before", "after"])
def test_nothing_and_an_empty_text_are_told_apart(store: Store, paths: Paths, field: str) -> None:
    """Also where nothing was, and JSON's null is not nothing."""
    for value in ("''", "'null'", "NULL"):
        row = rows_of(paths)[4]
        tamper(paths, f"UPDATE audit SET {field} = {value} WHERE id = 5")
        assert named(paths) == [(5, 5)], value
        tamper(paths, f"UPDATE audit SET {field} = '{getattr(row, field)}' WHERE id = 5")
        assert named(paths) == []


def test_a_border_between_two_fields_cannot_be_moved(store: Store, paths: Paths) -> None:
    """The same characters in other fields have another hash."""
    tamper(paths, "UPDATE audit SET actor = 'an', origin = 'ncommand' WHERE id = 3")
    assert named(paths) == [(3, 3)]


@pytest.mark.parametrize("number", range(1, 5))
def test_a_row_rewritten_with_its_hash_is_found(store: Store, paths: Paths, number: int) -> None:
    """The row behind it tells another hash of it."""
    previous = rows_of(paths)[number - 1].previous
    tamper(paths, forged(paths, number, actor="bob", previous=previous))
    assert named(paths) == [(number, number)]
    assert f"row {number + 1} was" in verify_audit(paths.database).faults[0].text


def test_the_last_row_rewritten_with_its_hash_is_found(store: Store, paths: Paths) -> None:
    """The record of the end tells another hash of it."""
    tamper(paths, forged(paths, 5, actor="bob", previous=rows_of(paths)[4].previous))
    assert named(paths) == [(5, 5)]
    assert "record of the end" in verify_audit(paths.database).faults[0].text


def test_another_beginning_is_found(store: Store, paths: Paths) -> None:
    """A chain that goes on from something else than zeros is not this one."""
    tamper(paths, forged(paths, 1, previous="1" * 64))
    assert named(paths) == [(1, 1)]


def test_a_whole_chain_of_another_beginning_is_found(store: Store, paths: Paths) -> None:
    """Also where the record of the end was rewritten with it."""
    start = forged(paths, 1, previous="1" * 64)
    tamper(paths, "DELETE FROM audit", start, "UPDATE audit_head SET last_id = 1")
    tamper(paths, f"UPDATE audit_head SET hash = '{rows_of(paths)[0].hash}'")
    assert named(paths) == [(1, 1)]


@pytest.mark.parametrize("earlier", ["0" * 64, 1, 2])
def test_a_row_that_skips_others_is_the_one_that_was_changed(
    store: Store, paths: Paths, earlier: int | str
) -> None:
    """Those that it skips are not taken for inserted ones."""
    previous = rows_of(paths)[earlier - 1].hash if isinstance(earlier, int) else earlier
    tamper(paths, f"UPDATE audit SET previous = '{previous}' WHERE id = 4")
    assert named(paths) == [(4, 4)]


@pytest.mark.parametrize(
    ("which", "found"),
    [
        ("= 1", [(1, 1)]),
        ("= 3", [(3, 3)]),
        ("= 5", [(5, 5)]),
        ("< 3", [(1, 2)]),
        ("IN (2, 3)", [(2, 3)]),
        ("> 3", [(4, 5)]),
        ("IN (1, 3, 5)", [(1, 1), (3, 3), (5, 5)]),
        ("> 0", [(1, 5)]),
    ],
)
def test_removed_rows_are_found(store: Store, paths: Paths, which: str, found: list[tuple[int, int]]) -> None:
    """At the start, in the middle, at the end and all of them; also after another change was made."""
    tamper(paths, f"DELETE FROM audit WHERE id {which}")
    assert named(paths) == found
    assert all("removed" in fault.text for fault in verify_audit(paths.database).faults)
    store.create_key("later", b"c" * 32)
    assert named(paths) == found


@pytest.mark.parametrize("removed", range(1, 6))
def test_a_removed_row_is_found_where_the_others_move_up(store: Store, paths: Paths, removed: int) -> None:
    """No gap is left then, but every row that moved no longer fits its number."""
    tamper(
        paths,
        f"DELETE FROM audit WHERE id = {removed}",
        *(f"UPDATE audit SET id = {number} WHERE id = {number + 1}" for number in range(removed, 5)),
    )
    assert named(paths) == [(number, number) for number in range(removed, 6)]


@pytest.mark.parametrize("number", [6, 9, 0, -1])
def test_a_row_outside_is_found(store: Store, paths: Paths, number: int) -> None:
    """Behind the end, also one that goes on from it, and before the start."""
    tamper(paths, forged(paths, number, previous=rows_of(paths)[-1].hash))
    assert named(paths) == [(number, number)]


def test_a_row_added_at_the_end_is_found_later(store: Store, paths: Paths) -> None:
    """The next change goes on from what was really the last one, and takes the next number that is free."""
    tamper(paths, forged(paths, 6, previous=rows_of(paths)[-1].hash))
    store.create_key("later", b"c" * 32)
    assert [one.id for one in rows_of(paths)] == list(range(1, 8))
    assert named(paths) == [(6, 6)]


@pytest.mark.parametrize("place", range(1, 6))
def test_an_inserted_row_is_found(store: Store, paths: Paths, place: int) -> None:
    """With its own hash and that of the row before right, those behind moved: it is named, and they are."""
    previous = ("0" * 64, *(one.hash for one in rows_of(paths)))[place - 1]
    tamper(
        paths,
        *(f"UPDATE audit SET id = {number + 1} WHERE id = {number}" for number in range(5, place - 1, -1)),
        forged(paths, place, actor="bob", previous=previous),
    )
    assert named(paths) == [(number, number) for number in range(place, 7)]


@pytest.mark.parametrize(("one", "other"), [(1, 2), (2, 3), (2, 4), (4, 5), (1, 5)])
def test_swapped_rows_are_found(store: Store, paths: Paths, one: int, other: int) -> None:
    """Both, and no other."""
    tamper(
        paths,
        f"UPDATE audit SET id = 99 WHERE id = {one}",
        f"UPDATE audit SET id = {one} WHERE id = {other}",
        f"UPDATE audit SET id = {other} WHERE id = 99",
    )
    assert named(paths) == [(one, one), (other, other)]


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE audit_head SET last_id = 3", [(0, 0)]),
        ("UPDATE audit_head SET last_id = 8", [(0, 0)]),
        ("UPDATE audit_head SET last_id = 'x'", [(0, 0)]),
        ("UPDATE audit_head SET hash = x'00'", [(0, 0)]),
        ("DELETE FROM audit_head", [(0, 0)]),
        ("UPDATE audit_head SET hash = 'x'", [(5, 5)]),
    ],
)
def test_a_changed_end_is_found(
    store: Store, paths: Paths, statement: str, found: list[tuple[int, int]]
) -> None:
    """Whether the last row or the record was changed cannot always be told: then both are named in words."""
    tamper(paths, statement)
    assert named(paths) == found
    assert "record of the end" in verify_audit(paths.database).faults[0].text


@pytest.mark.parametrize(
    "statement", ["DELETE FROM audit_head", "UPDATE audit_head SET last_id = 'x'", "DELETE FROM audit"]
)
def test_a_broken_chain_keeps_nobody_from_revoking_a_key(store: Store, paths: Paths, statement: str) -> None:
    """Nor is it mended by that: it is still found."""
    store.create_key("lost", b"c" * 32)
    tamper(paths, statement)
    assert store.revoke_key("lost").revoked_ms is not None
    assert rows_of(paths)[-1].action == "key.revoke"
    assert named(paths) != []


def test_a_rewritten_end_is_seen_at_the_last_row(store: Store, paths: Paths) -> None:
    """Who computes all hashes anew from some row on is found by the record of the end, if not that too."""
    first = forged(paths, 4, actor="bob", previous=rows_of(paths)[2].hash)
    tamper(paths, first)
    tamper(paths, forged(paths, 5, actor="bob", previous=rows_of(paths)[3].hash))
    assert named(paths) == [(5, 5)]


@given(data=st.data())
def test_any_one_change_of_a_table_is_found(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However long the chain, and whatever texts there are in it."""
    path = tmp_path_factory.mktemp("audit") / "shareai.db"
    texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
    store = Store(path, FakeClock(5.0))
    rows = data.draw(st.lists(st.tuples(texts, texts, st.none() | texts), min_size=1, max_size=6))
    for actor, subject, before in rows:
        store.record(Actor(actor, "command"), "x", subject, before=before)
    store.close()
    assert verify_audit(path).faults == ()
    number = data.draw(st.integers(1, len(rows)))
    field, was = data.draw(st.sampled_from([("actor", 0), ("subject", 1)]))
    text = data.draw(texts.filter(lambda one: one != rows[number - 1][was]))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER audit_no_update")
        connection.execute(f"UPDATE audit SET {field} = ? WHERE id = ?", (text, number))
    assert [fault.first for fault in verify_audit(path).faults] == [number]


def test_names_that_are_no_utf8_are_kept_in_a_form_that_is(store: Store, paths: Paths) -> None:
    """A file's name may be any bytes, and is no reason for a configuration to go untold."""
    store.record(BY, "config.change", "/tmp/\udcff", after={"source": "/tmp/\udcff"})
    row = rows_of(paths)[-1]
    assert (row.subject, json.loads(row.after or "")) == ("/tmp/\\udcff", {"source": "/tmp/\udcff"})
    assert named(paths) == []


def test_the_list_is_of_the_latest_or_of_what_follows_a_row(store: Store, paths: Paths) -> None:
    """In the order in which the changes were made, and never more than asked for."""

    def ids(limit: int, since_ms: int | None = None, after: int | None = None) -> list[int]:
        return [one.id for one in list_audit(paths.database, limit, since_ms, after)]

    assert ids(2) == [4, 5]
    assert ids(0) == ids(-1) == []
    assert ids(2, None, 1) == [2, 3]
    assert ids(MOST, None, 5) == []
    assert ids(MOST, 1_790_000_000_000) == [1, 2, 3, 4, 5]
    assert ids(MOST, 1_790_000_000_001) == []


def test_a_database_of_before_begins_an_empty_chain(paths: Paths) -> None:
    """What was changed before there was an audit is not in it, and that is no fault."""
    paths.make_state()
    with closing(sqlite3.connect(paths.database, isolation_level=None)) as connection:
        migrations().apply(Database(connection), stop_before="audit_log")
        connection.execute(f"PRAGMA user_version = {VERSION - 1}")
    store = Store(paths.database)
    verdict = verify_audit(paths.database)
    assert (verdict.rows, verdict.head, verdict.faults) == (0, AUDIT_START, ())
    store.create_key("laptop", b"a" * 32)
    store.close()
    assert [one.action for one in rows_of(paths)] == ["key.create"]
