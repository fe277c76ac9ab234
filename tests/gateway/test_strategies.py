"""Routes that go by more than their list, with real providers behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from msgspec.structs import replace

from shareai_cli.config import Conditions, OwnPrice, RouteSettings, RouteTarget
from shareai_cli.gateway.strategies.measurements import Measure
from shareai_cli.types import Outcome, Target
from shareai_cli.wire.message import PushedBody
from tests.gateway.strategies.boards import PriceList
from tests.support.behaviours import chat, silence, status, stream
from tests.support.gateway import Gate, cancelled
from tests.support.taken import Taken
from tests.support.upstream import FaultUpstream
from tests.support.waiting import until

NEVER: Callable[[], float] = lambda: 0.99  # noqa: E731 - chance by which nothing is explored
TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
PICTURE = [
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]}
]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}


def route(strategy: str, *targets: str | RouteTarget, **settings: Any) -> RouteSettings:
    found = tuple(
        one if isinstance(one, RouteTarget) else RouteTarget(Target(*one.split("/", 1))) for one in targets
    )
    return RouteSettings("chat", cast(Any, strategy), found, **{"fit": True, **settings})


def that(target: str, price: OwnPrice | None = None, **conditions: Any) -> RouteTarget:
    return RouteTarget(Target(*target.split("/", 1)), 1, Conditions(**conditions), price)


def measure(gate: Gate, target: str) -> Measure:
    return gate.gateway.current.measurements.of(Target(*target.split("/", 1)))


async def asked(gate: Gate, **fields: Any) -> str:
    """Return who answered."""
    answer = await gate.ask(**fields)
    assert answer.status == 200, answer.body
    return answer.headers["x-shareai-target"]


async def test_the_cheapest_is_asked_for_each_requests_own_length() -> None:
    """A cheap prompt with a dear answer, and the other way round; own machines cost nothing."""
    facts = PriceList({"a": (1, 100), "b": (20, 1)})
    async with (
        FaultUpstream() as first,
        FaultUpstream() as second,
        Gate(
            {"a": first, "b": second}, routes={"chat": route("cheapest", "a/a", "b/b")}, facts=facts
        ) as gate,
    ):
        assert await asked(gate) == "b/b"
        assert await asked(gate, messages=[{"role": "user", "content": "word " * 4000}]) == "a/a"
        assert await asked(gate, max_tokens=1) == "a/a"
        settings = gate.settings
        own = route("cheapest", "b/b", that("a/a", OwnPrice(0, 0)))
        await gate.gateway.replace(replace(settings, routes={"chat": own}))
        assert await asked(gate) == "a/a"


async def test_what_is_measured_of_answers_changes_what_is_the_cheapest() -> None:
    """One that answers at great length is dear, however cheap its tokens are."""
    facts = PriceList({"a": (1, 5), "b": (1, 6)})
    async with (
        FaultUpstream(default=chat(usage=(10, 4000))) as wordy,
        FaultUpstream() as brief,
        Gate({"a": wordy, "b": brief}, routes={"chat": route("cheapest", "a/a", "b/b")}, facts=facts) as gate,
    ):
        assert [await asked(gate) for _ in range(3)] == ["a/a", "b/b", "b/b"]
        assert measure(gate, "a/a").answer == 4000


async def test_a_request_goes_to_one_that_has_the_context() -> None:
    """Its prompt and the answer that it asks for; where nobody has it, the roomiest is asked all the same."""
    targets = (that("a/m", context=1_000), that("a/n", context=2_000), that("b/m", context=50_000))
    async with (
        FaultUpstream() as first,
        FaultUpstream() as second,
        Gate({"a": first, "b": second}, routes={"chat": route("priority", *targets)}) as gate,
    ):
        assert await asked(gate) == "a/m"
        assert await asked(gate, max_tokens=1_500) == "a/n"
        assert await asked(gate, messages=[{"role": "user", "content": "x" * 40_000}]) == "b/m"
        assert await asked(gate, messages=[{"role": "user", "content": "x" * 400_000}]) == "b/m"


@pytest.mark.parametrize(
    ("need", "fields"),
    [
        ("tools", {"tools": TOOLS}),
        ("vision", {"messages": PICTURE}),
        ("json_schema", {"response_format": SCHEMA}),
    ],
)
async def test_a_request_goes_to_one_that_can_do_what_it_asks(need: str, fields: dict[str, Any]) -> None:
    """One that cannot is never asked, one that may is last; where none can, the client learns it at once."""
    no, yes = cast(Any, {need: False}), cast(Any, {need: True})
    targets = (that("a/cannot", **no), that("b/may"), that("b/can", **yes))
    async with (
        FaultUpstream() as first,
        FaultUpstream([chat(), status(500), chat()]) as second,
        Gate({"a": first, "b": second}, routes={"chat": route("priority", *targets)}) as gate,
    ):
        assert await asked(gate, **fields) == "b/can"
        assert await asked(gate, **fields) == "b/may"
        assert first.completions == []
        only = route("priority", targets[0])
        await gate.gateway.replace(replace(gate.settings, routes={"chat": only}))
        answer = await gate.ask(**fields)
        assert (answer.status, answer.error["code"]) == (400, "no_target_fits")
        assert answer.headers["x-should-retry"] == "false"
        assert first.completions == []
        entry = gate.ledger.closed_entries[-1]
        assert (entry.outcome, entry.route, entry.attempts) == (Outcome.REFUSED, "chat", ())


async def test_what_a_route_takes_every_request_to_need_counts_too() -> None:
    """Though the request shows nothing of it."""
    targets = (that("a/m", tools=False, context=100_000), that("a/n", tools=True, context=100_000))
    needs = Conditions(tools=True)
    async with (
        FaultUpstream() as upstream,
        Gate({"a": upstream}, routes={"chat": route("priority", *targets, conditions=needs)}) as gate,
    ):
        assert await asked(gate) == "a/n"


async def test_a_private_route_never_leaves_own_machines() -> None:
    """Not even where they all fail."""
    async with (
        FaultUpstream(default=status(500)) as own,
        FaultUpstream() as cloud,
        Gate(
            {"own": own, "cloud": cloud},
            routes={"chat": route("priority", "cloud/m", "own/m", private=True)},
            price_as={"own": "node"},
        ) as gate,
    ):
        for _ in range(6):
            assert (await gate.ask()).status == 503
        assert len(own.completions) == 6
        assert cloud.completions == []


async def test_the_preferred_come_first_and_the_others_stand_in() -> None:
    """Own machines, then the clouds."""
    async with (
        FaultUpstream([chat(), status(500)]) as own,
        FaultUpstream() as cloud,
        Gate(
            {"own": own, "cloud": cloud},
            routes={"chat": route("priority", "cloud/m", "own/m", prefer="own")},
            price_as={"own": "node"},
        ) as gate,
    ):
        assert [await asked(gate), await asked(gate)] == ["own/m", "cloud/m"]


async def test_the_least_busy_is_asked() -> None:
    """While a stream is open its target counts as busy; once it has ended, or was left, no more."""
    async with (
        FaultUpstream(default=stream("a", "b", "c").stall(after=3)) as first,
        FaultUpstream() as second,
        Gate({"a": first, "b": second}, routes={"chat": route("least-busy", "a/m", "b/m")}) as gate,
    ):
        response = await gate.begin(stream=True)
        assert measure(gate, "a/m").in_flight == 1
        assert await asked(gate) == "b/m"
        assert isinstance(response.body, PushedBody)
        taken = Taken(response.body)
        await anext(aiter(taken))
        assert await asked(gate) == "b/m"
        await taken.aclose()
        assert measure(gate, "a/m").in_flight == 0
        again = await gate.begin(stream=True)
        assert measure(gate, "a/m").in_flight == 1
        assert isinstance(again.body, PushedBody)
        again.body.close()


async def test_a_request_counts_where_it_is_and_only_there() -> None:
    """Moved on from one that failed, cancelled before any answer, refused, failed everywhere."""
    async with (
        FaultUpstream([status(500), silence(), status(500), status(400)]) as first,
        FaultUpstream([stream("x").stall(after=1), status(500)]) as second,
        Gate({"a": first, "b": second}, routes={"chat": route("least-busy", "a/m", "b/m")}) as gate,
    ):
        moved = asyncio.get_running_loop().create_task(gate.ask(stream=True))
        await until(lambda: second.completions)
        assert (measure(gate, "a/m").in_flight, measure(gate, "b/m").in_flight) == (0, 1)
        waiting = asyncio.get_running_loop().create_task(gate.ask())
        await until(lambda: len(first.completions) == 2)
        assert (measure(gate, "a/m").in_flight, measure(gate, "b/m").in_flight) == (1, 1)
        await cancelled(waiting)
        await cancelled(moved)
        assert gate.gateway.current.measurements.in_flight == 0
        assert (await gate.ask()).status == 503
        assert (await gate.ask()).status == 400
        assert gate.gateway.current.measurements.in_flight == 0


async def test_the_fastest_is_asked_by_what_was_measured() -> None:
    """Time to the first token and a token's time, of streams and of answers; the unmeasured are last."""
    chances: list[float] = []
    async with (
        FaultUpstream() as first,
        FaultUpstream() as second,
        Gate(
            {"a": first, "b": second},
            routes={"chat": route("fastest", "a/m", "b/m")},
            chance=lambda: chances.pop() if chances else 0.99,
        ) as gate,
    ):
        assert await asked(gate) == "a/m"
        assert measure(gate, "a/m").seconds == 0.0
        measure(gate, "a/m").token = 0.01
        assert await asked(gate) == "a/m"
        chances[:] = [0.5, 0.01]  # the first chance explores, the next one chooses
        assert await asked(gate) == "b/m"
        assert measure(gate, "b/m").seconds == 0.0
        assert await asked(gate) == "b/m"


async def test_speed_is_measured_of_streams() -> None:
    """From the attempt to its first content, and from there on for each token."""
    slow = stream("a", "b", usage=(9, 10))
    async with (
        FaultUpstream(default=slow) as upstream,
        Gate({"a": upstream}, routes={"chat": route("fastest", "a/m")}, chance=NEVER) as gate,
    ):
        response = await gate.begin(stream=True)
        gate.clock.forward(2.0)
        await gate.take(response)
        found = measure(gate, "a/m")
        assert (found.first, found.answer) == (0.0, 10)
        assert found.token == pytest.approx(0.2)
        assert found.seconds == pytest.approx(60.0)


def turn(question: str, *further: str) -> list[dict[str, str]]:
    """Return the messages of a conversation with so many questions, each answered but the last."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]
    for text in further:
        messages += [{"role": "assistant", "content": "Yes."}, {"role": "user", "content": text}]
    return messages


async def test_a_conversation_stays_where_its_prompt_is_cached() -> None:
    """Each on one target, all of them on every one; an ill one is left, and its conversations stay away."""
    async with (
        FaultUpstream() as first,
        FaultUpstream() as second,
        FaultUpstream() as third,
        Gate(
            {"a": first, "b": second, "c": third}, routes={"chat": route("sticky", "a/m", "b/m", "c/m")}
        ) as gate,
    ):
        homes = {f"Question {n}": await asked(gate, messages=turn(f"Question {n}")) for n in range(24)}
        assert set(homes.values()) == {"a/m", "b/m", "c/m"}
        for question, home in homes.items():
            assert await asked(gate, messages=turn(question, "And then?", "And?")) == home
        ill = [question for question, home in homes.items() if home == "a/m"]
        first.default = status(500)
        moved = {question: await asked(gate, messages=turn(question, "Still?")) for question in ill}
        assert "a/m" not in moved.values()
        first.default = chat()
        gate.pass_time(10)
        for question, home in moved.items():
            assert await asked(gate, messages=turn(question, "Still?", "There?")) == home


async def test_a_key_of_the_clients_own_can_name_a_conversation() -> None:
    """`prompt_cache_key`, whatever the messages are."""
    async with (
        FaultUpstream() as first,
        FaultUpstream() as second,
        Gate({"a": first, "b": second}, routes={"chat": route("sticky", "a/m", "b/m")}) as gate,
    ):
        found = {await asked(gate, messages=turn(f"Question {n}"), prompt_cache_key="one") for n in range(12)}
        assert len(found) == 1


async def test_a_plain_route_is_not_measured() -> None:
    """It goes by its list alone, and costs nothing more than before."""
    async with (
        FaultUpstream() as upstream,
        Gate({"a": upstream}, routes={"chat": ["a/m"], "few": route("least-busy", "a/n")}) as gate,
    ):
        await gate.ask(tools=TOOLS)
        assert measure(gate, "a/m").answer is None
        await gate.ask("a/n")
        assert measure(gate, "a/n").answer is None


async def test_what_was_measured_outlasts_a_change_of_the_configuration() -> None:
    """Of targets that stay; a request that was under way meanwhile is not counted for ever."""
    async with (
        FaultUpstream(default=stream("a", "b")) as first,
        FaultUpstream() as second,
        Gate({"a": first, "b": second}, routes={"chat": route("least-busy", "a/m", "b/m")}) as gate,
    ):
        response = await gate.begin(stream=True)
        changed = route("least-busy", "a/m", "b/m", "b/n")
        await gate.gateway.replace(replace(gate.settings, routes={"chat": changed}))
        assert await asked(gate) == "b/m"
        await gate.take(response)
        assert await asked(gate, stream=True) == "a/m"
