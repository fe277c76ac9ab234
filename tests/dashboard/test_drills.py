"""The screen of drills: what is chosen, what it costs, how it goes on, and how that was before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from shareai_cli.cli.dash_drills import DashDrilling
from shareai_cli.cli.watched import OwnSource
from shareai_cli.dashboard.choosing import Choices
from shareai_cli.dashboard.drilling import Choice, history_of
from shareai_cli.dashboard.tools import Tools
from shareai_cli.errors import GatewayUnreachable, UsageError
from tests.dashboard.drill_scenes import FAULTS, HISTORY, SUBJECTS, DrillAdmin, ScriptedDrilling, finding
from tests.dashboard.scenes import BUSY, NOW
from tests.dashboard.talk_scenes import ScriptedTalking
from tests.support.dashboards import ScriptedGateway, ScriptedSource, ShownDashboard, shown
from tests.support.served import KEYS, RunningGateway, one_route
from tests.support.upstream import FaultUpstream

SIZES = ((80, 24), (160, 48))
REFUSED, ERROR = "first: connection refused (whole)", "first: HTTP 500 (whole)"


@asynccontextmanager
async def scripted(
    drilling: ScriptedDrilling, size: tuple[int, int] = (110, 30)
) -> AsyncIterator[ShownDashboard]:
    """Show the screen of drills of a gateway that tells what the scenes say."""
    source = ScriptedSource(ScriptedGateway(BUSY, admin=DrillAdmin()))
    tools = Tools(drilling, ScriptedTalking())
    async with shown(source, size=size, wall_clock=lambda: NOW, tools=tools) as screen:
        await screen.until("● live")
        await screen.press("g", "d")
        await screen.until("[x] chat", "✕ failed")
        yield screen


async def test_a_drill_is_chosen_started_watched_and_looked_at() -> None:
    """Nothing starts before the person has seen the cost and agreed; each case says what it was before."""
    drilling = ScriptedDrilling(finding(REFUSED, "passed", 0.2), finding(ERROR, "passed", 0.4))
    async with scripted(drilling) as screen:
        await screen.until("20 cases, 40 requests, about $0.02, 5 of unknown price")
        await screen.press("down", "down", "space")
        await screen.until("[ ] evil", "[ ] ROUTES", "10 cases, 20 requests")
        await screen.press("s")
        await screen.until("Start this drill?", "20 requests", "about $0.01", "2 of unknown price", "$0.05")
        await screen.press("escape")
        await screen.until_gone("Start this drill?")
        assert not drilling.choices
        await screen.press("s", "enter")
        await screen.until("0 of 10", "failover chat: first: connection refused (whole)")
        assert drilling.choices == [Choice(routes=("chat",))]
        drilling.step()
        await screen.until("1 of 10", "✓ passed", "25 ms", "= 45 ms", "$0.0001")
        drilling.step()
        await screen.until("2 of 10", "ended", "! failed")
        await screen.press("enter")
        await screen.until("failover  chat: first: connection", "1. groq/llama-3.3-70b  ✕ status, HTTP 500")
        await screen.until("2. openai/gpt-5-mini  ✓ ok", "before     ✓ passed, the failover took 45 ms")
        await screen.press("escape", "h")
        await screen.until("The last 3 drills", "▲ partly")
        await screen.press("w")
        await screen.until("2 of 10", "ended")


async def test_a_drill_of_before_tells_what_changed() -> None:
    """What failed comes first, with what was expected; a report of another version has no cases."""
    async with scripted(ScriptedDrilling()) as screen:
        text = await screen.until("✕ failed 1/4", "✓ passed 2/2", "$0.0002+?", "▲ partly")
        assert "nightly�[31m" in text
        await screen.press("h", "enter")
        text = await screen.until("! passed", "▲ blocked", "· skipped", "= 39 ms")
        assert text.index("✕ failed") < text.index("▲ blocked") < text.index("· skipped")
        await screen.press("enter")
        await screen.until("expected   another target answers", "happened   HTTP 503", "look at")
        await screen.press("escape", "escape", "down", "down", "enter")
        await screen.until("▲ partly  09-", "drl_1")


async def test_a_drill_ends_when_it_is_stopped_or_cannot_go_on() -> None:
    """And the next one can be started."""
    drilling = ScriptedDrilling(
        finding(REFUSED, "passed", 0.2), problem=GatewayUnreachable("It\x1b[2J is gone.")
    )
    async with scripted(drilling) as screen:
        await screen.press("x", "s", "y")
        await screen.until("0 of 20")
        await screen.press("s")
        await screen.press("x")
        await screen.until("stopped")
        assert not drilling.is_running
        drilling.step()
        await screen.press("s", "enter")
        await screen.until("1 of 20", "It�[2J is gone.")
        await screen.press("h", "s")
        await screen.until("Start this drill?")


async def test_a_drill_goes_on_behind_other_screens() -> None:
    """And is there again when the person comes back."""
    drilling = ScriptedDrilling(finding(REFUSED, "passed", 0.2))
    async with scripted(drilling) as screen:
        await screen.press("s", "enter", "g", "o")
        await screen.until("ShareAI Overview")
        drilling.step()
        await screen.press("g", "d")
        await screen.until("1 of 20", "ended")


async def test_leaving_the_dashboard_ends_its_drill() -> None:
    """Wherever the person is."""
    drilling = ScriptedDrilling(finding(REFUSED, "passed", 0.2))
    async with scripted(drilling) as screen:
        await screen.press("s", "enter")
        await screen.until("0 of 20")
        assert drilling.is_running
    assert not drilling.is_running


async def test_nothing_can_be_started_without_a_gateway_or_a_choice() -> None:
    """Which is said, and what to do."""
    async with scripted(ScriptedDrilling()) as screen:
        await screen.press("a")
        await screen.until("[ ] ROUTES", "No route is chosen.")
        await screen.press("s")
        await screen.until("Space chooses.")
        await screen.press("a")
        await screen.until("20 cases")
    async with shown(ScriptedSource()) as screen:
        await screen.press("g", "d")
        await screen.until("Without a gateway nothing can be drilled.")
        await screen.press("s")
        await screen.until("No gateway runs that")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_drills_look_as_they_did(size: tuple[int, int], theme: str) -> None:
    """The choice with its cost and the history; a drill under way."""
    drilling = ScriptedDrilling(finding(ERROR, "passed", 0.4), finding(REFUSED, "failed", 0.2))
    async with scripted(drilling, size) as screen:
        if theme == "light":
            await screen.press("t")
        name = f"{size[0]}x{size[1]}-{theme}"
        await screen.press("down", "down", "space")
        await screen.until("10 cases", "Quit")
        await screen.matches(f"drills-{name}")
        await screen.press("s", "enter")
        drilling.step()
        await screen.until("1 of 10", "✓ passed", "Quit")
        await screen.matches(f"drill-{name}")


@pytest.mark.parametrize("size", [(20, 5), (1, 1), (300, 90)])
async def test_any_size_of_terminal_will_do(size: tuple[int, int]) -> None:
    """Of the screen, and of what opens over it."""
    async with scripted(ScriptedDrilling(finding(ERROR, "passed", 0.4)), (80, 24)) as screen:
        await screen.settle()
        before = screen.text
        await screen.pilot.resize_terminal(*size)
        await screen.press("s", "escape", "h", "enter", "enter", "escape", "escape")
        await screen.pilot.resize_terminal(80, 24)
        await screen.press("shift+tab")
        await screen.until_true(lambda text: text.split() == before.split(), "the screen of before")


def test_what_is_chosen_is_everything_but_what_was_left_out() -> None:
    """Groups and single lines turn; nothing in a group that is needed is said."""
    choices = Choices(FAULTS)
    choices.offer(SUBJECTS)
    assert choices.choice() == Choice()
    choices.turn("checks", "answers")
    choices.turn("faults", "refused")
    assert choices.choice() == Choice((), ("failover", "cost", "cache", "limits"), ("error",))
    choices.turn("faults", "error")
    with pytest.raises(UsageError, match="failover needs a fault"):
        choices.choice()
    choices.turn("checks", "failover")
    assert choices.choice() == Choice((), ("cost", "cache", "limits"))
    choices.turn("checks", "")
    choices.turn("faults", "")
    assert choices.choice() == Choice()
    choices.turn("routes", "")
    with pytest.raises(UsageError, match="No route"):
        choices.choice()
    choices.turn_all()
    assert choices.choice() == Choice()
    assert [one.name for one in choices.marks() if one.group == "faults"] == ["", "refused", "error"]


def test_history_knows_what_each_case_had_found_before() -> None:
    """The last time that it was run, however long ago; a report that is none has no cases."""
    newest, older, oldest = history_of(HISTORY)
    assert (newest.changes, older.changes, oldest.changes) == (1, 0, 0)
    assert {one.verdict for one in newest.former.values()} == {"passed"}
    assert not oldest.report.findings


async def test_a_real_gateway_is_drilled(tmp_path: Path) -> None:
    """By keys alone: one fault, seen case by case; the accounts keep it, and the next one compares."""
    async with FaultUpstream() as first, FaultUpstream() as second:
        config = one_route(first.base_url, second.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            source = OwnSource(gateway.paths)
            tools = Tools(DashDrilling(source), cast(Any, None))
            async with shown(source, size=(110, 34), tools=tools) as screen:
                await screen.until("● live")
                await screen.press("g", "d")
                await screen.until("[x] chat", "2 targets", "No drill was run yet.", "[x] refused")
                await screen.press("down", "down", "space")  # CHECKS
                await screen.press("down", "down", "space")  # failover
                await screen.press(*["down"] * 4, "space", "down", "down", "space")  # FAULTS, error
                await screen.until("[x] failover", "[x] error", "[ ] refused", "5 cases, ", "of unknown")
                await screen.press("s", "enter")
                await screen.until("ended", "✓ passed", "chat: first: HTTP 500 (streamed)")
                await screen.press("enter")
                await screen.until("1. p1/m1  ✕ status, HTTP 500")
                await screen.press("escape", "h")
                await screen.until("✓ passed 5/5", "dashboard", "The last 1 drills")
                await screen.press("s", "enter")
                await screen.until("ended", "= ")
                await screen.press("h")
                await screen.until("The last 2 drills")
            told = (await gateway.shareai("drill", "history", "--json")).json["drills"]
            assert [(one["verdict"], one["cause"]) for one in told] == [("passed", "dashboard")] * 2
            assert (await gateway.ask()).status_code == 200


async def test_a_gateway_that_is_killed_in_the_middle_of_a_drill(tmp_path: Path) -> None:
    """The drill ends and says so; the next gateway can be drilled."""
    async with FaultUpstream() as first, FaultUpstream() as second:
        config = one_route(first.base_url, second.base_url)
        gateway = await RunningGateway.start(tmp_path, config, environ=KEYS)
        source = OwnSource(gateway.paths)
        tools = Tools(DashDrilling(source), cast(Any, None))
        async with shown(source, size=(110, 34), tools=tools) as screen:
            await screen.until("● live")
            await screen.press("g", "d")
            await screen.until("[x] chat")
            await screen.press("s", "enter")
            await screen.until("✓ passed")
            gateway.kill()
            await gateway.process.wait()
            await gateway.client.aclose()
            await screen.until("◌ Lost at", "does not answer", seconds=40)
            await screen.press("s")
            await screen.until("No gateway runs that")
            async with await RunningGateway.start(tmp_path, environ=KEYS):
                await screen.until("● live")
                await screen.press("s")
                await screen.until("Start this drill?")
