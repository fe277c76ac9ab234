"""What requests took is counted once, whatever became of them, and nothing stays reserved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from shareai_cli.config import CacheSettings
from shareai_cli.types import Budget, Limits, LimitUse, Outcome, RateLimit, Subject
from shareai_cli.wire.message import PushedBody
from tests.gateway.limits.making import ORGANIZATION, begun, by_name, rate
from tests.support.behaviours import Behaviour, chat, status, stream
from tests.support.gateway import CALLER, Gate, cancelled
from tests.support.taken import Taken
from tests.support.upstream import FaultUpstream
from tests.support.waiting import turns, until

KEY = Subject("key", CALLER.key_name, (CALLER.key_id,))
TARGET = Subject("target", "a/m")
MUCH = 10**9
EVERYTHING = Limits(
    (RateLimit("requests", "minute", MUCH), RateLimit("tokens", "minute", MUCH)),
    (Budget("total", MUCH), Budget("day", MUCH, soft=True)),
    MUCH,
)
LIMITS = {KEY: EVERYTHING, TARGET: EVERYTHING}
USED = ("requests_per_minute", "tokens_per_minute", "budget_total")
ANSWER = (1, 21, 9 + 2 * 12)
"""Request, tokens and nano-dollars of an answer as `chat` and `stream` give it."""


class Counted:
    """Compares what is counted with what is expected."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    def of(self, subject: Subject) -> tuple[int, ...]:
        """Return requests, tokens and money; nothing may be under way any more."""
        uses = by_name(self.gate.gateway.limiter.use())
        assert all(one.reserved == 0 for one in uses.values()), uses
        assert all(one.used == 0 for one in uses.values() if one.limit == "concurrent_requests")
        spent = [one.used for one in uses.values() if one.subject == subject.label and "budget" in one.limit]
        assert len(set(spent)) == 1
        return tuple(uses[subject.label, limit].used for limit in USED)


@asynccontextmanager
async def gate_over(
    *script: Behaviour, targets: int = 1, cache: CacheSettings | None = None
) -> AsyncIterator[tuple[Gate, FaultUpstream, Counted]]:
    async with FaultUpstream(script) as a, FaultUpstream() as b:
        route = {"chat": ["a/m", "b/m"][:targets]}
        async with Gate({"a": a, "b": b}, routes=route, limits=LIMITS, cache=cache) as gate:
            yield gate, a, Counted(gate)


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer(streamed: bool) -> None:
    """Whole or streamed: one request, its tokens, what they cost."""
    behaviour = stream("Hello", " there") if streamed else chat()
    async with gate_over(behaviour) as (gate, _, counted):
        assert (await gate.ask(stream=streamed)).status == 200
        assert counted.of(KEY) == counted.of(TARGET) == ANSWER


async def test_while_it_is_under_way_the_worst_case_is_reserved() -> None:
    """Of tokens an estimate, of money what a budget cannot be passed by."""
    go_on = asyncio.Event()
    async with gate_over(chat().stall(until=go_on)) as (gate, a, counted):
        asking = begun(gate.ask(max_tokens=100))
        await until(lambda: a.completions)
        uses = by_name(gate.gateway.limiter.use())
        for subject in (KEY.label, TARGET.label):
            assert uses[subject, "requests_per_minute"].used == 1
            assert uses[subject, "concurrent_requests"].used == 1
            assert uses[subject, "tokens_per_minute"].used == 0
            assert 100 <= uses[subject, "tokens_per_minute"].reserved <= 120
            assert uses[subject, "budget_total"].reserved >= 1_000 + len(a.completions[0].body) + 2 * 100
            assert uses[subject, "soft_budget_per_day"].reserved == 0
        go_on.set()
        await asking
        assert counted.of(KEY) == ANSWER


async def test_a_client_that_leaves_before_the_answer() -> None:
    """It came, and is estimated, as in the accounts."""
    async with gate_over(chat().stall()) as (gate, a, counted):
        asking = begun(gate.ask())
        await until(lambda: a.completions)
        await cancelled(asking)
        prompt = -(-gate.closed.prompt_bytes // 4)
        assert gate.closed.outcome is Outcome.CANCELLED
        assert counted.of(KEY) == counted.of(TARGET) == (1, prompt, prompt)


async def test_a_client_that_leaves_a_stream() -> None:
    """What had come is estimated."""
    async with gate_over(stream("Hello", " there").stall(after=3)) as (gate, _, counted):
        response = await gate.begin(stream=True)
        assert isinstance(response.body, PushedBody)
        async with aclosing(Taken(response.body)) as pieces:
            await anext(pieces)
        assert gate.closed.outcome is Outcome.CANCELLED
        requests, tokens, _ = counted.of(KEY)
        assert requests == 1 and tokens > -(-gate.closed.prompt_bytes // 4)


async def test_a_stream_that_breaks() -> None:
    """It is settled as incomplete."""
    async with gate_over(stream("Hello", " there").reset(after=3)) as (gate, _, counted):
        await gate.ask(stream=True)
        assert gate.closed.outcome is Outcome.INCOMPLETE
        assert counted.of(KEY)[0] == counted.of(TARGET)[0] == 1


async def test_a_target_that_fails_gives_everything_back() -> None:
    """The request is counted at the one that answered, and once."""
    async with gate_over(status(500), targets=2) as (gate, _, counted):
        assert (await gate.ask()).headers["x-shareai-target"] == "b/m"
        assert counted.of(KEY) == ANSWER
        assert counted.of(TARGET) == (0, 0, 0)


async def test_what_a_broken_attempt_may_have_cost_stays_reserved_until_the_end() -> None:
    """A 200 that broke may be billed: only the accounts' own sum tells."""
    go_on = asyncio.Event()
    async with (
        FaultUpstream([chat().reset(after=1)]) as a,
        FaultUpstream([chat().stall(until=go_on)]) as b,
        Gate({"a": a, "b": b}, routes={"chat": ["a/m", "b/m"]}, limits=LIMITS) as gate,
    ):
        asking = begun(gate.ask(max_tokens=10))
        await until(lambda: b.completions)
        uses = by_name(gate.gateway.limiter.use())
        assert uses[KEY.label, "budget_total"].reserved == 2 * uses[TARGET.label, "budget_total"].reserved > 0
        assert uses[TARGET.label, "concurrent_requests"].used == 0
        go_on.set()
        assert (await asking).status == 200
        assert Counted(gate).of(KEY)[:2] == ANSWER[:2]


async def test_nobody_answers() -> None:
    """Refused connections cost nothing, and the request came."""
    async with gate_over(status(500)) as (gate, _, counted):
        assert (await gate.ask()).status == 503
        assert counted.of(KEY) == counted.of(TARGET) == (1, 0, 0)


async def test_a_kept_reply_is_a_request_and_costs_nothing() -> None:
    """Not even where the budget is used up; its target was not asked."""
    async with gate_over(cache=CacheSettings(60.0)) as (gate, a, counted):
        await gate.ask()
        assert (await gate.ask()).headers["x-shareai-cache"] == "hit"
        assert counted.of(KEY) == (2, *ANSWER[1:])
        assert counted.of(TARGET) == ANSWER
        await gate.gateway.replace_limits(
            {KEY: Limits((RateLimit("requests", "minute", 3),), (Budget("total", 1),))}
        )
        assert (await gate.ask()).status == 200
        assert (await gate.ask()).status == 429
        assert len(a.completions) == 1


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_shared_call_is_paid_for_once(streamed: bool) -> None:
    """Everybody's request counts, the tokens and the money are the leader's."""
    go_on = asyncio.Event()
    behaviour = stream("a", "b").stall(after=3, until=go_on) if streamed else chat().stall(until=go_on)
    async with gate_over(behaviour, cache=CacheSettings(60.0)) as (gate, a, counted):
        asking = [begun(gate.ask(stream=streamed)) for _ in range(4)]
        await until(lambda: a.completions)
        await turns()
        go_on.set()
        await asyncio.gather(*asking)
        assert counted.of(KEY) == (4, *ANSWER[1:])
        assert counted.of(TARGET) == ANSWER


async def test_a_leader_that_leaves_its_call_to_others() -> None:
    """Its reservation lasts as long as the call, whose cost is its own."""
    go_on = asyncio.Event()
    async with gate_over(chat().stall(until=go_on), cache=CacheSettings(60.0)) as (gate, a, counted):
        leader = begun(gate.ask())
        await until(lambda: a.completions)
        other = begun(gate.ask())
        await turns()
        await cancelled(leader)
        uses = by_name(gate.gateway.limiter.use())
        assert uses[KEY.label, "concurrent_requests"].used == 2
        assert uses[KEY.label, "budget_total"].reserved > 0
        go_on.set()
        assert (await other).status == 200
        assert counted.of(KEY) == (2, *ANSWER[1:])


async def test_an_answer_that_was_shortened_is_not_kept_for_others() -> None:
    """Who asks next may have a fuller one."""
    limits = {KEY: Limits(budgets=(Budget("total", 4_000),))}
    async with (
        FaultUpstream() as a,
        Gate({"a": a}, routes={"chat": ["a/m"]}, limits=limits, cache=CacheSettings(60.0)) as gate,
    ):
        assert [(await gate.ask()).headers["x-shareai-cache"] for _ in range(2)] == ["miss", "miss"]
        said = [(await gate.ask(max_tokens=50)).headers["x-shareai-cache"] for _ in range(2)]
        assert said == ["miss", "hit"]


async def test_a_soft_budget_warns_once_a_period() -> None:
    """It lets everything pass; the next day it warns anew."""
    limits = {ORGANIZATION: Limits(budgets=(Budget("day", 50, soft=True),))}
    async with FaultUpstream() as a, Gate({"a": a}, routes={"chat": ["a/m"]}, limits=limits) as gate:
        midnight = 1_790_035_200_000
        assert [(await gate.ask()).status for _ in range(3)] == [200] * 3
        assert gate.warnings == [
            LimitUse("organization", "soft_budget_per_day", 50, 66, soft=True, resets_ms=midnight)
        ]
        gate.pass_time(86_400)
        for _ in range(3):
            await gate.ask()
        assert [one.resets_ms for one in gate.warnings] == [midnight, midnight + 86_400_000]


async def test_a_reservation_that_is_never_settled_ends_after_an_hour() -> None:
    """What it held is free again; the request's own end still counts when it comes."""
    go_on = asyncio.Event()
    limits = {KEY: Limits((RateLimit("requests", "day", 9),), (Budget("total", MUCH),), 1)}
    async with (
        FaultUpstream([chat().stall(until=go_on)]) as a,
        Gate({"a": a}, routes={"chat": ["a/m"]}, limits=limits) as gate,
    ):
        asking = begun(gate.ask())
        await until(lambda: a.completions)
        gate.clock.forward(3_601)  # and no limit of time passes, as nothing looks at them
        uses = by_name(gate.gateway.limiter.use())
        assert uses[KEY.label, "concurrent_requests"].used == 0
        assert uses[KEY.label, "budget_total"].reserved == 0
        assert uses[KEY.label, "requests_per_day"].used == 1
        go_on.set()
        assert (await asking).status == 200
        uses = by_name(gate.gateway.limiter.use())
        assert uses[KEY.label, "requests_per_day"].used == 1
        assert uses[KEY.label, "budget_total"].used == ANSWER[2]


async def test_a_request_that_waits_for_long_is_no_clock_that_was_set_back() -> None:
    """Its next target is asked now, and counts as of now."""
    go_on = asyncio.Event()
    limits = {Subject("target", "b/m"): rate(1)}
    async with (
        FaultUpstream([status(500).stall(until=go_on)]) as a,
        FaultUpstream() as b,
        Gate({"a": a, "b": b}, routes={"chat": ["a/m", "b/m"]}, limits=limits) as gate,
    ):
        slow = begun(gate.ask())
        await until(lambda: a.completions)
        gate.clock.forward(100)
        assert (await gate.ask("b/m")).status == 200
        go_on.set()
        assert (await slow).status == 503
        assert (await gate.ask("b/m")).status == 429
        assert len(b.completions) == 1


async def test_limits_change_while_requests_are_under_way() -> None:
    """A raised limit keeps what it has counted, a new one counts what ends, none leaves a trace."""
    go_on = asyncio.Event()
    async with (
        FaultUpstream([chat(), chat().stall(until=go_on)]) as a,
        Gate({"a": a}, routes={"chat": ["a/m"]}, limits={KEY: rate(2)}) as gate,
    ):
        await gate.ask()
        asking = begun(gate.ask())
        await until(lambda: len(a.completions) == 2)
        assert (await gate.ask()).status == 429
        await gate.gateway.replace_limits({KEY: rate(3), ORGANIZATION: EVERYTHING})
        assert (await gate.ask()).status == 200
        assert (await gate.ask()).status == 429
        go_on.set()
        assert (await asking).status == 200
        assert Counted(gate).of(ORGANIZATION) == (2, 42, 66)
        assert by_name(gate.gateway.limiter.use())[KEY.label, "requests_per_minute"].used == 3
        await gate.gateway.replace_limits({})
        assert (await gate.ask()).status == 200
        assert gate.gateway.limiter.use() == []


async def test_a_key_that_was_minted_counts_for_the_one_it_was_minted_from() -> None:
    """Also one that the limits do not know yet."""
    limits = {Subject("key", "parent", (1,)): rate(1)}
    async with FaultUpstream() as a, Gate({"a": a}, routes={"chat": ["a/m"]}, limits=limits) as gate:
        child = type(CALLER)(CALLER.key_id, CALLER.key_name, CALLER.team, ancestors=(5, 1))
        gate.gateway.replace_keys(dict.fromkeys(gate.ledger.store.callers, child))
        assert [(await gate.ask()).status for _ in range(2)] == [200, 429]


async def test_an_answer_on_an_own_machine_is_not_limited_by_a_provider_before_it() -> None:
    """Where the target that costs money fails, the own one is asked what the client asked."""
    limits = {KEY: Limits(budgets=(Budget("total", 4_000),))}
    async with (
        FaultUpstream([status(500)]) as a,
        FaultUpstream() as own,
        Gate(
            {"a": a, "own": own},
            routes={"chat": ["a/m", "own/m"]},
            price_as={"own": "node"},
            limits=limits,
            cache=CacheSettings(60.0),
        ) as gate,
    ):
        assert [(await gate.ask()).headers["x-shareai-cache"] for _ in range(2)] == ["miss", "hit"]
        assert a.completions[0].json["max_tokens"] < 4_000
        assert "max_tokens" not in own.completions[0].json


async def test_a_failed_attempt_holds_no_money_while_the_next_one_is_under_way() -> None:
    """A refusal costs nothing, and is no reason to refuse others."""
    go_on = asyncio.Event()
    async with (
        FaultUpstream([status(500)]) as a,
        FaultUpstream([chat().stall(until=go_on)]) as b,
        Gate({"a": a, "b": b}, routes={"chat": ["a/m", "b/m"]}, limits=LIMITS) as gate,
    ):
        asking = begun(gate.ask(max_tokens=10))
        await until(lambda: b.completions)
        uses = by_name(gate.gateway.limiter.use())
        assert uses[TARGET.label, "budget_total"].reserved == 0
        assert 0 < uses[KEY.label, "budget_total"].reserved < 2_000
        go_on.set()
        assert (await asking).status == 200
