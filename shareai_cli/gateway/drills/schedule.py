"""Runs the drills that the configuration names, each at its time, as the command that a person would type.

One runs at a time. What was missed while the gateway did not run is not made up for, but for a drill that is
run `every` so often: it is due when its last run is that long ago.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final

from shareai_cli.config import DrillSettings
from shareai_cli.errors import ExitCode
from shareai_cli.types import WallClock

EVERY: Final = 5.0
"""Seconds between two looks at what is due."""

SETTLING: Final = 60.0
"""Seconds after the gateway's start before a drill is run that is due then."""

LONGEST: Final = 3600.0
"""Seconds that a run may take."""

ENDING: Final = 5.0
"""Seconds that it has to end in, once it has to."""

ERROR_BYTES: Final = 600

Latest = Callable[[str], Awaitable[int | None]]
"""Tells when a drill of this name began last, Unix milliseconds; None where it never did."""

Run = Callable[[DrillSettings], Awaitable[None]]


class Schedule:
    """Looks for what is due in one task of its own, from `start` to `close`."""

    def __init__(
        self,
        drills: Callable[[], Mapping[str, DrillSettings]],
        latest: Latest,
        run: Run,
        wall_clock: WallClock,
        zone: tzinfo | None = None,
    ) -> None:
        """`drills` are those of the configuration in force; times of day are those of `zone`, or local."""
        self._drills = drills
        self._latest = latest
        self._run = run
        self._wall_clock = wall_clock
        self._zone = zone
        self._began = self._looked = wall_clock()
        self._ran: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Schedule {list(self._drills())}>"

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """End the task, and a run that is under way with it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def look(self) -> None:
        """Run what has become due since the last look."""
        since, now = self._looked, self._wall_clock()
        self._looked = now
        for drill in list(self._drills().values()):
            if await self._is_due(drill, since, now):
                self._ran[drill.name] = now
                await self._run(drill)

    async def _is_due(self, drill: DrillSettings, since: float, now: float) -> bool:
        if drill.every is None:
            return has_come(drill.at, since, now, self._zone)
        if now < self._began + SETTLING:
            return False
        last = self._ran.get(drill.name)
        if last is None:
            last_ms = await self._latest(drill.name)
            last = self._ran[drill.name] = (last_ms or 0) / 1000
        return now - last >= drill.every

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            await self.look()


def has_come(minutes: tuple[int, ...], since: float, now: float, zone: tzinfo | None) -> bool:
    """Tell whether one of these times of day lies after `since` and not after `now`, seconds since 1970.

    A time that the change to summer time leaves out comes an hour later; one that there is twice comes once.
    """
    began = datetime.fromtimestamp(since, zone)
    for days in range(2):
        day = began.date() + timedelta(days=days)
        for minute in minutes:
            moment = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone)
            if since < moment.timestamp() <= now:
                return True
    return False


class DrillCommand:
    """Runs `shareai smoke-test` in a process of its own, on this gateway."""

    def __init__(
        self,
        config_file: Path,
        environ: Mapping[str, str],
        notice: Callable[[str], None],
        interpreter: str = sys.executable,
    ) -> None:
        self._interpreter = interpreter
        self._config_file = config_file
        self._environ = environ
        self._notice = notice

    def arguments(self, drill: DrillSettings) -> list[str]:
        """Return the command's words."""
        words = ["--config", str(self._config_file), "smoke-test", *drill.routes, "--yes", "--json"]
        words += ["--cause", drill.name, "--max-cost", f"{drill.most_nano / 1e9:.9f}"]
        return words + (["--only", ",".join(drill.checks)] if drill.checks else [])

    async def run(self, drill: DrillSettings) -> None:
        """Run it to its end; its report goes into the accounts. Says where it could not be run at all."""
        try:
            process = await self._start(drill)
        except OSError as error:
            self._notice(f"The drill '{drill.name}' could not be started: {error.strerror or error}")
            return
        await self._wait(drill, process)

    async def _start(self, drill: DrillSettings) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            self._interpreter,
            "-m",
            "shareai_cli.cli",
            *self.arguments(drill),
            env=dict(self._environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )

    async def _wait(self, drill: DrillSettings, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(LONGEST):
                _, error = await process.communicate()
        except TimeoutError:
            self._notice(f"The drill '{drill.name}' was ended after {LONGEST / 60:.0f} minutes.")
            return
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.terminate()
                await _ended(process)
        if process.returncode not in (ExitCode.OK, ExitCode.FAILURE, ExitCode.PARTLY):
            said = " ".join(error[-ERROR_BYTES:].decode("utf-8", "replace").split())
            self._notice(f"The drill '{drill.name}' could not be run: {said or process.returncode}")


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Wait for a process that was asked to end, and end it where it does not."""
    try:
        async with asyncio.timeout(ENDING):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
