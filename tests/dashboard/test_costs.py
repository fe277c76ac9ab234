"""The Costs screen beside a real gateway, and on what the accounts hold."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from textual.widgets import Input

from shareai_cli.cli.watched import OwnSource
from shareai_cli.errors import ConfigurationError
from shareai_cli.types import Budget, Limits, Subject
from tests.dashboard.accounts import BusyAdmin
from tests.dashboard.scenes import BUSY, NOW
from tests.support.dashboards import ScriptedGateway, ScriptedSource, shown
from tests.support.served import KEYS, RunningGateway
from tests.support.upstream import FaultUpstream

PRICED = """
[providers.p1]
base_url = "{url}"
keys = ["env:P1_KEY"]
price_as = "openai"
[providers.p2]
base_url = "{url}"
price_as = "node"
[routes.chat]
targets = ["p1/gpt-4o-mini"]
[routes.own]
targets = ["p2/m1"]
[limits.organization]
budget_per_month = "50 USD"
[limits.routes.chat]
budget_per_day = "0.000001 USD"
"""


async def asked(gateway: RunningGateway) -> None:
    """Have some requests in the accounts: one prompt twice, and one at an own machine."""
    for _ in range(2):
        assert (await gateway.ask()).status_code == 200
    assert (await gateway.ask(model="own")).status_code == 200


def priced(url: str) -> str:
    return PRICED.format(url=url).replace("budget_per_day", "soft_budget_per_day")


async def test_sums_by_anything_over_any_time(tmp_path: Path) -> None:
    """Each key adds up, draws or measures something else, beside a running gateway."""
    async with FaultUpstream() as upstream:
        config = priced(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            await asked(gateway)
            async with shown(OwnSource(gateway.paths), size=(140, 30)) as screen:
                await screen.until("● live")
                await screen.press("g", "c")
                await screen.until("By [model]", "over [day]", "gpt-4o-mini", "cost in all:", "3 requests")
                await screen.until("▲ passed: route/chat soft_budget_per_day", "(1 more: 3)")
                await screen.press("b")
                await screen.until("By model [route]", "own")
                await screen.press("b", "b")
                await screen.until("[provider]", "p1", "p2")
                await screen.press("b")
                await screen.until("[node]", "p2", " - ")
                await screen.press("b", "b", "b", "B", "B")
                await screen.until("[team]", "default")
                await screen.press("w")
                await screen.until("over day [week] month", "in the last 7 days")
                await screen.press("m")
                await screen.until("[month]", "in the last 30 days")
                await screen.press("s", "s", "d", "c")
                await screen.until("requests by team:", "● default", "in the last 24 hours")


async def test_prompts_budgets_and_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prompt opens its latest request; what is shown is written into a file of its owner's alone."""
    monkeypatch.chdir(tmp_path)
    async with FaultUpstream() as upstream:
        config = priced(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            await asked(gateway)
            async with shown(OwnSource(gateway.paths), size=(140, 30)) as screen:
                await screen.press("g", "c", "2")
                await screen.until("PROMPT", "own")
                await screen.press("enter")
                await screen.until("ATTEMPTS", "✓ ok")
                await screen.press("escape", "3")
                await screen.until("BUDGET", "▲ passed", "resets ", "● within")
                await screen.press("1", "r")
                await screen.until("REQUESTS", "gpt-4o-mini")
                await screen.press("e")
                await screen.until("shareai-costs-model-day-", ".csv")
                await screen.press("enter")
                await screen.until("Written:")
    [file] = tmp_path.glob("shareai-costs-model-day-*.csv")
    assert file.stat().st_mode & 0o777 == 0o600
    rows = csv.DictReader(file.read_text().splitlines())
    assert {row["model"]: row["requests"] for row in rows} == {"gpt-4o-mini": "2", "m1": "1"}


async def test_what_the_accounts_hold_is_shown_without_a_gateway(tmp_path: Path) -> None:
    """Sums, prompts and budgets, those of the configuration among them; a broken one spoils nothing else."""
    async with FaultUpstream() as upstream:
        async with await RunningGateway.start(
            tmp_path, PRICED.format(url=upstream.base_url), environ=KEYS
        ) as gateway:
            assert (await gateway.ask(model="own")).status_code == 200
        declared = {Subject("organization"): Limits(budgets=(Budget("month", 7 * 10**9),))}
        async with shown(OwnSource(gateway.paths, lambda: declared), size=(120, 30)) as screen:
            await screen.until("○ No gateway runs")
            await screen.press("g", "c")
            await screen.until("m1", "1 requests", "● within: organization budget_per_month")
            await screen.press("2")
            await screen.until("p2/m1", "KEPT")
            await screen.press("3")
            await screen.until("nothing is spent", "$7.00")

        def broken() -> dict[Subject, Limits]:
            raise ConfigurationError("The file is broken.")

        async with shown(OwnSource(gateway.paths, broken), size=(120, 30)) as screen:
            await screen.press("g", "c")
            await screen.until("m1", "1 requests", "The file is broken.")
            await screen.press("g", "k", "3")
            await screen.until("The file is broken.")


async def test_an_export_is_never_written_over_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor elsewhere than is said: what is wrong is told below the line, which stays to be mended."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.csv").write_text("mine")
    gateway = ScriptedGateway(BUSY, admin=BusyAdmin())
    async with shown(ScriptedSource(gateway), size=(120, 40), wall_clock=lambda: NOW) as screen:
        await screen.press("g", "c")
        await screen.until("claude-sonnet-4-5")
        await screen.press("e")
        for name, told in (
            ("taken.csv", "There is a file"),
            ("no-such-folder/x.csv", "cannot be written: No such file"),
            ("x.txt", "should end in .csv or .json"),
            ("~nobody-here/x.csv", "no such home folder"),
            ("a" * 300 + ".csv", "cannot be written"),
        ):
            await screen.until("Write what is shown")
            screen.app.screen.query_one("#path", Input).value = name
            await screen.press("enter")
            await screen.until("✕", told)
        screen.app.screen.query_one("#path", Input).value = "costs.json"
        await screen.press("enter")
        await screen.until("Written:", "costs.json")
        assert (tmp_path / "taken.csv").read_text() == "mine"
        told = json.loads((tmp_path / "costs.json").read_text())
        assert told["schema"] == 1
        assert [row["name"] for row in told["rows"]][:2] == ["gpt-5-mini", "claude-sonnet-4-5"]
        assert len(told["series"]["slots"]) == 24
        for key, wanted in (("2", "prompts"), ("3", "budgets")):
            await screen.press(key, "e")
            await screen.until(f"shareai-costs-{wanted}-day-2026-09-21.csv")
            await screen.press("enter")
            await screen.until_gone("Write what is shown")
            [file] = tmp_path.glob(f"shareai-costs-{wanted}-*.csv")
            assert len(file.read_text().splitlines()) > 3
            await screen.press(key, "e")
            await screen.until(f"shareai-costs-{wanted}-day-2026-09-21-2.csv")
            await screen.press("escape")


async def test_nothing_from_outside_steers_the_terminal() -> None:
    """Neither in tables nor in the chart's legend."""
    gateway = ScriptedGateway(BUSY, admin=BusyAdmin())
    async with shown(ScriptedSource(gateway), size=(160, 48), wall_clock=lambda: NOW) as screen:
        await screen.press("g", "c")
        await screen.until("evil�]0;owned�name�")
        await screen.press("c")
        text = await screen.until("◆ evil�]0;owned�name�")
        assert "\x1b" not in text
        assert "\u202e" not in text


@pytest.mark.parametrize("size", [(20, 5), (1, 1), (300, 90)])
@pytest.mark.parametrize("letter", ["c", "k"])
async def test_any_size_of_terminal_will_do(size: tuple[int, int], letter: str) -> None:
    """With a chart of either kind, and going back shows everything again."""
    gateway = ScriptedGateway(BUSY, admin=BusyAdmin())
    async with shown(ScriptedSource(gateway), wall_clock=lambda: NOW) as screen:
        await screen.press("g", letter)
        await screen.until("laptop" if letter == "k" else "gpt-5-mini")
        await screen.settle()
        before = screen.text
        await screen.pilot.resize_terminal(*size)
        await screen.press("c", "c", "1", "2", "1") if letter == "c" else await screen.press("2", "3", "1")
        await screen.pilot.resize_terminal(80, 24)
        await screen.until_true(lambda text: text == before, "the screen of before")
