"""One drill under way: its scenarios, its requests with their rows, and what it may spend."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final, TypeVar

import httpx
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shareai_cli.client import DrillAdmin, Trouble, trusted_for
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

Ask = Callable[[Mapping[str, Any]], Awaitable[Asked]]
"""Sends a request's body."""


class SpentError(Exception):
    """The drill has spent what it may; nothing more is asked."""


class Options(Struct, frozen=True):
    """What a drill is run with."""

    deadlines: Deadlines = Deadlines()
    most_nano: int = 50_000_000
    """Nano-dollars that it may spend."""
    dearest: Mapping[str, int] = {}
    """Nano-dollars that a request to a route or target may cost, as far as that is known."""
    longest: int = LONGEST_ANSWER
    """Tokens of an answer."""
    row_seconds: float = 15.0
    """How long a row may take to come into the accounts: a busy gateway's have much to take in."""


class Session:
    """Asks, by the scenarios that it sets up in the gateway; `close` ends the drill there."""

    def __init__(self, admin: DrillAdmin, base_url: str, options: Options) -> None:
        self.options = options
        self.cost_nano = 0
        self._held_nano = 0
        self.has_unknown_cost = False
        self.asked: list[Asked] = []
        """The requests of the case that is run."""
        self._admin = admin
        self._base_url = base_url
        self._limit_field: dict[str, str] = {}
        self._drills: list[str] = []
        self._http = httpx.AsyncClient(
            verify=trusted_for(base_url),
            trust_env=False,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=None),
        )

    async def begin(self) -> str:
        """Begin the drill in the gateway, and return its id."""
        await self._warm_up()
        return await self._begin(None)

    async def begin_part(self) -> str:
        """Begin a part of the drill, whose requests are reported by themselves, and return its id."""
        return await self._begin(self._drills[0])

    async def end(self, drill: str) -> None:
        """End a drill or a part, as far as the gateway is still there."""
        self._drills.remove(drill)
        with suppress(ShareAIError):
            await self.call(self._admin.end_drill, drill)

    async def close(self) -> None:
        """End what was begun."""
        await self._http.aclose()
        for drill in self._drills[::-1]:
            await self.end(drill)

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
            yield Scene(self, self._admin, asker, drill, made.number)
        finally:
            with suppress(ShareAIError):
                await self.call(self._admin.drop_scenario, drill, made.number)

    async def usage(self, drill: str) -> UsageReport:
        """Return what the accounts report of a drill."""
        return await self.call(self._admin.drill_usage, drill)

    def limited(self, body: Mapping[str, Any], longest: int | None = None) -> Mapping[str, Any]:
        """Return a request's body with the most tokens of its answer, under the name that its model knows."""
        field = self._limit_field.get(str(body["model"]), _OLD_LIMIT)
        return {**body, field: longest or self.options.longest}

    async def take(self, ask: Ask, body: Mapping[str, Any], *, longest: int | None, costs: bool) -> Asked:
        """Send a request by `ask`, and return it with its row.

        Raises `SpentError` where it may cost more than is left, unless it `costs` nothing anyway.
        """
        worst = self.options.dearest.get(str(body["model"]), 0) if costs else 0
        if self.cost_nano + self._held_nano + worst > self.options.most_nano:
            raise SpentError
        self._held_nano += worst
        try:
            asked = await self._ask(ask, self.limited(body, longest), costs=costs)
            if asked.status == 400 and asked.model not in self._limit_field and _NEW_LIMIT in asked.error:
                self._limit_field[asked.model] = _NEW_LIMIT
                asked = await self._ask(ask, self.limited(body, longest), costs=costs)
        finally:
            self._held_nano -= worst
        return asked

    async def call(self, what: Callable[..., Answer], *arguments: object) -> Answer:
        """Ask the admin interface something, in a thread: it waits."""
        return await asyncio.to_thread(what, *arguments)

    async def _warm_up(self) -> None:
        """Ask something that nobody measures: the first request of a client takes the longest."""
        with suppress(httpx.HTTPError):
            await self._http.get(f"{self._base_url.removesuffix('/v1')}/healthz")

    async def _begin(self, part_of: str | None) -> str:
        drill = await self.call(self._admin.begin_drill, part_of)
        self._drills.append(drill)
        return drill

    async def _ask(self, ask: Ask, body: Mapping[str, Any], *, costs: bool) -> Asked:
        """Send a request, and take down what came of it, what it cost included."""
        asked = await ask(body)
        asked = replace(asked, row=await self._row(asked.request_id))
        self.asked.append(asked)
        if asked.row is not None and costs:
            self.cost_nano += asked.row.cost_nano or 0
            self.has_unknown_cost = self.has_unknown_cost or asked.row.cost_nano is None
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

    def __init__(self, session: Session, admin: DrillAdmin, asker: Asker, drill: str, number: int) -> None:
        self._session = session
        self._admin = admin
        self._asker = asker
        self._drill = drill
        self._number = number

    async def ask(
        self,
        model: str,
        *,
        streamed: bool = False,
        prompt: str = PROMPT,
        longest: int | None = None,
        anew: bool = False,
        as_other: bool = False,
        costs: bool = True,
    ) -> Asked:
        """Ask something short; see `Asker.ask`. Raises `SpentError`.

        What is made to fail wherever it goes `costs` nothing, whatever the accounts take it for.
        """
        body = _body(model, prompt)
        if streamed:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        ask = partial(self._asker.ask, anew=anew, as_other=as_other)
        return await self._session.take(ask, body, longest=longest, costs=costs)

    async def fail(self, *faults: Fault) -> None:
        """Let attempts from now on fail so, and no more as they did before."""
        await self._session.call(self._admin.fail_scenario, self._drill, self._number, faults)

    async def order(self, route: str) -> tuple[str, ...]:
        """Return the targets that a request to a route would go to, in their order as far as it is known."""
        body = msgspec.json.encode(self._session.limited(_body(route, PROMPT)))
        told = await self._session.call(self._admin.explain_scenario, self._drill, self._number, body)
        return tuple(one.target for one in told.targets if one.place is not None)

    async def troubles(self) -> Sequence[Trouble]:
        """Return what is left alone in this scenario."""
        return await self._session.call(self._admin.scenario_troubles, self._drill, self._number)


def _body(model: str, prompt: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}]}
