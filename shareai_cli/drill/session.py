"""One drill under way: its scenarios, its requests with their rows, and what it may spend."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

import httpx
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shareai_cli.client import DrillAdmin, Trouble
from shareai_cli.drill.asking import Asker
from shareai_cli.drill.outcome import Asked
from shareai_cli.drill_types import Deadlines, Fault, ScenarioWanted
from shareai_cli.errors import ShareAIError, UsageError
from shareai_cli.types import RequestRow, UsageReport, WrittenLimits

PROMPT: Final = "Reply with one word: pong"
LONGEST_ANSWER: Final = 512
"""Tokens: a reasoning model thinks before its word."""

_OLD_LIMIT, _NEW_LIMIT = "max_tokens", "max_completion_tokens"

Answer = TypeVar("Answer")


class SpentError(Exception):
    """The drill has spent what it may; nothing more is asked."""


class Options(Struct, frozen=True):
    """What a drill is run with."""

    deadlines: Deadlines = Deadlines()
    most_nano: int = 50_000_000
    """Nano-dollars that it may spend."""
    longest: int = LONGEST_ANSWER
    """Tokens of an answer."""
    row_seconds: float = 15.0
    """How long a row may take to come into the accounts: a busy gateway's have much to take in."""


class Session:
    """Asks, by the scenarios that it sets up in the gateway; `close` ends the drill there."""

    def __init__(self, admin: DrillAdmin, base_url: str, options: Options) -> None:
        self.options = options
        self.cost_nano = 0
        self.has_unknown_cost = False
        self.asked: list[Asked] = []
        """The requests of the case that is run."""
        self._admin = admin
        self._base_url = base_url
        self._limit_field: dict[str, str] = {}
        self._drills: list[str] = []
        self._http = httpx.AsyncClient(
            trust_env=False, follow_redirects=False, limits=httpx.Limits(max_connections=None)
        )

    async def begin(self) -> str:
        """Begin a drill in the gateway, and return its id."""
        drill = await self.call(self._admin.begin_drill)
        self._drills.append(drill)
        return drill

    async def close(self) -> None:
        """End what was begun, as far as the gateway is still there."""
        await self._http.aclose()
        for drill in self._drills:
            with suppress(ShareAIError):
                await self.call(self._admin.end_drill, drill)

    @asynccontextmanager
    async def scenario(
        self,
        route: str | None = None,
        *,
        faults: Sequence[Fault] = (),
        keys: Sequence[str] = (),
        limits: WrittenLimits | None = None,
        drill: str | None = None,
    ) -> AsyncIterator[Scene]:
        """Yield what asks within a scenario of this drill, or of another one that was begun."""
        drill = drill or self._drills[0]
        deadlines = self.options.deadlines
        wanted = ScenarioWanted(route, tuple(faults), tuple(keys), deadlines, limits or {})
        made = await self.call(self._admin.add_scenario, drill, wanted)
        asker = Asker(self._http, self._base_url, made, deadlines.answer + 5)
        try:
            yield Scene(self, asker, drill, made.number)
        finally:
            with suppress(ShareAIError):
                await self.call(self._admin.drop_scenario, drill, made.number)

    async def usage(self, drill: str) -> UsageReport:
        """Return what the accounts report of a drill."""
        return await self.call(self._admin.drill_usage, drill)

    async def explained(self, route: str) -> tuple[str, ...]:
        """Return the targets of a route that would be asked by a request of a drill, in their order."""
        body = msgspec.json.encode({"model": route, "messages": [{"role": "user", "content": PROMPT}]})
        explanation = await self.call(self._admin.explain_route, body)
        return tuple(one.target for one in explanation.targets if one.place is not None)

    async def troubles(self, drill: str, scenario: int) -> Sequence[Trouble]:
        """Return what is left alone in a scenario."""
        return await self.call(self._admin.scenario_troubles, drill, scenario)

    async def take(self, asker: Asker, body: Mapping[str, Any], *, anew: bool) -> Asked:
        """Send a request, unless enough was spent, and return it with its row; raises `SpentError`."""
        if self.cost_nano > self.options.most_nano:
            raise SpentError
        asked = await self._adapted(asker, body, anew=anew)
        asked = replace(asked, row=await self._row(asked.request_id))
        self.asked.append(asked)
        if asked.row is not None:
            self.cost_nano += asked.row.cost_nano or 0
            self.has_unknown_cost = self.has_unknown_cost or asked.row.cost_nano is None
        return asked

    async def call(self, what: Callable[..., Answer], *arguments: object) -> Answer:
        """Ask the admin interface something, in a thread: it waits."""
        return await asyncio.to_thread(what, *arguments)

    async def _adapted(self, asker: Asker, body: Mapping[str, Any], *, anew: bool) -> Asked:
        """Ask, once more where a model takes the length of its answer under another name."""
        model = str(body["model"])
        field = self._limit_field.get(model, _OLD_LIMIT)
        asked = await asker.ask({**body, field: self.options.longest}, anew=anew)
        if asked.status == 400 and field == _OLD_LIMIT and _NEW_LIMIT in asked.error:
            self._limit_field[model] = _NEW_LIMIT
            self.asked.append(asked)
            return await asker.ask({**body, _NEW_LIMIT: self.options.longest}, anew=anew)
        return asked

    async def _row(self, request: str) -> RequestRow | None:
        """Return a request's row once it has ended; None where there is none in time."""
        until = time.monotonic() + self.options.row_seconds
        row: RequestRow | None = None
        while request:
            with suppress(UsageError):
                row = await self.call(self._admin.request, request)
            if (row is not None and row.outcome is not None) or time.monotonic() > until:
                break
            await asyncio.sleep(0.02)
        return row


class Scene:
    """Asks within one scenario."""

    def __init__(self, session: Session, asker: Asker, drill: str, number: int) -> None:
        self._session = session
        self._asker = asker
        self._drill = drill
        self._number = number

    async def ask(
        self, model: str, *, streamed: bool = False, prompt: str = PROMPT, anew: bool = False, **more: Any
    ) -> Asked:
        """Ask something short, `anew` taking nothing that was kept; raises `SpentError`."""
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": prompt}], **more}
        if streamed:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return await self._session.take(self._asker, body, anew=anew)

    async def troubles(self) -> dict[str, Trouble]:
        """Return what is left alone in this scenario, by target or provider."""
        found = await self._session.troubles(self._drill, self._number)
        return {one.target: one for one in found}
