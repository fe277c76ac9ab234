"""Which models each provider and node offers: its cached `/models` answer, else what is declared.

Providers are asked when somebody first wants to know, all at once and for a bounded time, and again when
the answers are old; the old ones serve meanwhile. Nothing is asked before there is a need.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from shareai_cli.catalog.listing import UNKNOWN, ModelFacts, read_listing
from shareai_cli.errors import UpstreamError
from shareai_cli.gateway.endpoints import Endpoint
from shareai_cli.types import NODE, Clock
from shareai_cli.wire.client import Timeouts

FRESH_SECONDS = 600.0
RETRY_SECONDS = 30.0
"""How long an answer counts as new, and how long a provider that gave none is not asked again."""

ASKED_FOR = Timeouts(connect=5, head=5, total=10)
ANSWER_BYTES = 8 << 20

Catalogue = Callable[[str], Collection[str]]
"""The models that are known to be offered, by the provider's name among the prices."""


Learned = Callable[[str, Collection[str]], None]
"""Told, in a thread, what a provider offers whenever it was asked."""


class Offer(Struct, frozen=True):
    """The models of one endpoint, and who says so."""

    provider: str
    models: Mapping[str, ModelFacts]
    source: Literal["provider", "declared", "catalogue"]
    problem: str = ""
    """Why its own list is not there; empty where it is."""


class _Answer(Struct, frozen=True):
    models: Mapping[str, ModelFacts]
    at: float
    problem: str = ""
    """Why there is no list; empty where there is one."""


class _NoListing(Exception):
    """An answer came, and it is no list of models."""


class ModelDirectory:
    """Keeps what each endpoint answered, by the endpoint's name."""

    def __init__(self, clock: Clock, catalogue: Catalogue, learned: Learned | None = None) -> None:
        self._clock = clock
        self._catalogue = catalogue
        self._learned = learned
        self._answers: dict[str, _Answer] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<ModelDirectory [providers: {len(self._answers)}]>"

    async def offers(
        self, endpoints: Sequence[Endpoint], local: Collection[str]
    ) -> Mapping[str, Collection[str]]:
        """Return the models that each endpoint offers; own machines first, as they cost nothing."""
        now = self._clock()
        await self._ask([one for one in endpoints if self._is_due(one.name, now)])
        offers: dict[str, Collection[str]] = {NODE: local} if local else {}
        for endpoint in endpoints:
            offers[endpoint.name] = self._of(endpoint)
        return offers

    async def list_offers(self, endpoints: Sequence[Endpoint]) -> list[Offer]:
        """Return the same with what providers tell of their models, and why where one does not."""
        now = self._clock()
        await self._ask([one for one in endpoints if self._is_due(one.name, now)])
        return [self._offer(endpoint) for endpoint in endpoints]

    def forget(self) -> None:
        """Forget every answer: the configuration changed."""
        self._answers.clear()

    async def close(self) -> None:
        """End what is still being asked."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        if asking:
            await asyncio.wait(asking)

    def _of(self, endpoint: Endpoint) -> Collection[str]:
        declared = endpoint.settings.models
        answer = self._answers.get(endpoint.name)
        if answer is not None and not answer.problem:
            return answer.models.keys() | declared if declared else answer.models
        return declared or self._catalogue(endpoint.price_as)

    def _offer(self, endpoint: Endpoint) -> Offer:
        answer = self._answers.get(endpoint.name)
        told: Mapping[str, ModelFacts] = answer.models if answer is not None else {}
        models = {name: told.get(name, UNKNOWN) for name in self._of(endpoint)}
        if answer is not None and not answer.problem:
            return Offer(endpoint.name, models, "provider")
        problem = answer.problem if answer is not None else "it was not asked"
        return Offer(endpoint.name, models, "declared" if endpoint.settings.models else "catalogue", problem)

    def _is_due(self, name: str, now: float) -> bool:
        answer = self._answers.get(name)
        if answer is None:
            return True
        return now - answer.at > (RETRY_SECONDS if answer.problem else FRESH_SECONDS)

    async def _ask(self, endpoints: Sequence[Endpoint]) -> None:
        """Ask endpoints at once; wait only for those that have never answered."""
        loop = asyncio.get_running_loop()
        awaited: list[asyncio.Task[None]] = []
        for endpoint in endpoints:
            task = self._asking.get(endpoint.name)
            if task is None:
                task = self._asking[endpoint.name] = loop.create_task(self._ask_one(endpoint))
            if endpoint.name not in self._answers:
                awaited.append(task)
        if awaited:
            await asyncio.wait(awaited)

    async def _ask_one(self, endpoint: Endpoint) -> None:
        former = self._answers.get(endpoint.name)
        try:
            answer = _Answer(await _fetch(endpoint), self._clock())
        except (UpstreamError, _NoListing) as error:
            if former is not None and not former.problem:
                soon = self._clock() - FRESH_SECONDS + RETRY_SECONDS
                answer = _Answer(former.models, soon)
            else:
                answer = _Answer({}, self._clock(), str(error))
        finally:
            self._asking.pop(endpoint.name, None)
        self._answers[endpoint.name] = answer
        if self._learned is not None and not answer.problem and answer.models:
            await asyncio.to_thread(self._learned, endpoint.name, answer.models)


async def _fetch(endpoint: Endpoint) -> Mapping[str, ModelFacts]:
    """GET the endpoint's `/models` with its first key; raises `_NoListing`, `UpstreamError`."""
    head = endpoint.get_head(_path(endpoint), endpoint.keys[0])
    reply = await endpoint.pool.send(head, b"", ASKED_FOR)
    try:
        if reply.status != 200:
            raise _NoListing(f"HTTP {reply.status}")
        models = read_listing(await reply.read(ANSWER_BYTES))
    finally:
        reply.abort()
    if models is None:
        raise _NoListing("its answer is no list of models")
    return models


def _path(endpoint: Endpoint) -> str:
    """Return where the list is; Anthropic's comes by twenty, unless more are asked for."""
    return "/models?limit=1000" if endpoint.settings.check_style == "anthropic" else "/models"
