"""What a drill asks, and what it may spend."""

from __future__ import annotations

from pathlib import Path

from shareai_cli.drill.outcome import Verdict
from shareai_cli.drill.plan import cases_of, estimate
from shareai_cli.drill.session import Options
from shareai_cli.drill_types import CheckName, DrillRoute, DrillSubjects, DrillTarget, FaultKind
from shareai_cli.gateway.drills.drills import MOST_DRILLS
from tests.support.behaviours import Behaviour, Received, chat, raw, silence, status
from tests.support.drilled import HASTY, Drilled, FlatPrices, not_passed
from tests.support.upstream import FaultUpstream


async def test_a_drill_stops_where_it_has_spent_what_it_may(tmp_path: Path) -> None:
    """What it has found by then counts; the rest could not be run."""
    async with FaultUpstream() as a, Drilled(tmp_path, {"a": a}, routes={"chat": ["a/m"]}) as drilled:
        report = await drilled.drill("answers", options=Options(HASTY, most_nano=30_000))
    verdicts = [one.verdict for one in report.findings]
    assert verdicts == [Verdict.PASSED, Verdict.PASSED, Verdict.BLOCKED, Verdict.BLOCKED]
    assert (report.verdict, report.cost_nano, len(a.completions)) == ("partly", 42_000, 2)
    assert report.findings[-1].look_at == "--max-cost"


async def test_nothing_is_sent_that_may_cost_more_than_is_left(tmp_path: Path) -> None:
    """Requests at the same time together, too; what is made to fail wherever it goes costs nothing."""
    most = dict.fromkeys(("chat", "a/m"), 100_000)
    async with FaultUpstream() as a, Drilled(tmp_path, {"a": a}, routes={"chat": ["a/m"]}) as drilled:
        options = Options(HASTY, most_nano=150_000, dearest=most, row_seconds=1.0)
        answers = await drilled.drill("answers", options=options)
        asked = len(a.completions)
        limits = await drilled.drill("limits", options=options)
    assert (answers.cost_nano, asked) == (63_000, 3)
    assert answers.findings[-1].verdict is Verdict.BLOCKED
    verdicts = {one.case: one.verdict for one in limits.findings}
    assert verdicts["a burst"] is Verdict.BLOCKED
    assert verdicts["requests at once"] is verdicts["a budget that is spent"] is Verdict.PASSED
    assert limits.cost_nano <= 21_000
    assert len(a.completions) - asked <= 1


async def test_it_can_be_run_many_times_over(tmp_path: Path) -> None:
    """The gateway keeps nothing of a part of it that is over."""
    async with FaultUpstream() as a, Drilled(tmp_path, {"a": a}, routes={"chat": ["a/m"]}) as drilled:
        report = await drilled.drill("cost", repeat=MOST_DRILLS + 1)
        assert not drilled.gateway.drills.are_on
    assert not_passed(report) == []
    assert len(report.findings) == 2 * (MOST_DRILLS + 1)


async def test_models_that_name_the_length_of_their_answer_otherwise_are_asked_so(tmp_path: Path) -> None:
    """OpenAI's newer ones refuse `max_tokens`; it is found out once, and not held against them."""

    def answer(request: Received) -> Behaviour:
        if "max_tokens" in request.json:
            return status(
                400, message="Use 'max_completion_tokens' instead.", error_code="unsupported_parameter"
            )
        return chat("pong")

    async with (
        FaultUpstream(default=answer) as a,
        Drilled(tmp_path, {"a": a}, routes={"chat": ["a/m"]}) as drilled,
    ):
        report = await drilled.drill("cost", "answers")
    assert not_passed(report) == []
    refused = [one for one in a.completions if "max_tokens" in one.json]
    assert len(refused) == 2  # the route's name and the target's


async def test_a_target_that_is_silent_fails_within_the_drills_own_time(tmp_path: Path) -> None:
    """A provider's own limits are minutes; a reply that is none is told, too."""
    async with (
        FaultUpstream(default=silence()) as a,
        FaultUpstream(default=raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")) as b,
        Drilled(tmp_path, {"a": a, "b": b}, routes={"chat": ["a/m", "b/m"]}) as drilled,
    ):
        hasty = Options(type(HASTY)(answer=0.5, silence=0.2), row_seconds=1.0)
        report = await drilled.drill("answers", options=hasty)
    assert {one.verdict for one in report.findings} == {Verdict.FAILED}
    assert all(one.seconds < 5 for one in report.findings)


def test_where_there_is_nothing_to_drill_there_is_no_case() -> None:
    """So that a command can say what is missing."""
    assert cases_of(DrillSubjects((), ()), (), FlatPrices()) == []


def test_what_a_drill_will_cost_is_estimated() -> None:
    """By the prices of those who should answer; what has no known price is counted apart."""
    target = DrillTarget("a/m", ("k",), "a", 10**9, 2 * 10**9)
    unknown = DrillTarget("b/m", ("k",), "", None, None)
    own = DrillTarget("node/m", ("",), "node", 0, 0)
    only: tuple[CheckName, ...] = ("answers",)
    for one, is_free, unpriced in ((target, False, 0), (unknown, False, 2), (own, True, 0)):
        subjects = DrillSubjects((), (one,))
        expected = estimate(cases_of(subjects, only, FlatPrices()), subjects)
        assert (expected.requests, expected.is_free, expected.unpriced) == (2, is_free, unpriced)
    subjects = DrillSubjects(
        (DrillRoute("chat", "priority", ("a/m", "b/m"), False, False, True),), (target, unknown)
    )
    whole = estimate(cases_of(subjects, (), FlatPrices()), subjects)
    once = estimate(cases_of(subjects, (), FlatPrices(), repeat=1), subjects)
    twice = estimate(cases_of(subjects, (), FlatPrices(), repeat=2), subjects)
    assert whole == once
    assert (twice.requests, twice.nano) == (2 * once.requests, 2 * once.nano)
    assert once.unpriced > 10


def test_cases_are_those_of_the_faults_that_are_wanted() -> None:
    """And those that are about none, or that tell others what they need."""
    target = DrillTarget("a/m", ("k",), "a", 0, 0)
    subjects = DrillSubjects((DrillRoute("chat", "priority", ("a/m", "b/m"), False, False, True),), (target,))

    def names(check: CheckName, *faults: FaultKind) -> list[str]:
        return [one.name for one in cases_of(subjects, (check,), FlatPrices(), faults=faults)]

    some = names("failover", "rate-limited")
    assert some == [
        "every target fails",
        "first: HTTP 429 with Retry-After (whole)",
        "first: HTTP 429 with Retry-After (streamed)",
        "rests as told by Retry-After",
    ]
    assert set(some) < set(names("failover"))
    assert names("answers", "cut") == names("answers")
