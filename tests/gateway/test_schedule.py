"""Drills are run at their times: once each, and never for what was missed."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from shareai_cli.config import DrillSettings
from shareai_cli.gateway.drills import DrillCommand, Schedule
from shareai_cli.gateway.drills.schedule import SETTLING, has_come
from tests.support.behaviours import chat, status
from tests.support.clock import FakeClock
from tests.support.served import KEYS, RunningGateway, one_route
from tests.support.upstream import FaultUpstream

BERLIN = ZoneInfo("Europe/Berlin")


def moment(text: str) -> float:
    """Return a time of day in Berlin, seconds since 1970."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


class Scheduled:
    """A schedule whose runs are only noted."""

    def __init__(self, *drills: DrillSettings, now: float, last_ms: int | None = None) -> None:
        self.clock = FakeClock(now)
        self.ran: list[str] = []
        self.asked: list[str] = []
        self._last_ms = last_ms
        self.drills = {one.name: one for one in drills}
        self.schedule = Schedule(lambda: self.drills, self._latest, self._run, self.clock, BERLIN)

    async def after(self, seconds: float) -> list[str]:
        """Let time pass, look, and return what was run."""
        self.clock.forward(seconds)
        self.ran.clear()
        await self.schedule.look()
        return list(self.ran)

    async def _latest(self, name: str) -> int | None:
        self.asked.append(name)
        return self._last_ms

    async def _run(self, drill: DrillSettings) -> None:
        self.ran.append(drill.name)


async def test_a_drill_runs_at_its_times_of_day() -> None:
    """Once each day at each of them, whenever exactly somebody looks."""
    nightly = DrillSettings("nightly", at=(210, 900))
    scheduled = Scheduled(nightly, now=moment("2026-11-25T03:29:50"))
    assert await scheduled.after(5) == []
    assert await scheduled.after(5) == ["nightly"]
    assert await scheduled.after(5) == []
    assert await scheduled.after(11.5 * 3600) == ["nightly"]
    assert await scheduled.after(12 * 3600) == []
    assert await scheduled.after(0.5 * 3600) == ["nightly"]


async def test_what_comes_while_the_gateway_does_not_run_is_not_made_up_for() -> None:
    """A start after the time waits for the next day's."""
    scheduled = Scheduled(DrillSettings("nightly", at=(210,)), now=moment("2026-11-25T03:31:00"))
    assert await scheduled.after(600) == []


async def test_a_drill_runs_every_so_often() -> None:
    """Counted from its last run, also one before the gateway's start, and not right after that."""
    often = DrillSettings("often", every=3600.0)
    now = moment("2026-11-25T12:00:00")
    scheduled = Scheduled(often, now=now, last_ms=int((now - 3000) * 1000))
    assert await scheduled.after(SETTLING) == []
    assert await scheduled.after(599 - SETTLING) == []
    assert await scheduled.after(1) == ["often"]
    assert await scheduled.after(3599) == []
    assert await scheduled.after(1) == ["often"]
    assert scheduled.asked == ["often"]
    never = Scheduled(often, now=now)
    assert await never.after(SETTLING - 1) == []
    assert await never.after(1) == ["often"]


async def test_a_changed_configuration_counts_at_once() -> None:
    """A drill that is gone is not run, a new one is."""
    scheduled = Scheduled(DrillSettings("a", at=(210,)), now=moment("2026-11-25T03:29:00"))
    scheduled.drills = {"b": DrillSettings("b", at=(210,))}
    assert await scheduled.after(90) == ["b"]


@pytest.mark.parametrize(
    "day, minute",
    [("2026-03-29", 150), ("2026-10-25", 150)],
    ids=["left out by summer time", "there twice"],
)
def test_the_change_of_the_clock_neither_loses_nor_doubles_a_run(day: str, minute: int) -> None:
    """Half past two runs once on either day."""
    began = moment(f"{day}T00:00:00")
    looks = [began + 60 * number for number in range(24 * 60)]
    came = sum(has_come((minute,), since, now, BERLIN) for since, now in pairwise(looks))
    assert came == 1


async def test_the_command_drills_the_gateway_that_starts_it(tmp_path: Path) -> None:
    """Its report is in the history under the drill's name, and the gateway tells of what changed, once."""
    notices: list[str] = []
    async with (
        FaultUpstream(default=chat()) as a,
        FaultUpstream(default=status(500)) as b,
        await RunningGateway.start(tmp_path, one_route(a.base_url, b.base_url), environ=KEYS) as gateway,
    ):
        environ = {**KEYS, "SHAREAI_HOME": str(tmp_path)}
        command = DrillCommand(tmp_path / "config.toml", environ, notices.append)
        drill = DrillSettings("nightly", (210,), checks=("answers",), routes=("chat",))
        await command.run(drill)
        b.default = chat()
        await command.run(drill)
        drills = (await gateway.shareai("drill", "history", "--json")).json["drills"]
        assert [(one["cause"], one["verdict"]) for one in drills] == [
            ("nightly", "passed"),
            ("nightly", "failed"),
        ]
        told = gateway.stderr()
        await command.run(DrillSettings("broken", (210,), routes=("gone",)))
    assert told.count("The drill 'nightly' failed.") == 1
    assert "The drill 'nightly' passed. Changed: answers p2/m1, whole: failed -> passed" in told
    [notice] = notices
    assert notice.startswith("The drill 'broken' could not be run: ")
    assert "gone" in notice


async def test_a_command_that_cannot_be_started_is_told_of(tmp_path: Path) -> None:
    """The schedule goes on."""
    notices: list[str] = []
    command = DrillCommand(tmp_path / "config.toml", {}, notices.append, str(tmp_path / "python"))
    await command.run(DrillSettings("nightly", (210,)))
    assert notices == ["The drill 'nightly' could not be started: No such file or directory"]
