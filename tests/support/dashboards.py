"""A dashboard in a test: what it shows as text, and pictures of it that are compared with kept ones.

    async with shown(source, size=(80, 24)) as screen:
        await screen.until("p1/m1")
        await screen.press("g", "r")

Pictures are compared word by word and colour by colour: `SHAREAI_PICTURES=write` in the environment keeps
what is shown instead, to be looked at before it is committed.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, cast

from textual.pilot import Pilot

from shareai_cli.client import Admin, HttpAdmin
from shareai_cli.dashboard.app import Dashboard
from shareai_cli.dashboard.tools import Tools
from shareai_cli.errors import GatewayUnreachable
from shareai_cli.live import Event
from shareai_cli.types import WallClock
from shareai_cli.watching import Source

PICTURES = Path(__file__).parents[1] / "dashboard" / "pictures"
WRITES = os.environ.get("SHAREAI_PICTURES") == "write"

_PART = re.compile(r"<(?:text|rect)\b[^>]*?(?:/>|>.*?</text>)|\.[\w-]+-r\d+ \{[^}]*\}", re.DOTALL)
_NAME = re.compile(r"terminal-\d+")


class ShownDashboard:
    """A running dashboard without a terminal."""

    def __init__(self, app: Dashboard, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def lines(self) -> list[str]:
        """What stands on the screen."""
        return [strip.text.rstrip() for strip in self.app.screen._compositor.render_strips()]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            await self.pilot.press(key)
            await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Type a line's characters."""
        names = {" ": "space"}
        await self.press(*(names.get(character, character) for character in text))

    async def until(self, *wanted: str, seconds: float = 20.0) -> str:
        """Wait until all of that stands on the screen, and return all of its text."""
        return await self.until_true(lambda text: all(one in text for one in wanted), str(wanted), seconds)

    async def until_gone(self, unwanted: str, seconds: float = 20.0) -> str:
        """Wait until that no longer stands on the screen."""
        return await self.until_true(lambda text: unwanted not in text, f"no {unwanted}", seconds)

    async def until_true(self, holds: Callable[[str], bool], what: str, seconds: float = 20.0) -> str:
        """Wait until something is true of the text."""
        try:
            async with asyncio.timeout(seconds):
                while not holds(text := self.text):  # noqa: ASYNC110 - another task draws it
                    await asyncio.sleep(0.03)
        except TimeoutError:
            raise AssertionError(f"not seen: {what}\n{self.text}") from None
        return text

    async def settle(self, seconds: float = 10.0) -> str:
        """Wait until the screen stands still, and return its picture."""
        async with asyncio.timeout(seconds):
            last = ""
            while last != (picture := self._picture()):
                last = picture
                await self.pilot.pause(0.4)
        return picture

    async def matches(self, name: str) -> None:
        """Compare the screen with the kept picture of that name, once it stands still."""
        file, picture = PICTURES / f"{name}.svg", await self.settle()
        if WRITES:
            file.parent.mkdir(exist_ok=True)
            file.write_text(picture)
        assert parts_of(picture) == parts_of(file.read_text()), (
            f"{file.name} shows something else:\n{self.text}"
        )

    def _picture(self) -> str:
        return _NAME.sub("terminal", self.app.export_screenshot(title="ShareAI"))


def parts_of(picture: str) -> list[str]:
    """Return what a picture is made of: texts, areas and styles, in their order."""
    return [" ".join(part.split()) for part in _PART.findall(picture)]


@asynccontextmanager
async def shown(
    source: Source,
    *,
    size: tuple[int, int] = (80, 24),
    wall_clock: WallClock | None = None,
    tools: Tools | None = None,
) -> AsyncIterator[ShownDashboard]:
    """Run a dashboard for the length of a block."""
    app = Dashboard(source, wall_clock or time.time, tools)
    async with app.run_test(size=size, notifications=True) as pilot:
        yield ShownDashboard(app, pilot)


class ScriptedGateway:
    """A gateway that tells what a test says; `end` ends its stream."""

    def __init__(self, *events: Event, admin: Any = None) -> None:
        self.address = "http://127.0.0.1:6161"
        self.admin = cast(HttpAdmin, admin)
        self._events = asyncio.Queue[Event | None]()
        for event in events:
            self.tell(event)

    def tell(self, event: Event) -> None:
        self._events.put_nowait(event)

    def end(self) -> None:
        self._events.put_nowait(None)

    async def watch(self) -> AsyncGenerator[Event, None]:
        while (event := await self._events.get()) is not None:
            yield event

    def close(self) -> None:
        pass


class ScriptedSource:
    """Finds the gateway that a test says, or none."""

    def __init__(self, gateway: ScriptedGateway | None = None) -> None:
        self.name = "the gateway"
        self.gateway = gateway

    def connect(self) -> ScriptedGateway | None:
        gateway, self.gateway = self.gateway, None
        return gateway

    def accounts(self) -> AbstractContextManager[Admin]:
        raise GatewayUnreachable("There are no accounts in this test.")
