"""The screens of routes and nodes: what a person orders there, beside a real gateway; and how they look."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from shareai_cli.cli.watched import OwnSource
from shareai_cli.dashboard.screens.nodes import size
from shareai_cli.ledger.overrides import read_overrides
from shareai_cli.live import Event, LiveRoute, LiveTarget
from shareai_cli.types import LimitsAsked, RouteExplanation, TargetPlace
from tests.dashboard.scenes import BUSY, NOW, ROUTES
from tests.support.dashboards import ScriptedGateway, ScriptedSource, ShownDashboard, shown
from tests.support.served import KEYS, RunningGateway, one_route
from tests.support.upstream import FaultUpstream
from tests.support.waiting import until

SIZES = ((80, 24), (160, 48))


async def marked(screen: ShownDashboard, target: str, *wanted: str) -> None:
    """Wait until a target's line says all of that."""

    def says(text: str) -> bool:
        return any(target in line and all(one in line for one in wanted) for line in text.splitlines())

    await screen.until_true(says, f"{target} with {wanted}")


async def test_each_key_of_the_routes_screen_steers_a_real_gateway(tmp_path: Path) -> None:
    """Nothing without a yes; then at once, seen in the line of the target, kept, and in the audit."""
    async with FaultUpstream() as first, FaultUpstream() as second:
        config = one_route(first.base_url, second.base_url)
        config += '[routes.other]\nstrategy = "weighted"\ntargets = ["p2/m1"]\n'
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            async with shown(OwnSource(gateway.paths), size=(120, 34)) as screen:
                await screen.until("● live")
                await screen.press("g", "t")
                await screen.until("ShareAI Routes", "chat  priority", "2 of 2")
                await marked(screen, "p1/m1", "1", "● serving")

                await screen.press("d")
                await screen.until("Disable p1/m1 on the route chat?", "under way there go on")
                await screen.press("n")
                await screen.until_gone("Disable p1/m1")
                assert read_overrides(gateway.paths.database).targets == ()
                await screen.press("d", "y")
                await marked(screen, "p1/m1", "out", "■ disabled", "is disabled: by ")
                await screen.until("p1/m1 is disabled on the route chat.", "1 of 2")
                assert (await gateway.ask()).headers["x-shareai-target"] == "p2/m1"

                await screen.press("d")
                await screen.until("p1/m1 is disabled already.")
                await screen.press("D")
                await screen.until("Drain p1/m1")
                await screen.press("y")
                await marked(screen, "p1/m1", "▽ draining")
                await screen.press("e")
                await screen.until("Enable p1/m1")
                await screen.press("escape", "e", "y")
                await marked(screen, "p1/m1", "● serving")
                await marked(screen, "p1/m1", " 1 ")
                assert (await gateway.ask()).headers["x-shareai-target"] == "p1/m1"

                await screen.press("w")
                await screen.until("Weight of p1/m1 on the route chat", "the declared one, 1")
                await screen.press("backspace", "x", "enter")
                await screen.until("A weight is a whole number")
                await screen.press("w", "backspace", "7", "enter")
                await marked(screen, "p1/m1", "7 (file 1)", "its weight is 7 by hand")
                await screen.press("w", "backspace", "enter")
                await screen.until_gone("7 (file 1)")

                await screen.press("x")
                await screen.until("chat: priority; a prompt of ~")
                await screen.type("How long is this?")
                await screen.press("enter")
                await screen.until("a prompt of ~", "COST", "p2/m1")
                await screen.press("escape")

                await screen.press("right_square_bracket")
                await screen.until("other  weighted")
                await screen.press("left_square_bracket")
                await screen.until("chat  priority")
            rows = (await gateway.shareai("audit", "list", "--json")).json["rows"]
            orders = [(one["action"], json.loads(one["after"])) for one in rows if "route." in one["action"]]
            assert orders == [
                ("route.disable", {"state": "disabled", "weight": None}),
                ("route.drain", {"state": "draining", "weight": None}),
                ("route.enable", {"state": "serving", "weight": None}),
                ("route.reweight", {"state": "serving", "weight": 7}),
                ("route.reweight", {"state": "serving", "weight": None}),
            ]


@pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")
async def test_each_key_of_the_nodes_screen_steers_a_real_gateway(tmp_path: Path) -> None:
    """The demo model is loaded by a request; a paused node's requests are refused, until it resumes."""
    async with (
        await RunningGateway.start(tmp_path) as gateway,
        shown(OwnSource(gateway.paths), size=(130, 34)) as screen,
    ):
        await screen.until("● live")
        await screen.press("g", "n")
        await marked(screen, "shareai-demo", "○ not loaded", "loads with the first request")
        await marked(screen, "node", "● serving", "0 of 1 loaded")
        await screen.until(" cores", "GiB of ")
        assert (await gateway.ask(model="shareai-demo")).status_code == 200
        await marked(screen, "shareai-demo", "● ready", "MiB")
        await screen.press("r")
        await screen.until("node is neither paused nor draining.")
        await screen.press("p")
        await screen.until("Pause node (")
        await screen.press("n")
        await screen.until_gone("Pause node (")
        assert (await gateway.ask(model="shareai-demo")).status_code == 200
        assert read_overrides(gateway.paths.database).nodes == ()
        await screen.press("p", "y")
        await marked(screen, "node", "‖ paused", "by ")
        assert (await gateway.ask(model="shareai-demo")).status_code == 503
        await screen.press("p")
        await screen.until("node is paused already.")
        await screen.press("D", "y")
        await marked(screen, "node", "▽ draining")
        await screen.press("r", "y")
        await marked(screen, "node", "● serving")
        assert (await gateway.ask(model="shareai-demo")).status_code == 200


async def test_without_a_gateway_nothing_can_be_ordered(tmp_path: Path) -> None:
    """And the screens say so."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            assert (await gateway.ask()).status_code == 200
        async with shown(OwnSource(gateway.paths)) as screen:
            await screen.until("○ No gateway runs")
            await screen.press("g", "t")
            await screen.until("p1/m1", "○ offline")
            await screen.press("d")
            await screen.until("No gateway is there just now.")
            await screen.press("x", "g", "n")
            await screen.until("Only a running gateway tells of nodes.")
            await screen.press("p")
            await screen.until("No gateway tells of a node just now.")


class ScriptedAdmin:
    """Explains every route in the order that a test says."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def explain_route(self, body: bytes) -> RouteExplanation:
        model = json.loads(body)["model"]
        self.asked.append(model)
        route = next(one for one in ROUTES if one.name == model)
        first, second = reversed(route.targets)
        return RouteExplanation(
            model, model, route.strategy, None, False, 12, True,
            (
                TargetPlace(first.target, 1, "", 1_200_000, 300, context=131_072, first_token_us=210_000,
                            tokens_per_second=74.2),
                TargetPlace(second.target, None, "is ejected for 42 s: HTTP 503", None, 300),
            ),
            2.0, 0.1, (LimitsAsked("route/chat", {"requests_per_minute": 600, "budget_per_day": "5 USD"}),),
        )  # fmt: skip


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_they_look_as_they_did(size: tuple[int, int], theme: str) -> None:
    """Each name, place, state and number is where it was, in its colour."""
    gateway = ScriptedGateway(BUSY, admin=ScriptedAdmin())
    async with shown(ScriptedSource(gateway), size=size, wall_clock=lambda: NOW) as screen:
        if theme == "light":
            await screen.press("t")
        name = f"{size[0]}x{size[1]}-{theme}"
        await screen.until("● live")
        await screen.press("g", "t")
        await screen.until("chat  priority", "out")
        await screen.matches(f"routes-{name}")
        await screen.press("up", "d")
        await screen.until("Disable openai/gpt-5-mini")
        await screen.matches(f"routes-confirm-{name}")
        await screen.press("n", "x")
        await screen.until("~12 tokens", "a second one is asked", "Limits: route/chat")
        await screen.matches(f"routes-explain-{name}")
        await screen.press("escape", "g", "n")
        await screen.until("qwen3-8b")
        await screen.matches(f"nodes-{name}")


@pytest.mark.parametrize("size", [(20, 5), (1, 1), (300, 90)])
async def test_any_size_of_terminal_will_do(size: tuple[int, int]) -> None:
    """With what is asked above the screens, too; and going back shows everything again."""
    gateway = ScriptedGateway(BUSY, admin=ScriptedAdmin())
    async with shown(ScriptedSource(gateway), wall_clock=lambda: NOW) as screen:
        await screen.until("● live")
        await screen.press("g", "t")
        await screen.until("out", "Enable")
        await screen.settle()
        before = screen.text
        await screen.pilot.resize_terminal(*size)
        await screen.press("d", "n", "w", "escape", "x", "escape", "g", "n", "p", "n", "g", "t")
        await screen.pilot.resize_terminal(80, 24)
        await screen.until_true(lambda text: text == before, "the screen of before")


async def test_the_order_is_asked_for_again_where_it_may_have_changed() -> None:
    """At once where a state or a weight changes, else after a while; not for targets without a route."""
    admin, now = ScriptedAdmin(), [NOW]
    gateway = ScriptedGateway(BUSY, admin=admin)
    async with shown(ScriptedSource(gateway), wall_clock=lambda: now[0]) as screen:
        await screen.until("● live")
        await screen.press("g", "t")
        await screen.until("out")
        assert admin.asked == ["chat"]

        async def change(**fields: object) -> None:
            [groq, openai] = ROUTES[0].targets
            values = {name: getattr(openai, name) for name in openai.__struct_fields__} | fields
            changed = LiveRoute("chat", "priority", (groq, LiveTarget(**values)))
            gateway.tell(Event(1, 0, routes=(changed, LiveRoute("", "priority", (groq,)))))

        await change(asked=700)
        await screen.until("1010")
        assert admin.asked == ["chat"]
        await change(asked=700, state="cooling")
        await until(lambda: admin.asked == ["chat"] * 2)
        now[0] += 3
        await change(asked=701, state="cooling")
        await until(lambda: admin.asked == ["chat"] * 3)
        await screen.press("right_square_bracket", "d")
        await screen.until("no route leads there")
        assert admin.asked == ["chat"] * 3


@pytest.mark.parametrize(
    ("number", "written"),
    [(None, "-"), (2048, "2 KiB"), (5 << 20, "5 MiB"), (9 << 30, "9 GiB"), (1 << 40, "1.02e+03 GiB")],
)
def test_sizes(number: int | None, written: str) -> None:
    """In the unit that a person would take."""
    assert size(number) == written
