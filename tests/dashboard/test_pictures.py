"""What the screens look like, on a small terminal and a large one, dark and light."""

from __future__ import annotations

import pytest

from docs.dashboard import PICTURE, draw
from tests.dashboard.accounts import BusyAdmin
from tests.dashboard.scenes import BUSY, NOW
from tests.support.dashboards import ScriptedGateway, ScriptedSource, parts_of, shown

SIZES = ((80, 24), (160, 48))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_overview_and_requests_look_as_they_did(size: tuple[int, int], theme: str) -> None:
    """Each number, state and name is where it was, in its colour."""
    gateway = ScriptedGateway(BUSY)
    async with shown(ScriptedSource(gateway), size=size, wall_clock=lambda: NOW) as screen:
        if theme == "light":
            await screen.press("t")
        name = f"{size[0]}x{size[1]}-{theme}"
        await screen.until("12.4", "groq/llama-3.3-70b was ejected", "Quit")
        await screen.matches(f"overview-{name}")
        await screen.press("g", "r")
        await screen.until("6 of the last 6", "Quit")
        await screen.matches(f"requests-{name}")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_costs_and_keys_look_as_they_did(size: tuple[int, int], theme: str) -> None:
    """Each bar, sum, key and state is where it was, in its colour."""
    gateway = ScriptedGateway(BUSY, admin=BusyAdmin())
    async with shown(ScriptedSource(gateway), size=size, wall_clock=lambda: NOW) as screen:
        if theme == "light":
            await screen.press("t")
        name = f"{size[0]}x{size[1]}-{theme}"
        await screen.press("g", "c")
        await screen.until("claude-sonnet-4-5", "used up", "Export")
        await screen.matches(f"costs-{name}")
        await screen.press("g", "k")
        await screen.until("✕ revoked", "New")
        await screen.matches(f"keys-{name}")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_what_else_costs_and_keys_show(size: tuple[int, int]) -> None:
    """Lines, prompts and budgets; limits and the audit."""
    gateway = ScriptedGateway(BUSY, admin=BusyAdmin())
    async with shown(ScriptedSource(gateway), size=size, wall_clock=lambda: NOW) as screen:
        name = f"{size[0]}x{size[1]}-dark"
        await screen.press("g", "c")
        await screen.until("claude-sonnet-4-5")
        await screen.press("c")
        await screen.until("cost by model")
        await screen.matches(f"costs-lines-{name}")
        await screen.press("2")
        await screen.until("00000")
        await screen.matches(f"costs-prompts-{name}")
        await screen.press("3")
        await screen.until("budget_per_week")
        await screen.matches(f"costs-budgets-{name}")
        await screen.press("g", "k")
        await screen.until("laptop")
        await screen.press("3")
        await screen.until("team/dev")
        await screen.matches(f"keys-limits-{name}")
        await screen.press("4", "v")
        await screen.until("✓ The audit is whole")
        await screen.matches(f"keys-audit-{name}")


async def test_nothing_from_outside_steers_the_terminal() -> None:
    """Names full of control sequences are one line of visible characters each."""
    async with shown(ScriptedSource(ScriptedGateway(BUSY)), size=(160, 40), wall_clock=lambda: NOW) as screen:
        await screen.press("g", "r")
        text = await screen.until("evil�]0;owned�name", "p1/�[2J�gnp.exe", "ci�[31m")
        assert "\x1b" not in text
        assert "\u202e" not in text


async def test_what_was_told_last_stays_greyed_when_the_gateway_is_lost() -> None:
    """The line at the top says so; another gateway's events take its place."""
    gateway = ScriptedGateway(BUSY)
    source = ScriptedSource(gateway)
    async with shown(source, wall_clock=lambda: NOW) as screen:
        await screen.until("● live", "12.4")
        assert not screen.app.screen.has_class("stale")
        gateway.end()
        text = await screen.until("◌ Lost at 14:14:00")
        assert "12.4" in text
        assert screen.app.screen.has_class("stale")
        source.gateway = ScriptedGateway(BUSY)
        await screen.until("● live")
        assert not screen.app.screen.has_class("stale")


@pytest.mark.parametrize("size", [(20, 5), (1, 1), (300, 90)])
async def test_any_size_of_terminal_will_do(size: tuple[int, int]) -> None:
    """And going back to a usual one shows everything again."""
    async with shown(ScriptedSource(ScriptedGateway(BUSY)), wall_clock=lambda: NOW) as screen:
        await screen.until("12.4", "groq/llama-3.3-70b was ejected", "Quit")
        await screen.settle()
        before = screen.text
        await screen.pilot.resize_terminal(*size)
        await screen.press("g", "r", "g", "o")
        await screen.pilot.resize_terminal(80, 24)
        await screen.until_true(lambda text: text == before, "the screen of before")


async def test_the_picture_of_the_readme_is_what_is_shown() -> None:
    """Drawn anew, it is the same."""
    assert parts_of(await draw()) == parts_of(PICTURE.read_text())
