"""A second target is asked beside a silent one: who has content first answers, the other is let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shareai_cli.config import HedgeSettings, RouteSettings, RouteTarget
from shareai_cli.gateway.failover import MOST_ATTEMPTS
from shareai_cli.gateway.hedging import WINDOW, HedgeBudget
from shareai_cli.gateway.strategies.measurements import Measure
from shareai_cli.types import Budget, Limits, LimitUse, Outcome, Subject, Target, Usage
from shareai_cli.wire.message import PushedBody
from tests.support.behaviours import Behaviour, chat, error_in_200, rate_limited, silence, status, stream
from tests.support.gateway import Gate, cancelled
from tests.support.taken import Taken
from tests.support.upstream import FaultUpstream
from tests.support.waiting import turns, until

SOON = 0.02
"""Seconds after which another one is asked."""
NEVER = 600.0

both_forms = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


def route(*names: str, after: float = SOON, extra: float = 1.0, strategy: str = "priority") -> RouteSettings:
    """Return a route that hedges to targets `x/m` of these providers."""
    targets = tuple(RouteTarget(Target(name, "m")) for name in names)
    return RouteSettings("chat", cast(Any, strategy), targets, hedge=HedgeSettings(after, extra))


@asynccontextmanager
async def hedged(
    *scripts: Sequence[Behaviour],
    comments: float = 0.0,
    limits: Mapping[Subject, Limits] | None = None,
    **options: Any,
) -> AsyncIterator[tuple[Gate, list[FaultUpstream]]]:
    """Give a gateway whose route `chat` hedges to a target for each script."""
    async with AsyncExitStack() as held:
        upstreams = [await held.enter_async_context(FaultUpstream(script)) for script in scripts]
        names = "abc"[: len(scripts)]
        gate = Gate(dict(zip(names, upstreams, strict=True)), routes={"chat": route(*names, **options)},
                    comments=comments, limits=limits)  # fmt: skip
        yield await held.enter_async_context(gate), upstreams


def outcomes(gate: Gate) -> list[tuple[str, str]]:
    """Return what the accounts say of each attempt of the only request."""
    return [(one.target, one.outcome) for one in gate.closed.attempts]


def begun(gate: Gate, **fields: Any) -> asyncio.Task[Any]:
    """Ask, without waiting for the answer."""
    return asyncio.get_running_loop().create_task(gate.ask(**fields))


@both_forms
async def test_a_silent_target_is_passed_by(streamed: bool) -> None:
    """The second one answers; the first one's connection is closed, its attempt told of, its health kept."""
    async with hedged([silence()], []) as (gate, (a, b)):
        answer = await gate.ask(stream=streamed)
        assert (answer.text, answer.headers["x-shareai-target"]) == ("Hello there.", "b/m")
        assert answer.headers["x-shareai-attempts"] == "2"
        assert len(b.completions) == 1
        await until(lambda: a.open == 0)
        assert outcomes(gate) == [("a/m", "hedged"), ("b/m", "ok")]
        entry = gate.closed
        assert (entry.target, entry.outcome, entry.status) == ("b/m", Outcome.OK, 200)
        assert entry.usage == Usage(prompt=9, completion=12)
        assert entry.attempts[0].price_as == "priced-a"
        assert gate.gateway.health.untroubled
        assert len(gate.ledger.opened_entries) == 1


@both_forms
async def test_the_first_one_may_yet_win(streamed: bool) -> None:
    """It answers while the second one is under way: that one is let go, and nothing of it is mixed in."""
    speak = asyncio.Event()
    slow = chat("Late, and here.", usage=(3, 4)).stall(until=speak)
    async with hedged([slow], [silence()]) as (gate, (a, b)):
        asking = begun(gate, stream=streamed)
        await until(lambda: b.completions)
        speak.set()
        answer = await asking
        assert (answer.text, answer.headers["x-shareai-target"]) == ("Late, and here.", "a/m")
        await until(lambda: b.open == 0)
        assert len(a.completions) == 1
        assert outcomes(gate) == [("b/m", "hedged"), ("a/m", "ok")]
        assert (gate.closed.target, gate.closed.price_as) == ("a/m", "priced-a")
        assert gate.closed.usage == Usage(prompt=3, completion=4)
        assert gate.gateway.health.untroubled


@both_forms
async def test_who_answers_in_time_is_asked_alone(streamed: bool) -> None:
    """Nobody else hears of the request."""
    async with hedged([], [], after=NEVER) as (gate, (_, b)):
        answer = await gate.ask(stream=streamed)
        assert answer.headers["x-shareai-target"] == "a/m"
        assert not b.requests
        assert outcomes(gate) == [("a/m", "ok")]


@both_forms
async def test_a_failure_waits_for_nothing(streamed: bool) -> None:
    """The next target is asked at once, as without hedging."""
    async with hedged([status(500)], [], after=NEVER) as (gate, _):
        answer = await gate.ask(stream=streamed)
        assert answer.headers["x-shareai-target"] == "b/m"
        assert outcomes(gate) == [("a/m", "status"), ("b/m", "ok")]
        assert gate.gateway.health.has_failed(Target("a", "m"))


async def test_a_stream_counts_from_its_first_content() -> None:
    """Its role alone is no answer; of the one that is let go the client sees nothing."""
    async with hedged([stream("never").stall(after=2)], [stream("from ", "b")]) as (gate, (a, _)):
        answer = await gate.ask(stream=True)
        assert answer.text == "from b"
        assert [event for event in answer.events if event == "[DONE]"] == ["[DONE]"]
        await until(lambda: a.open == 0)
        first, _ = gate.closed.attempts
        assert (first.outcome, first.status) == ("hedged", 200)


async def test_nobody_is_asked_once_content_flows() -> None:
    """A stream that pauses after its first content stays with its target."""
    go_on = asyncio.Event()
    async with hedged([stream("one ", "two").stall(after=3, until=go_on)], []) as (gate, (_, b)):
        asking = begun(gate, stream=True)
        await asyncio.sleep(4 * SOON)
        assert not b.requests
        go_on.set()
        assert (await asking).text == "one two"
        assert outcomes(gate) == [("a/m", "ok")]


async def test_a_winner_that_breaks_ends_the_stream() -> None:
    """With an error event, no other target, and the partial answer in the accounts of the request itself."""
    async with hedged([silence()], [stream("a", "b").reset(after=3)], []) as (gate, (_, _, c)):
        answer = await gate.ask(stream=True)
        assert answer.events[-1]["error"]["type"] == "upstream_error"
        assert not c.requests
        assert gate.closed.outcome is Outcome.INCOMPLETE
        assert [one[0] for one in outcomes(gate)] == ["a/m", "b/m"]
        assert gate.closed.attempts[1].outcome in ("reset", "truncated")
        assert gate.closed.completion_bytes > 0
        assert gate.gateway.health.has_failed(Target("b", "m"))


@both_forms
@pytest.mark.parametrize("failure", [status(500), error_in_200()], ids=["500", "error in 200"])
async def test_a_second_one_that_fails_is_followed_by_a_third(streamed: bool, failure: Behaviour) -> None:
    """While the first one is still silent."""
    async with hedged([silence()], [failure], []) as (gate, _):
        answer = await gate.ask(stream=streamed)
        assert answer.headers["x-shareai-target"] == "c/m"
        assert [one[0] for one in outcomes(gate)] == ["a/m", "b/m", "c/m"]
        assert gate.closed.attempts[0].outcome == "hedged"
        assert gate.gateway.health.has_failed(Target("b", "m"))
        assert not gate.gateway.health.has_failed(Target("a", "m"))


async def test_a_first_one_that_fails_late_takes_the_third() -> None:
    """Each target is asked once, whoever of both moves on to it."""
    fail = asyncio.Event()
    async with hedged([status(500).stall(until=fail)], [silence()], []) as (gate, (_, b, c)):
        asking = begun(gate)
        await until(lambda: b.completions)
        fail.set()
        assert (await asking).headers["x-shareai-target"] == "c/m"
        assert len(c.completions) == 1
        assert outcomes(gate) == [("b/m", "hedged"), ("a/m", "status"), ("c/m", "ok")]


async def test_both_failing_is_told_with_both_reasons() -> None:
    """As without hedging: 503, the reason of each target, a row of every attempt."""
    fail = asyncio.Event()
    async with hedged([status(502).stall(until=fail)], [status(500)]) as (gate, (_, b)):
        asking = begun(gate)
        await until(lambda: b.completions)
        await turns()
        assert not asking.done()
        fail.set()
        answer = await asking
        assert answer.status == 503
        assert "a/m: HTTP 502" in answer.error["message"]
        assert "b/m: HTTP 500" in answer.error["message"]
        assert outcomes(gate) == [("a/m", "status"), ("b/m", "status")]
        assert gate.closed.outcome is Outcome.FAILED


async def test_a_model_that_neither_has_is_not_found() -> None:
    """Both said so, each on its own way."""
    fail = asyncio.Event()
    async with hedged([status(404).stall(until=fail)], [status(404)]) as (gate, (_, b)):
        asking = begun(gate)
        await until(lambda: b.completions)
        fail.set()
        assert (await asking).error["code"] == "model_not_found"


async def test_a_refusal_of_the_request_is_no_answer_while_another_may_come() -> None:
    """The second target's model may take less than the first one's."""
    speak = asyncio.Event()
    async with hedged([chat("Fits here.").stall(until=speak)], [status(400)]) as (gate, (_, b)):
        asking = begun(gate)
        await until(lambda: b.completions)
        await turns()
        speak.set()
        answer = await asking
        assert (answer.status, answer.text) == (200, "Fits here.")
        assert outcomes(gate) == [("b/m", "status"), ("a/m", "ok")]


async def test_a_refusal_is_passed_back_where_nobody_answers() -> None:
    """It says what is wrong with the request, and no failure does."""
    fail = asyncio.Event()
    async with hedged([status(500).stall(until=fail)], [status(400, message="Too many.")]) as (gate, (_, b)):
        asking = begun(gate)
        await until(lambda: b.completions)
        fail.set()
        answer = await asking
        assert (answer.status, answer.error["message"]) == (400, "Too many.")
        assert gate.closed.outcome is Outcome.REJECTED


@both_forms
async def test_a_client_that_leaves_ends_both(streamed: bool) -> None:
    """Both connections are closed at once, both attempts told of, nobody blamed."""
    async with hedged([silence()], [silence()]) as (gate, (a, b)):
        asking = begun(gate, stream=streamed)
        await until(lambda: b.completions)
        await cancelled(asking)
        await until(lambda: a.open + b.open == 0, seconds=1.0)
        assert outcomes(gate) == [("a/m", "cancelled"), ("b/m", "cancelled")]
        assert gate.closed.outcome is Outcome.CANCELLED
        assert gate.gateway.health.untroubled


async def test_a_client_that_leaves_the_winners_stream_ends_it() -> None:
    """The accounts tell of the request that was cancelled, and of the one that was let go before."""
    async with hedged([silence()], [stream("a", "b").stall(after=3)]) as (gate, (_, b)):
        response = await gate.begin(stream=True)
        assert isinstance(response.body, PushedBody)
        taken = Taken(response.body)
        await anext(aiter(taken))
        await taken.aclose()
        await until(lambda: b.open == 0, seconds=1.0)
        assert outcomes(gate) == [("a/m", "hedged"), ("b/m", "cancelled")]
        assert gate.closed.outcome is Outcome.CANCELLED


async def test_only_a_share_is_asked_twice() -> None:
    """The first silent one is passed by; of the next nine none is, as that would be more than one in ten."""
    async with (
        FaultUpstream(default=silence()) as a,
        FaultUpstream() as b,
        Gate({"a": a, "b": b}, routes={"chat": route("a", "b", extra=0.1)}) as gate,
    ):
        assert (await gate.ask()).headers["x-shareai-target"] == "b/m"
        asking = [begun(gate) for _ in range(9)]
        await until(lambda: len(a.completions) == 10)
        await asyncio.sleep(4 * SOON)
        assert len(b.completions) == 1
        for one in asking:
            await cancelled(one)


@given(st.lists(st.booleans(), max_size=400), st.sampled_from([0.01, 0.1, 0.25, 1.0]))
def test_no_stretch_of_requests_has_more_than_its_share(slow: list[bool], share: float) -> None:
    """In whatever order slow ones come."""
    budget, hedged_at = HedgeBudget(share), list[int]()
    for number, is_slow in enumerate(slow):
        budget.count_request()
        if is_slow and budget.has_room:
            budget.take()
            hedged_at.append(number)
        lately = [one for one in hedged_at if one > number - WINDOW]
        assert len(lately) <= max(1, share * WINDOW)
    assert not any(slow) or hedged_at


async def test_both_share_the_attempts_of_a_request() -> None:
    """However many keys a target has: the one that is still under way counts."""
    speak = asyncio.Event()
    async with (
        FaultUpstream([chat().stall(until=speak)]) as a,
        FaultUpstream(default=rate_limited()) as b,
        Gate({"a": a, "b": b}, routes={"chat": route("a", "b")}, keys={"b": 20}) as gate,
    ):
        asking = begun(gate)
        await until(lambda: len(b.completions) == MOST_ATTEMPTS - 1)
        await turns()
        speak.set()
        assert (await asking).headers["x-shareai-attempts"] == str(MOST_ATTEMPTS)


async def test_nobody_is_asked_beside_the_last_attempt() -> None:
    """It alone is waited for."""
    script = [rate_limited()] * (MOST_ATTEMPTS - 1) + [silence()]
    async with (
        FaultUpstream(script) as a,
        FaultUpstream() as b,
        Gate({"a": a, "b": b}, routes={"chat": route("a", "b", after=0.2)}, keys={"a": 20}) as gate,
    ):
        asking = begun(gate)
        await until(lambda: len(a.completions) == MOST_ATTEMPTS)
        await asyncio.sleep(0.3)
        assert not b.requests
        await cancelled(asking)
        assert len(gate.closed.attempts) == MOST_ATTEMPTS


async def test_other_routes_ask_one_at_a_time() -> None:
    """A silent target is waited for, as long as its limits say."""
    async with hedged([silence()], []) as (gate, (a, b)):
        plain = replace(gate.settings, routes={"chat": replace(gate.settings.routes["chat"], hedge=None)})
        await gate.gateway.replace(plain)
        asking = begun(gate)
        await until(lambda: a.completions)
        await asyncio.sleep(4 * SOON)
        assert not b.requests
        await cancelled(asking)


async def test_a_change_of_the_configuration_forgets_nothing_of_the_share() -> None:
    """What was asked twice before counts, on a route that stays."""
    async with hedged([silence(), silence()], [], extra=0.1) as (gate, (a, b)):
        await gate.ask()
        await gate.gateway.replace(gate.settings)
        asking = begun(gate)
        await until(lambda: len(a.completions) == 2)
        await asyncio.sleep(4 * SOON)
        assert len(b.completions) == 1
        await cancelled(asking)


async def test_where_there_is_no_other_target_nothing_is_spent() -> None:
    """The route's share stays whole, and the only one is waited for."""
    speak = asyncio.Event()
    async with hedged([chat().stall(until=speak)]) as (gate, (a,)):
        asking = begun(gate)
        await until(lambda: a.completions)
        await asyncio.sleep(4 * SOON)
        speak.set()
        assert (await asking).status == 200
        assert outcomes(gate) == [("a/m", "ok")]


@pytest.mark.parametrize("winner", ["a", "b"])
async def test_a_request_counts_as_under_way_where_its_answer_comes_from(winner: str) -> None:
    """So that the least busy and the fastest are known, also by a request that asked two."""
    speak = asyncio.Event()
    first = stream("x", "y").stall(after=0 if winner == "a" else None, until=speak if winner == "a" else None)
    second = silence() if winner == "a" else stream("x", "y").stall(after=3, until=speak)
    async with hedged([first], [second], strategy="least-busy") as (gate, (_, b)):

        def measure(name: str) -> Measure:
            return gate.gateway.current.measurements.of(Target(name, "m"))

        asking = asyncio.get_running_loop().create_task(gate.begin(stream=True))
        await until(lambda: b.completions)
        if winner == "a":
            speak.set()
        response = await asking
        other = "b" if winner == "a" else "a"
        assert (measure(winner).in_flight, measure(other).in_flight) == (1, 0)
        speak.set()
        assert (await gate.take(response)).text == "xy"
        assert measure(winner).token is not None
        assert measure(other).token is None


async def test_comments_keep_the_connection_of_a_hedged_stream() -> None:
    """Who answered, and after how many attempts, is in the comment that ends them."""
    async with hedged([silence()], [], comments=SOON / 2) as (gate, _):
        answer = await gate.ask(stream=True)
        assert b": x-shareai-target: b/m x-shareai-attempts: 2\n" in answer.body
        assert answer.text == "Hello there."


def use_of(gate: Gate, subject: str) -> LimitUse:
    """Return how much of the only limit of a subject is used."""
    [use] = [one for one in gate.gateway.limiter.use() if one.subject == subject]
    return use


async def test_who_is_given_up_holds_no_place_at_its_target() -> None:
    """Although the other one's stream goes on, and the request is settled only at its end."""
    go_on = asyncio.Event()
    limits = {Subject("target", f"{name}/m"): Limits(concurrent=1) for name in "ab"}
    streaming = stream("x", "y").stall(after=3, until=go_on)
    async with hedged([silence(), chat("free")], [streaming], limits=limits) as (gate, _):
        response = await gate.begin(stream=True)
        assert use_of(gate, "target/a/m").used == 0
        assert use_of(gate, "target/b/m").used == 1
        assert (await gate.ask()).text == "free"
        go_on.set()
        assert (await gate.take(response)).text == "xy"
        assert use_of(gate, "target/b/m").used == 0


async def test_a_budget_pays_for_both() -> None:
    """What the one that was given up may have cost counts, as it does in its row."""
    limits = {Subject("organization"): Limits(budgets=(Budget("day", 10**9),))}
    async with hedged([silence()], [], limits=limits) as (gate, _):
        await gate.ask()
        entry = gate.closed
        prompt = -(-entry.prompt_bytes // 4)
        assert use_of(gate, "organization").used == 9 + 2 * 12 + prompt
        assert use_of(gate, "organization").reserved == 0


async def test_a_budget_that_cannot_pay_for_two_pays_for_one() -> None:
    """Nobody is asked beside the first one, which is waited for."""
    speak = asyncio.Event()
    limits = {Subject("organization"): Limits(budgets=(Budget("day", 50_000),))}
    async with hedged([chat().stall(until=speak)], [], limits=limits) as (gate, (a, b)):
        asking = begun(gate, max_tokens=20_000)
        await until(lambda: a.completions)
        await asyncio.sleep(4 * SOON)
        assert not b.requests
        speak.set()
        assert (await asking).headers["x-shareai-target"] == "a/m"
