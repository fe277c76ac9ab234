"""What a gateway tells of where a request would go."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from shareai_cli.config import HedgeSettings
from shareai_cli.errors import MalformedRequest, UnknownModel
from shareai_cli.gateway.route_explainer import RouteExplainer, explain_offline
from shareai_cli.types import (
    Budget,
    Limits,
    LimitsAsked,
    RateLimit,
    RouteExplanation,
    Subject,
    Target,
    TargetPlace,
)
from tests.gateway.strategies.boards import PriceList
from tests.gateway.test_strategies import TOOLS, route, that
from tests.support.behaviours import rate_limited, status
from tests.support.gateway import Gate, chat_body
from tests.support.upstream import FaultUpstream

FACTS = PriceList({"a": (1, 4), "b": (2, 1)})


async def explained(gate: Gate, model: str = "chat", **fields: Any) -> RouteExplanation:
    return await RouteExplainer(gate.gateway.current, gate.clock).explain(chat_body(model, **fields))


def told(one: TargetPlace) -> tuple[str, int | None, str]:
    return one.target, one.place, one.reason


async def test_each_target_has_its_place_or_why_it_is_out() -> None:
    """By what it lacks, how it stands, and what the request is expected to cost there. Nothing is sent."""
    targets = (
        "a/a",
        "a/b",
        that("a/c", tools=True),
        that("a/d", tools=False, context=50),
        that("b/b", tools=True),
    )
    async with (
        FaultUpstream() as upstream,
        FaultUpstream([rate_limited(**{"Retry-After": "30"})]) as limited,
        Gate(
            {"a": upstream, "b": limited}, routes={"chat": route("cheapest", *targets)}, facts=FACTS
        ) as gate,
    ):
        await gate.ask("b/b")
        found = await explained(gate, tools=TOOLS, max_tokens=100)
        assert (found.strategy, found.is_live) == ("cheapest", True)
        assert [told(one) for one in found.targets] == [
            ("a/c", 1, "its price is not known"),
            ("a/b", 2, "may not do tools"),
            ("a/a", 3, "may not do tools"),
            (
                "a/d",
                None,
                f"cannot do tools, has 50 tokens of context, and {found.prompt_tokens + 100} are needed",
            ),
            ("b/b", None, "is cooling for 30 s: HTTP 429"),
        ]
        dearer, cheaper = found.targets[2].cost_nano, found.targets[1].cost_nano
        assert cheaper is not None
        assert dearer is not None
        assert cheaper < dearer
        assert found.targets[0].cost_nano is None
        assert upstream.completions == []
        answer = await gate.ask(tools=TOOLS)
        assert answer.headers["x-shareai-target"] == "a/c"


async def test_the_place_is_the_one_that_requests_meet() -> None:
    """Busy targets, and measured ones, as they are just now."""
    async with (
        FaultUpstream() as first,
        FaultUpstream() as second,
        Gate({"a": first, "b": second}, routes={"chat": route("least-busy", "a/m", "b/m")}) as gate,
    ):
        response = await gate.begin(stream=True)
        found = await explained(gate)
        assert [(one.target, one.in_flight) for one in found.targets] == [("b/m", 0), ("a/m", 1)]
        await gate.take(response)
        found = await explained(gate)
        assert [(one.target, one.in_flight) for one in found.targets] == [("a/m", 0), ("b/m", 0)]
        assert found.targets[0].first_token_us == 0
        assert found.targets[0].answer_tokens == 12


async def test_where_nobody_stands_well_the_least_bad_has_the_first_place() -> None:
    """As requests do; what is private stays out all the same."""
    async with (
        FaultUpstream(default=status(500)) as upstream,
        Gate(
            {"own": upstream, "cloud": upstream},
            routes={"chat": route("priority", "cloud/m", "own/m", private=True)},
            price_as={"own": "node"},
        ) as gate,
    ):
        for _ in range(3):
            await gate.ask()
        found = await explained(gate)
        own, cloud = found.targets
        assert (own.target, own.place) == ("own/m", 1)
        assert own.reason.startswith("is ejected for 5 s: HTTP 500")
        assert told(cloud) == ("cloud/m", None, "is no machine of your own, and the route is private")


async def test_names_that_are_no_routes_are_explained_too() -> None:
    """`provider/model`, a plain route, a bare id; an unknown one is refused with the nearest."""
    async with (
        FaultUpstream() as upstream,
        Gate({"a": upstream, "b": upstream}, routes={"plain": ["b/m1", "a/m1"]}) as gate,
    ):
        for model, targets in (
            ("a/any", ["a/any"]),
            ("plain", ["b/m1", "a/m1"]),
            ("m1", ["a/m1", "b/m1"]),
        ):
            found = await explained(gate, model)
            assert [one.target for one in found.targets] == targets
        with pytest.raises(UnknownModel, match="Did you mean 'plain'"):
            await explained(gate, "plian")
        with pytest.raises(MalformedRequest, match="messages"):
            await RouteExplainer(gate.gateway.current).explain(b'{"model": "plain"}')
        assert gate.gateway.current.measurements.of(Target("a", "any")).answer is None


async def test_it_tells_who_is_asked_too_and_which_limits_are() -> None:
    """Of the route's settings, and of the limits of those that a request meets; not of others."""
    minute, day = Limits((RateLimit("requests", "minute", 60),)), Limits(budgets=(Budget("day", 10**9),))
    settings = replace(route("priority", "a/m", that("a/n", tools=False)), hedge=HedgeSettings(2.0, 0.25))
    async with Gate({"a": "http://127.0.0.1:1/v1"}, routes={"chat": settings, "plain": ["a/m"]}) as gate:
        limits = {
            Subject("target", "a/n"): minute,
            Subject("target", "a/m"): minute,
            Subject("target", "a/other"): minute,
            Subject("route", "chat"): day,
            Subject("route", "plain"): day,
            Subject("organization"): minute,
        }
        await gate.gateway.replace(replace(gate.settings, limits=limits))
        found = await explained(gate)
        assert (found.hedge_after, found.hedge_extra) == (2.0, 0.25)
        assert found.limits == (
            LimitsAsked("organization", {"requests_per_minute": 60}),
            LimitsAsked("route/chat", {"budget_per_day": "1 USD"}),
            LimitsAsked("target/a/m", {"requests_per_minute": 60}),
            LimitsAsked("target/a/n", {"requests_per_minute": 60}),
        )
        alone = await explained(gate, tools=TOOLS)
        assert alone.hedge_after is None
        assert [one.subject for one in alone.limits] == ["organization", "route/chat", "target/a/m"]
        single = await explained(gate, "a/other")
        assert [one.subject for one in single.limits] == ["organization", "target/a/other"]
        offline = explain_offline(replace(gate.settings, limits=limits), chat_body(), FACTS, lambda name: [])
        assert (offline.hedge_after, offline.limits) == (2.0, found.limits)


async def test_without_a_gateway_nothing_is_said_of_how_targets_stand() -> None:
    """Configuration and catalogue tell the rest, of bare ids too."""
    routes = {"chat": route("cheapest", that("a/a", context=5), "a/b")}
    async with Gate({"a": "http://127.0.0.1:1/v1"}, routes=routes) as gate:
        found = explain_offline(gate.settings, chat_body(), FACTS, lambda name: ["listed"])
        assert not found.is_live
        assert [(one.target, one.place) for one in found.targets] == [("a/b", 1), ("a/a", None)]
        found = explain_offline(gate.settings, chat_body("listed"), FACTS, lambda name: ["listed"])
        assert [one.target for one in found.targets] == ["a/listed"]
        with pytest.raises(UnknownModel, match="Did you mean 'listed'"):
            explain_offline(gate.settings, chat_body("lsited"), FACTS, lambda name: ["listed"])
