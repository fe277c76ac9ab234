"""A check that passes on a broken gateway is a defect: each fails when what it checks is broken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from shareai_cli.config import CacheSettings, RouteSettings
from shareai_cli.config.settings import Strategy
from shareai_cli.drill.failover import FAULTS
from shareai_cli.drill.outcome import Verdict
from shareai_cli.drill_types import RETRY_AFTER, CheckName
from shareai_cli.gateway.cache import Cache
from shareai_cli.gateway.limits import Limiter
from shareai_cli.gateway.path import Makers
from shareai_cli.ledger import Closed, Ledger
from shareai_cli.types import Usage
from tests.support.behaviours import Behaviour, Received, chat, status, stream
from tests.support.broken_parts import (
    AbsentLimiter,
    Books,
    CarelessCache,
    ForgetfulLimiter,
    GenerousLimiter,
    LateLimiter,
    LeakyCache,
    SilentLimiter,
    SpendingLimiter,
    WastefulCache,
    forgetful,
    handling,
    hasty,
    rerouting,
    unforgiving,
    whitewashing,
)
from tests.support.drilled import Drilled, FlatPrices, failed_cases, not_passed, route_target
from tests.support.gateway import fingerprint
from tests.support.upstream import FaultUpstream

FIRST = {
    f"first: {meeting.words} ({form})"
    for kind, meeting in FAULTS.items()
    for form in ("whole", "streamed")
    if (kind, form) != ("cut", "streamed")
}
CUT = f"first: {FAULTS['cut'].words} (streamed)"
ALL, REST, BACK, LAST = (
    "every target fails",
    "rests as told by Retry-After",
    "comes back after its probe",
    "all but the last fail",
)

BURST, TOO_LONG, AT_ONCE, BUDGET = (
    "a burst",
    "too many tokens",
    "requests at once",
    "a budget that is spent",
)


CACHED = {
    "prompt_tokens": 9,
    "completion_tokens": 12,
    "total_tokens": 21,
    "prompt_tokens_details": {"cached_tokens": 4},
}


async def failed_with(tmp_path: Path, *checks: CheckName, **parts: Any) -> set[str]:
    """Return the cases that fail on a gateway with two sound providers and these parts."""
    async with (
        FaultUpstream(default=chat("Hello from a.", extra={"usage": CACHED})) as a,
        FaultUpstream(default=chat("Hello from b.")) as b,
        Drilled(tmp_path, {"a": a, "b": b}, routes={"chat": ["a/m", "b/m"]}, **parts) as drilled,
    ):
        report = await drilled.drill(*checks)
    assert report.verdict == "failed"
    assert {one.check for one in report.findings if one.verdict is Verdict.FAILED} <= set(checks)
    assert all(one.expected and one.happened and one.look_at
               for one in report.findings if one.verdict is Verdict.FAILED)  # fmt: skip
    return failed_cases(report)


async def test_every_check_passes_on_a_gateway_that_is_sound(tmp_path: Path) -> None:
    """Whatever the strategy; else a check that fails on a broken one would tell nothing."""

    async def drill(strategy: str) -> None:
        async with (
            FaultUpstream(default=chat("Hello from a.")) as a,
            FaultUpstream(default=chat("Hello from b.")) as b,
            Drilled(
                tmp_path / strategy,
                {"a": a, "b": b},
                routes={"chat": ["a/m", "b/m"]},
                keys={"a": 2},
                strategy=strategy,
                cache=CacheSettings(60.0),
            ) as drilled,
        ):
            report = await drilled.drill(*(() if strategy == "priority" else ("failover",)))
        assert not_passed(report, *{*Verdict} - {Verdict.PASSED}) == []
        assert report.verdict == "passed"

    async with asyncio.TaskGroup() as group:
        for strategy in get_args(Strategy):
            group.create_task(drill(strategy))


async def test_targets_of_one_provider_lose_their_key_together(tmp_path: Path) -> None:
    """A key that is refused is asked for no other model: the next provider takes over, where there is one."""
    refused = {one for one in FIRST if "401" in one}
    async with (
        FaultUpstream() as a,
        FaultUpstream() as b,
        Drilled(
            tmp_path, {"a": a, "b": b}, routes={"own": ["a/m", "a/n"], "both": ["a/m", "a/n", "b/m"]}
        ) as drilled,
    ):
        report = await drilled.drill("failover", cases={ALL, *refused, LAST})
    assert not_passed(report) == []
    skipped = {(one.subject, one.case) for one in report.findings if one.verdict is Verdict.SKIPPED}
    assert skipped == {("own", one) for one in refused}


async def test_a_route_with_more_targets_than_are_tried_passes(tmp_path: Path) -> None:
    """The last one that is tried answers; where nobody knows the order, not all can be judged."""
    async with FaultUpstream() as a:
        names = [f"p{number}" for number in range(20)]
        targets = [f"{name}/m" for name in names]
        routes = {
            strategy: RouteSettings(strategy, strategy, tuple(map(route_target, targets)))
            for strategy in ("priority", "weighted")
        }
        async with Drilled(tmp_path, dict.fromkeys(names, a), routes=routes) as drilled:
            quick = {one for one in FIRST if "stalled" not in one}
            report = await drilled.drill("failover", cases={ALL, *quick, LAST, REST, BACK})
    assert not_passed(report) == []
    skipped = {(one.subject, one.case) for one in report.findings if one.verdict is Verdict.SKIPPED}
    assert skipped == {("weighted", LAST), ("weighted", REST), ("weighted", BACK)}


async def test_a_failover_that_does_not_work_is_found(tmp_path: Path) -> None:
    """Switched off, in the wrong order, without Retry-After, hiding what broke, without ejection.

    Also where the configuration alone does not tell which targets take a request, and in which order.
    """
    broken: dict[str, tuple[str, Makers, set[str]]] = {
        "off": ("priority", rerouting(lambda targets: targets[:1]), {ALL, *FIRST, LAST}),
        "wrong order": ("priority", rerouting(lambda targets: targets[::-1]), {ALL, *FIRST}),
        "no Retry-After": ("priority", handling(hasty), {ALL}),
        "broken streams look whole": ("priority", handling(whitewashing), {CUT}),
        "forgetful": ("priority", forgetful(), {REST, BACK}),
        "unforgiving": ("priority", unforgiving(), {REST, BACK}),
        "least busy, off": ("least-busy", rerouting(lambda targets: targets[:1]), {ALL, *FIRST, LAST}),
        "cheapest, wrong order": ("cheapest", rerouting(lambda targets: targets[::-1]), {ALL, *FIRST}),
        "weighted, forgetful": ("weighted", forgetful(), {REST, BACK}),
        "fastest, unforgiving": ("fastest", unforgiving(), {REST, BACK}),
        "sticky, forgetful": ("sticky", forgetful(), {REST, BACK}),
    }
    missed: dict[str, set[str]] = {}

    async def drill(name: str, strategy: str, parts: Makers, failing: set[str]) -> None:
        found = await failed_with(tmp_path / name, "failover", makers=parts, strategy=strategy)
        missed[name] = failing - found

    async with asyncio.TaskGroup() as group:
        for name, case in broken.items():
            group.create_task(drill(name, *case))
    assert missed == {name: set() for name in broken}


async def test_wrong_costs_are_found(tmp_path: Path) -> None:
    """The gateway's accounts say twice what the prices come to."""
    assert await failed_with(tmp_path, "cost", prices=FlatPrices(2000)) == {"tokens and cost"}


def _other_tokens(entry: Closed) -> Closed:
    return replace(entry, usage=Usage(1, 0, 0, 1, 0))


def _swapped_tokens(entry: Closed) -> Closed:
    usage = entry.usage or Usage()
    prompt = usage.completion - usage.cached
    return replace(entry, usage=Usage(prompt, usage.cached, 0, usage.prompt + usage.cached))


def _cached_tokens(entry: Closed) -> Closed:
    usage = entry.usage or Usage()
    prompt = usage.prompt + usage.cached - 1
    return replace(entry, usage=Usage(prompt, 1, 0, usage.completion))


def _without_b(entry: Closed) -> Closed | None:
    return None if entry.target == "b/m" else entry


def _unmarked(entry: Closed) -> Closed:
    return replace(entry, drill=0)


@pytest.mark.parametrize(
    "change, checks, failing",
    [
        (_other_tokens, ("cost",), {"tokens and cost"}),
        (_swapped_tokens, ("cost",), {"tokens and cost"}),
        (_cached_tokens, ("cost",), {"tokens and cost"}),
        (_without_b, ("cost",), {"tokens and cost", "the usage report"}),
        (_without_b, ("answers",), {"whole", "streamed"}),
        (_unmarked, ("cost",), {"the usage report"}),
    ],
    ids=[
        "wrong tokens",
        "swapped tokens",
        "tokens of a cache",
        "a row is missing",
        "a row is missing for answers",
        "rows are not the drill's",
    ],
)
async def test_wrong_accounts_are_found(
    tmp_path: Path,
    change: Callable[[Closed], Closed | None],
    checks: tuple[CheckName, ...],
    failing: set[str],
) -> None:
    """Tokens that are not those of the reply, a row that is missing, a report without these requests."""

    def books(ledger: Ledger) -> Books:
        return Books(ledger, change)

    assert await failed_with(tmp_path, *checks, books=books) >= failing


async def test_a_row_too_many_is_found(tmp_path: Path) -> None:
    """The report has to tell of exactly the requests that were sent."""

    def books(ledger: Ledger) -> Books:
        def twice(entry: Closed) -> Closed:
            ledger.closed(replace(entry, request=entry.request + (1 << 40)))
            return entry

        return Books(ledger, twice)

    assert "the usage report" in await failed_with(tmp_path, "cost", books=books)


@pytest.mark.parametrize(
    "cache, failing",
    [
        (CarelessCache, {"different requests"}),
        (LeakyCache, {"another team's request"}),
        (WastefulCache, {"equal requests (whole)", "equal requests (streamed)", "equal requests at once"}),
    ],
)
async def test_a_cache_that_is_keyed_wrongly_or_keeps_nothing_is_found(
    tmp_path: Path, cache: type[Cache], failing: set[str]
) -> None:
    """One that takes different requests for equal, another team's too, and one that takes none for equal."""
    found = await failed_with(tmp_path, "cache", makers=Makers(cache=cache), cache=CacheSettings(60.0))
    assert found == failing


async def test_a_cache_that_teams_share_passes(tmp_path: Path) -> None:
    """Where the configuration says so, another team gets what was kept."""
    shared = CacheSettings(60.0, shared=True)
    async with (
        FaultUpstream() as a,
        Drilled(tmp_path, {"a": a}, routes={"chat": ["a/m"]}, cache=shared) as drilled,
    ):
        report = await drilled.drill("cache")
    assert not_passed(report) == []
    assert next(one.note for one in report.findings if "team" in one.case).startswith("a hit")


async def test_a_target_that_is_slow_is_not_taken_for_one_that_is_asked_again(tmp_path: Path) -> None:
    """Whoever answers for one that rests may take longer than that one rests."""
    async with (
        FaultUpstream() as a,
        FaultUpstream(default=chat().after_delay(RETRY_AFTER + 0.1)) as b,
        Drilled(tmp_path, {"a": a, "b": b}, routes={"chat": ["a/m", "b/m"]}) as drilled,
    ):
        report = await drilled.drill("failover", cases={ALL, REST, BACK})
    assert not_passed(report) == []
    assert len(report.findings) == 3


@pytest.mark.parametrize(
    "limiter, failing",
    [
        (AbsentLimiter, {BURST, TOO_LONG, AT_ONCE, BUDGET}),
        (GenerousLimiter, {BURST, AT_ONCE, BUDGET}),
        (ForgetfulLimiter, {AT_ONCE}),
        (SpendingLimiter, {BUDGET}),
        (SilentLimiter, {BURST, AT_ONCE}),
        (LateLimiter, {BURST, TOO_LONG}),
    ],
)
async def test_limits_that_are_not_kept_are_found(
    tmp_path: Path, limiter: type[Limiter], failing: set[str]
) -> None:
    """Not at all, one too many, never given back, without budgets, without a word, or too late."""
    assert await failed_with(tmp_path, "limits", makers=Makers(limiter=limiter)) >= failing


@pytest.mark.parametrize(
    "behaviour",
    [status(500), status(401), stream("Hello", done=False, finish=None), chat("", usage=(9, 0))],
    ids=["500", "401", "no end", "empty"],
)
async def test_a_target_that_does_not_answer_is_found(tmp_path: Path, behaviour: Behaviour) -> None:
    """Although its route answers, as another target takes over, or seems to."""
    async with (
        FaultUpstream(default=behaviour) as a,
        FaultUpstream(default=chat("Hello from b.")) as b,
        Drilled(tmp_path, {"a": a, "b": b}, routes={"chat": ["b/m", "a/m"]}) as drilled,
    ):
        report = await drilled.drill("answers")
    verdicts = {(one.subject, one.case): one.verdict for one in report.findings}
    assert verdicts["chat", "whole"] == verdicts["b/m", "streamed"] == "passed"
    assert verdicts["a/m", "streamed"] == "failed"
    [finding] = [one for one in report.findings if (one.subject, one.case) == ("a/m", "streamed")]
    assert finding.look_at == "shareai provider test a"


async def test_each_key_of_a_provider_is_asked_by_itself(tmp_path: Path) -> None:
    """One that is refused is found, although the provider's other one answers every request."""

    def answer(request: Received) -> Behaviour:
        return status(401) if request.key.endswith("-2") else chat()

    async with (
        FaultUpstream(default=answer) as a,
        Drilled(tmp_path, {"a": a}, routes={"chat": ["a/m"]}, keys={"a": 2}) as drilled,
    ):
        report = await drilled.drill("answers")
    failed = {one.subject for one in report.findings if one.verdict is Verdict.FAILED}
    assert failed == {f"a/m with key {fingerprint('a', 2)}"}
    passed = {one.subject for one in report.findings if one.verdict is Verdict.PASSED}
    assert passed == {"chat", f"a/m with key {fingerprint('a', 1)}"}


async def test_what_cannot_be_judged_is_not_said_to_have_passed(tmp_path: Path) -> None:
    """Where the other target is down by itself, nobody knows whether failover works: exit code 6, not 0."""
    async with (
        FaultUpstream(default=chat()) as a,
        FaultUpstream(default=status(500)) as b,
        Drilled(tmp_path, {"a": a, "b": b}, routes={"chat": ["a/m", "b/m"]}) as drilled,
    ):
        report = await drilled.drill("failover")
    assert report.verdict == "partly"
    blocked = {one.case for one in report.findings if one.verdict is Verdict.BLOCKED}
    assert blocked == {*FIRST, LAST, REST, BACK}


async def test_what_is_not_there_is_skipped(tmp_path: Path) -> None:
    """A route with one target has nothing to fail over to, and one without a cache keeps nothing."""
    async with (
        FaultUpstream(default=chat()) as a,
        Drilled(tmp_path, {"a": a}, routes={"chat": ["a/m"]}) as drilled,
    ):
        report = await drilled.drill("failover", "cache")
    assert report.verdict == "passed"
    skipped = {one.case for one in report.findings if one.verdict is Verdict.SKIPPED}
    assert skipped == {"another target takes over", "equal requests"}
