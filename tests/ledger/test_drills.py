"""What belongs to a drill is in the accounts, and in no report but its own."""

from __future__ import annotations

import json

import pytest
from msgspec import msgpack
from msgspec.structs import astuple, replace

from shareai_cli.drill_types import DrillRecord
from shareai_cli.errors import UsageError
from shareai_cli.ledger import (
    drill_id,
    drill_report,
    find,
    keep_drill,
    list_drills,
    parse_drill_id,
    parse_public_id,
    public_id,
    recent,
    usage_report,
)
from shareai_cli.ledger.drill_changes import compare
from shareai_cli.ledger.drills import MOST
from shareai_cli.ledger.frames import decode_closed, decode_opened, frame
from shareai_cli.ledger.journal import file_of
from shareai_cli.ledger.names import latest_request_ids
from shareai_cli.ledger.use import UseQuestion, past_use
from shareai_cli.paths import Paths
from shareai_cli.types import Grouping, Subject
from tests.ledger.making import CLOSED, NOW_MS, OPENED, closed, open_ledger, opened, query, record, recorded

DRILL = 100
GROUPINGS: tuple[Grouping | None, ...] = (
    None, "model", "route", "target", "provider", "node", "key", "team", "day",
)  # fmt: skip


def keep(paths: Paths) -> None:
    """Keep two requests of a client's, and three of a drill's, which go elsewhere."""
    ledger = open_ledger(paths)
    record(ledger, [98, 104])
    for request in (101, 102, 103):
        ledger.opened(opened(request, drill=DRILL))
        ledger.closed(closed(request, drill=DRILL, route="drilled"))
    ledger.close()


@pytest.mark.parametrize("since_ms", [None, NOW_MS, NOW_MS - 1, NOW_MS - 10_000_000])
def test_a_drill_is_left_out_of_every_report(paths: Paths, since_ms: int | None) -> None:
    """By every grouping, over whole hours and over parts of one."""
    keep(paths)
    for by in GROUPINGS:
        report = usage_report(paths, by=by, since_ms=since_ms)
        assert report.total.requests == 2
        assert report.total.cost_nano_usd == 90
        assert [row.requests for row in report.rows] == ([2] if by is not None else [])
    assert query(paths, "SELECT DISTINCT requests FROM hourly") == [(2,)]


def test_the_latest_requests_are_those_of_clients(paths: Paths) -> None:
    """Who asks for the last one, or completes an id, means none of a drill's; each is found by its id."""
    keep(paths)
    assert [row.id for row in recent(paths)] == [public_id(104), public_id(98)]
    assert latest_request_ids(paths, 5) == [public_id(104), public_id(98)]
    found = find(paths, public_id(102))
    assert found is not None
    assert (found.route, found.cost_nano) == ("drilled", 45)


def test_a_drill_has_a_report_of_its_own(paths: Paths) -> None:
    """Of exactly its requests, by target; another drill's, and one that never was, is empty."""
    keep(paths)
    report = drill_report(paths, DRILL)
    assert (report.total.requests, report.total.cost_nano_usd) == (3, 135)
    assert [(row.name, row.requests) for row in report.rows] == [("alpha/m", 3)]
    assert drill_report(paths, DRILL + 1).total.requests == 0


@pytest.mark.parametrize("slot_ms", [60_000, 3_600_000])
def test_limits_do_not_count_what_a_drill_has_used(paths: Paths, slot_ms: int) -> None:
    """Of whatever scope, by whole hours and by less."""
    keep(paths)
    subjects = (Subject("organization"), Subject("key", "k", (7,)), Subject("target", "alpha/m"))
    questions = [UseQuestion(subject, 0, slot_ms) for subject in subjects]
    found = past_use(paths.database, questions, tuple)
    assert [sum(one.requests for one in found.sums[question]) for question in questions] == [2, 2, 2]


def test_a_drill_that_a_killed_process_leaves_is_marked_too(paths: Paths) -> None:
    """The row that is made for a request without an end says whose it was."""
    paths.journal.mkdir(parents=True)
    file_of(paths.journal, 1).write_bytes(frame(opened(101, drill=DRILL)) + frame(opened(102)))
    open_ledger(paths).close()
    assert recorded(paths) == [101, 102]
    assert drill_report(paths, DRILL).total.incomplete == 1
    assert usage_report(paths).total.incomplete == 1


def test_journals_of_before_are_read(paths: Paths) -> None:
    """Their entries end before the mark: they are of no drill."""
    for entry, decode in ((CLOSED, decode_closed), (OPENED, decode_opened)):
        former = msgpack.encode(astuple(entry)[:-1])
        assert decode(former) == entry
        assert entry.drill == 0


def test_ids_of_drills_are_told_from_those_of_requests() -> None:
    """Each is read back by its own kind alone."""
    assert parse_drill_id(drill_id(77)) == 77
    assert parse_public_id(drill_id(77)) is None
    assert parse_drill_id(public_id(77)) is None
    assert parse_drill_id("drill_") is None


def a_drill(number: int) -> DrillRecord:
    """Return what a drill found."""
    return DrillRecord(drill_id(number), NOW_MS + number, NOW_MS + number + 5, "command", "passed", "{}")


def test_drills_that_were_run_are_kept_the_newest_first(paths: Paths) -> None:
    """The oldest go once there are many; a second report of one takes the first one's place."""
    ledger = open_ledger(paths)
    for number in range(1, MOST + 3):
        keep_drill(ledger.store, a_drill(number))
    keep_drill(ledger.store, replace(a_drill(MOST + 2), verdict="failed"))
    kept = list_drills(ledger.store, 2)
    assert [(one.id, one.verdict) for one in kept] == [
        (drill_id(MOST + 2), "failed"),
        (drill_id(MOST + 1), "passed"),
    ]
    ledger.close()
    assert len(list_drills(paths, MOST + 10)) == MOST
    assert list_drills(paths, MOST)[-1] == a_drill(3)


def found(number: int, cause: str, **verdicts: str) -> DrillRecord:
    """Return a drill whose cases, by their names, ended so."""
    findings = [
        {"check": "answers", "subject": "chat", "case": case.rstrip("_"), "verdict": verdict}
        for case, verdict in verdicts.items()
    ]
    failed = "failed" in verdicts.values()
    return replace(
        a_drill(number),
        cause=cause,
        verdict="failed" if failed else "passed",
        report=json.dumps({"findings": findings}),
    )


def test_a_schedule_is_compared_with_itself_and_what_a_person_starts_with_all() -> None:
    """Only of a schedule's drills somebody has to be told, whatever a person has seen meanwhile."""
    records = [
        found(1, "nightly", a="passed", b="passed"),
        found(2, "command", a="failed", b="failed"),
        found(3, "nightly", a="failed", b="passed"),
        found(4, "nightly", a="failed", b="failed"),
        found(5, "nightly", a="failed", b="failed"),
        found(6, "command", a="passed"),
        found(7, "hourly", a="failed"),
    ]
    told = {one.record.id: one for one in compare(records[::-1])}
    entries = [told[drill_id(number)] for number in range(1, 8)]
    assert [one.is_news for one in entries] == [False, False, True, True, False, False, True]
    assert [one.changes for one in entries] == [
        (),
        ("answers chat, a: passed -> failed", "answers chat, b: passed -> failed"),
        ("answers chat, a: passed -> failed",),
        ("answers chat, b: passed -> failed",),
        (),
        ("answers chat, a: failed -> passed",),
        (),
    ]


def test_a_case_that_was_run_several_times_is_worth_its_worst() -> None:
    """One that fails now and then has not passed."""
    former, latter = found(1, "nightly", a="passed"), found(2, "nightly", a="failed", a_="passed")
    entry, _ = compare([latter, former])
    assert entry.changes == ("answers chat, a: passed -> failed",)


def test_what_is_no_drill_is_not_kept(paths: Paths) -> None:
    """Neither another kind of id, nor a report without bounds."""
    ledger = open_ledger(paths)
    for record_ in (
        replace(a_drill(1), id="req_0000000000000001"),
        replace(a_drill(1), report="x" * (5 << 20)),
    ):
        with pytest.raises(UsageError):
            keep_drill(ledger.store, record_)
    ledger.close()
    assert list_drills(paths, 5) == []
