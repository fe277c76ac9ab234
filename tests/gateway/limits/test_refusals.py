"""Who is over a limit is told so in OpenAI's shape, and nobody is asked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shareai_cli.types import Budget, Limits, Outcome, Subject
from tests.gateway.limits.making import ORGANIZATION, begun, by_name, rate
from tests.support.behaviours import chat, stream
from tests.support.gateway import CALLER, UNPRICED, Gate
from tests.support.upstream import FaultUpstream
from tests.support.waiting import until

ROUTES = {"chat": ["a/m"]}
KEY = Subject("key", CALLER.key_name, (CALLER.key_id,))
TEAM = Subject("team", CALLER.team)
ROUTE = Subject("route", "chat")
TARGET = Subject("target", "a/m")


def rate_fields(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("x-ratelimit-")}


async def test_more_requests_than_a_minute_allows_are_refused() -> None:
    """The 429 names key and limit, says when to come again, and costs the upstream nothing."""
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTES, limits={KEY: rate(2)}) as gate:
        assert [(await gate.ask()).status for _ in range(2)] == [200, 200]
        gate.pass_time(20)
        answer = await gate.ask()
        assert answer.status == 429
        assert answer.error["type"] == "rate_limit_error"
        assert answer.error["code"] == "rate_limit_exceeded"
        assert answer.error["message"] == "Key 'laptop' is over requests_per_minute (2). Try again in 41 s."
        assert answer.headers["retry-after"] == "41"
        assert "x-should-retry" not in answer.headers
        assert rate_fields(answer.headers) == {
            "x-ratelimit-limit-requests": "2",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "41s",
        }
        assert len(a.completions) == 2
        entry = gate.ledger.closed_entries[-1]
        assert (entry.outcome, entry.status, entry.error) == (Outcome.REFUSED, 429, "rate_limit_exceeded")
        assert len(gate.ledger.opened_entries) == 2
        gate.pass_time(40.9)
        assert (await gate.ask()).status == 429
        gate.pass_time(0.2)
        assert (await gate.ask()).status == 200


@pytest.mark.parametrize(
    ("subject", "named"),
    [
        (ORGANIZATION, "The organization"),
        (TEAM, "Team 'default'"),
        (KEY, "Key 'laptop'"),
        (ROUTE, "Route 'chat'"),
        (TARGET, "Target 'a/m'"),
    ],
)
async def test_each_subject_is_limited_and_named(subject: Subject, named: str) -> None:
    """Requests of organization, team, key, route and target; nobody is asked for what is refused."""
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTES, limits={subject: rate(1)}) as gate:
        assert (await gate.ask()).status == 200
        answer = await gate.ask()
        assert answer.status == 429
        assert answer.error["message"].startswith(f"{named} is over requests_per_minute (1).")
        assert len(a.completions) == 1


async def test_the_limit_that_holds_longest_is_named() -> None:
    """Whoever comes back when it says so is let in."""
    limits = {KEY: rate(1), TEAM: rate(1, "hour"), ORGANIZATION: rate(1, "second")}
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTES, limits=limits) as gate:
        await gate.ask()
        answer = await gate.ask()
        assert "Team 'default' is over requests_per_hour (1)" in answer.error["message"]
        gate.pass_time(float(answer.headers["retry-after"]))
        assert (await gate.ask()).status == 200


async def test_a_route_without_limits_is_not_touched_by_those_of_another() -> None:
    """Nor is a model that is asked for by its full name."""
    routes = {"chat": ["a/m"], "fast": ["a/x"]}
    async with FaultUpstream() as a, Gate({"a": a}, routes=routes, limits={ROUTE: rate(1)}) as gate:
        assert [(await gate.ask(model)).status for model in ("chat", "fast", "a/m", "chat")] == [
            200, 200, 200, 429,
        ]  # fmt: skip


async def test_tokens_are_reserved_and_settled() -> None:
    """An estimate until the answer is there, then what it took; the refusal says how it stands."""
    limits = {KEY: rate(60, measure="tokens")}
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTES, limits=limits) as gate:
        assert (await gate.ask(max_tokens=20)).status == 200
        [use] = gate.gateway.limiter.use()
        assert (use.used, use.reserved) == (21, 0)
        answer = await gate.ask(max_tokens=40)
        assert answer.status == 429
        assert answer.error["message"].startswith("Key 'laptop' is over tokens_per_minute (60). Try again in")
        assert rate_fields(answer.headers) == {
            "x-ratelimit-limit-tokens": "60",
            "x-ratelimit-remaining-tokens": "39",
            "x-ratelimit-reset-tokens": "1m1s",
        }
        assert (await gate.ask(max_tokens=20)).status == 200
        assert len(a.completions) == 2


async def test_a_request_that_is_more_than_its_limit_is_told_that_retrying_is_useless() -> None:
    """One that asks for more tokens than ever have room; one that does not say how many is let in."""
    async with FaultUpstream() as a, Gate(
        {"a": a}, routes=ROUTES, limits={KEY: rate(60, measure="tokens")}
    ) as gate:  # fmt: skip
        answer = await gate.ask(max_tokens=100)
        assert (answer.status, answer.headers["x-should-retry"]) == (429, "false")
        assert "this request alone may take 109" in answer.error["message"]
        assert "retry-after" not in answer.headers
        assert (await gate.ask()).status == 200


async def test_requests_at_a_time() -> None:
    """Those that stream count until their end; a refused one frees nothing."""
    go_on = asyncio.Event()
    limits = {KEY: Limits(concurrent=1)}
    async with (
        FaultUpstream([stream("a", "b").stall(after=3, until=go_on)]) as a,
        Gate({"a": a}, routes=ROUTES, limits=limits) as gate,
    ):
        response = await gate.begin(stream=True)
        answer = await gate.ask()
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")
        assert answer.error["message"].startswith("Key 'laptop' is over concurrent_requests (1).")
        assert rate_fields(answer.headers) == {}
        assert (await gate.ask()).status == 429
        go_on.set()
        await gate.take(response)
        assert (await gate.ask()).status == 200
        assert len(a.completions) == 2


async def test_a_refused_request_takes_nothing() -> None:
    """Also of the limits that would have had room, and one that is malformed is not counted either."""
    limits = {KEY: rate(1), TEAM: rate(100, "hour"), ORGANIZATION: Limits(concurrent=3)}
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTES, limits=limits) as gate:
        await gate.send(b"{")
        await gate.ask()
        for _ in range(3):
            assert (await gate.ask()).status == 429
        uses = by_name(gate.gateway.limiter.use())
        assert uses["team/default", "requests_per_hour"].used == 1
        assert uses["organization", "concurrent_requests"].used == 0
        assert len(a.completions) == 1


async def test_what_nobody_has_gives_its_count_back() -> None:
    """A model that no provider knows is refused, and was no request."""
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTES, limits={KEY: rate(1)}) as gate:
        assert (await gate.ask("no-such-model")).status == 404
        assert (await gate.ask()).status == 200


async def test_an_empty_budget_says_that_retrying_is_useless() -> None:
    """429, `insufficient_quota`, no Retry-After; and until when it lasts."""
    limits = {KEY: Limits(budgets=(Budget("month", 5_000),))}
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTES, limits=limits) as gate:
        while (answer := await gate.ask(max_tokens=1_500)).status == 200:
            pass
        assert answer.status == 429
        assert (answer.error["code"], answer.error["type"]) == ("insufficient_quota", "insufficient_quota")
        assert answer.headers["x-should-retry"] == "false"
        assert "retry-after" not in answer.headers
        assert answer.error["message"].startswith("Key 'laptop': budget_per_month (0.000005 USD) has ")
        assert "or wait until 2026-10-01 00:00 UTC" in answer.error["message"]
        asked = len(a.completions)
        assert (await gate.ask(max_tokens=1_500)).status == 429
        assert len(a.completions) == asked


async def test_a_budget_that_others_only_hold_is_worth_another_try() -> None:
    """Requests under way have reserved their worst case; once they have ended there is room."""
    go_on = asyncio.Event()
    limits = {KEY: Limits(budgets=(Budget("total", 3_000),))}
    async with (
        FaultUpstream([chat().stall(until=go_on)]) as a,
        Gate({"a": a}, routes=ROUTES, limits=limits) as gate,
    ):
        first = begun(gate.ask(max_tokens=500))
        await until(lambda: a.completions)
        answer = await gate.ask(max_tokens=500)
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")
        assert answer.error["code"] == "rate_limit_exceeded"
        assert "x-should-retry" not in answer.headers
        go_on.set()
        assert (await first).status == 200
        assert (await gate.ask(max_tokens=500)).status == 200
        assert len(a.completions) == 2


async def test_a_hard_budget_refuses_what_has_no_known_price() -> None:
    """It cannot be kept; a soft one does not mind."""
    for soft, status in ((False, 400), (True, 200)):
        limits = {TEAM: Limits(budgets=(Budget("day", 10**9, soft),))}
        async with (
            FaultUpstream() as a,
            Gate({"a": a}, routes={"chat": [f"a/{UNPRICED}"]}, limits=limits) as gate,
        ):
            answer = await gate.ask()
            assert answer.status == status
            assert len(a.completions) == int(soft)
            if not soft:
                assert (answer.error["code"], answer.headers["x-should-retry"]) == ("price_unknown", "false")
                assert "nobody knows what a/unpriced costs" in answer.error["message"]
                assert "soft_budget_per_day" in answer.error["message"]


async def test_a_target_over_its_limit_is_passed_over() -> None:
    """The next one answers; where all are over, the refusal is that of the one that has room first."""
    limits = {TARGET: rate(1, "hour"), Subject("target", "b/m"): rate(1)}
    async with (
        FaultUpstream() as a,
        FaultUpstream() as b,
        Gate({"a": a, "b": b}, routes={"chat": ["a/m", "b/m"]}, limits=limits) as gate,
    ):
        assert [(await gate.ask()).headers["x-shareai-target"] for _ in range(2)] == ["a/m", "b/m"]
        answer = await gate.ask()
        assert answer.status == 429
        assert answer.error["message"].startswith("Target 'b/m' is over requests_per_minute (1).")
        assert (len(a.completions), len(b.completions)) == (1, 1)
        assert not list(gate.gateway.health.troubles())


async def test_own_machines_cost_no_budget() -> None:
    """A budget that is used up leaves them, and an answer there is as long as it wants."""
    limits = {KEY: Limits(budgets=(Budget("total", 1),))}
    async with (
        FaultUpstream() as a,
        FaultUpstream() as own,
        Gate(
            {"a": a, "own": own},
            routes={"chat": ["a/m", "own/m"]},
            price_as={"own": "node", "a": "priced"},
            limits=limits,
        ) as gate,
    ):
        answer = await gate.ask()
        assert answer.headers["x-shareai-target"] == "own/m"
        assert "max_tokens" not in own.completions[0].json
        assert not a.completions


@pytest.mark.parametrize(
    ("price_as", "fields", "sent"),
    [
        ("priced", {}, {"max_tokens": 16_384}),
        ("openai", {}, {"max_completion_tokens": 16_384}),
        ("azure", {"max_tokens": None}, {"max_completion_tokens": 16_384}),
        ("openai", {"max_tokens": 5}, {"max_tokens": 5}),
        ("openai", {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
        ("priced", {"max_completion_tokens": 5}, {"max_tokens": 5}),
        ("priced", {"max_tokens": 20_000}, {"max_tokens": 20_000}),
        ("priced", {"n": 2}, {"max_tokens": 16_384}),
    ],
)
async def test_an_answer_of_any_length_is_limited_where_a_budget_has_to_be_kept(
    price_as: str, fields: dict[str, Any], sent: dict[str, int]
) -> None:
    """In the words that the provider understands; what the client says itself is left alone."""
    limits = {KEY: Limits(budgets=(Budget("total", 10**9),))}
    async with (
        FaultUpstream() as a,
        Gate({"a": a}, routes=ROUTES, price_as={"a": price_as}, limits=limits) as gate,
    ):
        assert (await gate.ask(**fields)).status == 200
        body = a.completions[0].json
        assert {name: body[name] for name in ("max_tokens", "max_completion_tokens") if name in body} == sent


async def test_an_answer_is_limited_to_what_the_budget_affords() -> None:
    """But not below a length that is of use."""
    limits = {KEY: Limits(budgets=(Budget("total", 4_000),))}
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTES, limits=limits) as gate:
        assert (await gate.ask()).status == 200
        longest = a.completions[0].json["max_tokens"]
        assert 256 < longest <= (4_000 - 1_000) / 2
        while (answer := await gate.ask(n=2)).status == 200:
            assert a.completions[-1].json["max_tokens"] >= 256
        assert answer.error["code"] == "insufficient_quota"


async def test_nothing_in_the_path_is_limited_where_nothing_has_limits() -> None:
    """The stage is not there at all."""
    async with FaultUpstream() as a, Gate({"a": a}, routes=ROUTES) as gate:
        await gate.ask()
        assert gate.gateway.limiter.use() == []
        assert gate.gateway._failover.allowance is None
        assert gate.gateway._recorder.observe == gate.observed.append
