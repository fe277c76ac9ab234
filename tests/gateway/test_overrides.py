"""What a person orders of targets and nodes at run time, as requests meet it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from shareai_cli.config import RouteSettings, RouteTarget
from shareai_cli.drill_types import DRILL_HEADER, ScenarioWanted
from shareai_cli.errors import UsageError
from shareai_cli.gateway.overrides import changes_between, check_node, check_target, in_words
from shareai_cli.gateway.route_explainer import RouteExplainer, explain_offline
from shareai_cli.gateway.scene import GatewayScene
from shareai_cli.overrides import NO_OVERRIDES, NodeOverride, Overrides, TargetOverride
from shareai_cli.types import RouteExplanation, Target
from tests.gateway.strategies.boards import PriceList
from tests.gateway.test_strategies import route
from tests.support.behaviours import model_list, silence
from tests.support.drilled import Drilled
from tests.support.gateway import Gate, chat_body
from tests.support.upstream import FaultUpstream
from tests.support.waiting import until

STRATEGIES = ("priority", "weighted", "cheapest", "fastest", "least-busy", "sticky")


def off(target: str, state: Any = "disabled", route: str = "chat", **more: Any) -> TargetOverride:
    return TargetOverride(route, target, state, by="alice", since_ms=1_790_000_000_000, **more)


async def order(gate: Gate, *targets: TargetOverride, node: Any = "serving") -> None:
    nodes = (NodeOverride("node", node, "alice", 1_790_000_000_000),) if node != "serving" else ()
    await gate.gateway.override(lambda: Overrides(targets, nodes))


async def answers(gate: Gate, count: int = 6, model: str = "chat") -> set[str]:
    """Return who answers a few requests."""
    found = [await gate.ask(model, user=str(number)) for number in range(count)]
    assert {one.status for one in found} == {200}
    return {one.headers["x-shareai-target"] for one in found}


async def explained(gate: Gate, model: str = "chat") -> RouteExplanation:
    return await RouteExplainer(gate.gateway.current, gate.clock).explain(chat_body(model))


@pytest.mark.parametrize("state", ["disabled", "draining"])
@pytest.mark.parametrize("fit", [False, True])
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_no_strategy_asks_a_target_that_is_to_get_nothing(strategy: str, fit: bool, state: str) -> None:
    """Nor explains it as one that is asked; enabled again it is asked as before."""
    targets = route(strategy, "a/m", "b/m", fit=fit)
    async with (
        FaultUpstream() as first,
        FaultUpstream() as second,
        Gate({"a": first, "b": second}, routes={"chat": targets}, facts=PriceList({})) as gate,
    ):
        await order(gate, off("a/m", state))
        assert await answers(gate) == {"b/m"}
        places = {one.target: (one.place, one.reason) for one in (await explained(gate)).targets}
        assert places["b/m"][0] == 1
        assert places["a/m"][0] is None
        assert places["a/m"][1].startswith(f"is {state}: by alice, 20")
        await order(gate, off("b/m", state))
        assert await answers(gate) == {"a/m"}
        await order(gate)
        assert (await explained(gate)).targets[0].place == 1
        first_asked = len(first.completions)
        await answers(gate, 40 if strategy == "weighted" else 6)
        assert strategy == "sticky" or len(first.completions) > first_asked


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_route_without_targets_left_says_so(strategy: str) -> None:
    """With a 503 that says when to try again, and without saying who ordered it."""
    async with (
        FaultUpstream() as upstream,
        Gate({"a": upstream}, routes={"chat": route(strategy, "a/m")}, facts=PriceList({})) as gate,
    ):
        await order(gate, off("a/m"))
        answer = await gate.ask()
        assert answer.status == 503
        assert answer.headers["retry-after"] == "30"
        assert "they are disabled, paused or drained by hand" in answer.error["message"]
        assert "alice" not in answer.error["message"]
        assert [one.place for one in (await explained(gate)).targets] == [None]
        assert upstream.completions == []
        await order(gate)
        assert await answers(gate, 1) == {"a/m"}


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_private_route_whose_own_machines_are_held_goes_nowhere_else(strategy: str) -> None:
    """Least of all to the clouds that are among its targets."""
    async with (
        FaultUpstream() as upstream,
        FaultUpstream() as agent,
        Gate({"a": upstream}, routes={"chat": route(strategy, "a/m", "node/m", private=True)}) as gate,
    ):
        gate.fleet.serve(agent, "m")
        assert await answers(gate, 1) == {"node/m"}
        await order(gate, node="paused")
        answer = await gate.ask()
        assert (answer.status, "by hand" in answer.error["message"]) == (503, True)
        assert upstream.completions == []
        assert {one.place for one in (await explained(gate)).targets} == {None}


async def test_an_order_is_of_its_route_alone() -> None:
    """The target is asked by its own name, and by other routes, as ever."""
    async with (
        FaultUpstream() as upstream,
        Gate({"a": upstream, "b": upstream}, routes={"chat": ["a/m", "b/m"], "code": ["a/m"]}) as gate,
    ):
        await order(gate, off("a/m"))
        assert await answers(gate, 1) == {"b/m"}
        assert await answers(gate, 1, "code") == {"a/m"}
        assert await answers(gate, 1, "a/m") == {"a/m"}


async def test_what_is_under_way_goes_on_and_moves_on_to_no_target_that_was_disabled_since() -> None:
    """A stream of a target that is drained comes to its end; a request that fails skips what is off."""
    async with (
        FaultUpstream() as first,
        FaultUpstream([silence()]) as second,
        FaultUpstream() as third,
        Gate(
            {"a": first, "b": second, "c": third},
            routes={"chat": ["a/m"], "late": ["b/m", "a/m", "c/m"]},
        ) as gate,
    ):
        response = await gate.begin(stream=True)
        waiting = asyncio.get_running_loop().create_task(gate.ask("late"))
        await until(lambda: second.completions)
        await order(gate, off("a/m", "draining"), off("a/m", "disabled", "late"))
        assert (await gate.take(response)).events[-1] == "[DONE]"
        second.drop(reset=True)
        assert (await waiting).headers["x-shareai-target"] == "c/m"
        assert len(first.completions) == 1


async def test_weights_are_those_that_were_ordered() -> None:
    """Until they are taken back; the explanation says both."""
    targets = RouteSettings(
        "chat", "weighted", (RouteTarget(Target("a", "m"), 1), RouteTarget(Target("b", "m"), 1))
    )
    chances = iter([0.2, 0.9] * 50)
    async with (
        FaultUpstream() as upstream,
        Gate({"a": upstream, "b": upstream}, routes={"chat": targets}, chance=lambda: next(chances)) as gate,
    ):
        assert await answers(gate, 3) == {"a/m"}
        await order(gate, TargetOverride("chat", "b/m", weight=1000, by="alice"))
        assert await answers(gate, 3) == {"b/m"}
        first, second = (await explained(gate)).targets
        assert (first.target, first.weight) == ("b/m", 1000)
        assert first.reason == "its weight is 1000 by hand, 1 in the configuration"
        assert second.reason == ""
        await order(gate)
        assert await answers(gate, 3) == {"a/m"}


async def test_a_paused_node_gets_nothing_under_any_name() -> None:
    """Not on routes, nor by its own name, nor by the model's; requests with somewhere else to go go there."""
    async with (
        FaultUpstream(models=model_list("m")) as upstream,
        FaultUpstream() as agent,
        Gate({"a": upstream}, routes={"chat": ["node/m", "a/m"]}) as gate,
    ):
        gate.fleet.serve(agent, "m", "own")
        assert await answers(gate, 1) == {"node/m"}
        await order(gate, node="paused")
        assert await answers(gate, 2) == {"a/m"}
        assert await answers(gate, 1, "m") == {"a/m"}
        assert (await gate.ask("node/m")).status == 503
        assert (await gate.ask("own")).status == 503
        assert "by hand" in (await gate.ask("node/m")).error["message"]
        assert len(agent.completions) == 1
        assert (await explained(gate)).targets[-1].reason.startswith("is paused: by alice")
        assert (await explained(gate, "node/m")).targets[0].place is None
        assert not await gate.gateway.current.can_serve("node/m")
        await order(gate)
        assert await answers(gate, 1, "node/m") == {"node/m"}


async def test_what_was_measured_of_a_target_is_known_when_it_is_enabled_again() -> None:
    """As are orders when the configuration changes meanwhile."""
    async with (
        FaultUpstream() as upstream,
        Gate({"a": upstream, "b": upstream}, routes={"chat": route("fastest", "a/m", "b/m")},
             chance=lambda: 0.99) as gate,
    ):  # fmt: skip
        await answers(gate, 2)
        measured = gate.gateway.current.measurements.of(Target("a", "m")).token
        assert measured is not None
        await order(gate, off("a/m"))
        await gate.gateway.replace(gate.settings)
        assert await answers(gate, 2) == {"b/m"}
        await order(gate)
        assert gate.gateway.current.measurements.of(Target("a", "m")).token == measured


async def test_a_model_that_stands_for_others_is_not_one_without_targets() -> None:
    """`auto` goes on to the next preferred one."""
    async with (
        FaultUpstream() as upstream,
        Gate({"a": upstream}, routes={"chat": ["a/m"], "code": ["a/m"]}) as gate,
    ):
        assert await gate.gateway.current.can_serve("chat")
        await order(gate, off("a/m"))
        assert not await gate.gateway.current.can_serve("chat")
        assert await gate.gateway.current.can_serve("code")


async def test_those_who_watch_see_orders_and_are_told_of_them() -> None:
    """As the state of the target on that route, with who ordered it."""
    async with (
        FaultUpstream() as upstream,
        Gate({"a": upstream, "b": upstream}, routes={"chat": ["a/m", "b/m"], "code": ["a/m"]}) as gate,
    ):
        scene = GatewayScene(gate.gateway, gate.clock)
        assert scene.changes() == []
        await order(gate, off("a/m", "draining"), off("b/m", "serving", weight=7))
        chat, code = scene.scene(dict).routes
        assert [(one.target, one.state, one.weight, one.declared_weight) for one in chat.targets] == [
            ("a/m", "draining", 1, None),
            ("b/m", "serving", 7, 1),
        ]
        assert chat.targets[0].reason.startswith("by alice, ")
        assert code.targets[0].state == "serving"
        assert scene.changes() == [
            "a/m was set to drain on the route chat by alice",
            "b/m was given the weight 7 on the route chat by alice",
        ]
        assert scene.changes() == []
        await order(gate, node="draining")
        assert "The node node was set to drain by alice" in scene.changes()
        await order(gate)
        assert scene.changes() == ["The node node gets requests again"]


def test_without_a_gateway_the_explanation_goes_by_orders_too() -> None:
    """They are kept for the next one."""
    gate = Gate({"a": "http://127.0.0.1:1/v1"}, routes={"chat": ["a/m", "a/n"]})
    found = explain_offline(
        gate.settings,
        chat_body(),
        PriceList({}),
        lambda name: (),
        overrides=Overrides((off("a/m"),)),
    )
    assert [(one.target, one.place) for one in found.targets] == [("a/n", 1), ("a/m", None)]
    gate.deadlines.close()


def test_what_there_is_not_cannot_be_ordered() -> None:
    """The nearest that there is is named."""
    routes = {"chat": route("priority", "openai/gpt-5-mini")}
    with pytest.raises(UsageError, match=r"no route 'chta'\.") as error:
        check_target(routes, "chta", "openai/gpt-5-mini")
    assert error.value.hint == "Did you mean chat?"
    with pytest.raises(UsageError, match="no target of the route chat called 'openai/gpt-5-min'") as error:
        check_target(routes, "chat", "openai/gpt-5-min")
    assert error.value.hint == "Did you mean openai/gpt-5-mini?"
    # What is ordered of one that is gone can be taken back.
    check_target(routes, "chat", "gone/m", Overrides((off("gone/m"),)))
    with pytest.raises(UsageError, match="no node 'box'"):
        check_node("box")


def test_orders_at_the_start_in_words() -> None:
    """Whoever starts a gateway is told what gets no requests; weights alone are nothing to wonder about."""
    assert in_words(NO_OVERRIDES) == ""
    assert in_words(Overrides((off("a/m", "serving", weight=3),))) == ""
    many = tuple(off(f"a/{number}") for number in range(5))
    assert in_words(Overrides(many, (NodeOverride("node", "paused"),))) == (
        "No requests go, by hand, to a/0 on the route chat, a/1 on the route chat, a/2 on the route chat "
        "and 3 more: 'shareai status' tells more."
    )


async def test_a_drill_asks_none_that_is_to_get_nothing(tmp_path: Path) -> None:
    """It looks at what requests meet, and a target that was disabled is not to be asked."""
    async with (
        FaultUpstream() as a,
        FaultUpstream() as b,
        Drilled(tmp_path, {"a": a, "b": b}, routes={"chat": ["a/m", "b/m"], "off": ["a/m"]}) as drilled,
    ):
        await drilled.gateway.override(lambda: Overrides((off("a/m"), off("a/m", route="off"))))
        subjects = await asyncio.to_thread(drilled.admin.drill_subjects)
        assert [(one.name, one.targets) for one in subjects.routes] == [("chat", ("b/m",))]
        assert [one.name for one in subjects.targets] == ["b/m"]
        drill = await asyncio.to_thread(drilled.admin.begin_drill)
        scenario = await asyncio.to_thread(drilled.admin.add_scenario, drill, ScenarioWanted("chat"))
        headers = {"Authorization": f"Bearer {scenario.key}", DRILL_HEADER: scenario.token}
        answer = await drilled.ask(headers=headers)
        assert answer.headers["x-shareai-target"] == "b/m"
        assert a.completions == []


def test_changes_of_orders_in_words() -> None:
    """Each once, those taken back too."""
    former = Overrides((off("a/m"), off("b/m", "serving", weight=3)))
    new = Overrides((off("a/m", "draining"),), (NodeOverride("node", "paused", "bob"),))
    assert [*changes_between(former, new)] == [
        "a/m was set to drain on the route chat by alice",
        "b/m gets requests of the route chat as declared again",
        "The node node was paused by bob",
    ]
    assert [*changes_between(new, new)] == []
    assert [*changes_between(NO_OVERRIDES, NO_OVERRIDES)] == []
