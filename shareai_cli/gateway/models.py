"""Which models each provider and node offers: its cached `/models` answer, else what is declared.

Providers are asked when somebody first wants to know, all at once and for a bounded time, and again when
the answers are old; the old ones serve meanwhile. Nothing is asked before there is a need.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from shareai_cli.errors import UpstreamError
from shareai_cli.gateway.endpoints import Endpoint
from shareai_cli.types import NODE, Clock
from shareai_cli.wire.client import Timeouts

FRESH_SECONDS = 600.0
RETRY_SECONDS = 30.0
"""How long an answer counts as new, and how long a provider that gave none is not asked again."""

ASKED_FOR = Timeouts(connect=5, head=5, total=10)
ANSWER_BYTES = 8 << 20
MOST_MODELS = 20_000

Catalogue = Callable[[str], Collection[str]]
"""The models that are known to be offered, by the provider's name among the prices."""


class _Model(Struct):
    id: Annotated[str, Meta(min_length=1, max_length=256)]


class _Models(Struct):
    data: Annotated[list[_Model], Meta(max_length=MOST_MODELS)]


_decoder = msgspec.json.Decoder(_Models)


class _Answer(Struct, frozen=True):
    models: frozenset[str]
    at: float
    given: bool


class ModelDirectory:
    """Keeps what each endpoint answered, by the endpoint's name."""

    def __init__(self, clock: Clock, catalogue: Catalogue) -> None:
        self._clock = clock
        self._catalogue = catalogue
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
        if answer is not None and answer.given:
            return answer.models.union(declared) if declared else answer.models
        return declared or self._catalogue(endpoint.price_as)

    def _is_due(self, name: str, now: float) -> bool:
        answer = self._answers.get(name)
        if answer is None:
            return True
        return now - answer.at > (FRESH_SECONDS if answer.given else RETRY_SECONDS)

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
        models: frozenset[str] | None = None
        try:
            models = await _fetch(endpoint)
        except UpstreamError:
            pass
        finally:
            self._asking.pop(endpoint.name, None)
        former = self._answers.get(endpoint.name)
        if models is not None:
            self._answers[endpoint.name] = _Answer(models, self._clock(), given=True)
        elif former is not None and former.given:
            soon = self._clock() - FRESH_SECONDS + RETRY_SECONDS
            self._answers[endpoint.name] = _Answer(former.models, soon, given=True)
        else:
            self._answers[endpoint.name] = _Answer(frozenset(), self._clock(), given=False)


async def _fetch(endpoint: Endpoint) -> frozenset[str] | None:
    """GET the endpoint's `/models` with its first key; None where the answer is no list of models."""
    head = endpoint.get_head("/models", endpoint.keys[0])
    reply = await endpoint.pool.send(head, b"", ASKED_FOR)
    try:
        if reply.status != 200:
            return None
        body = await reply.read(ANSWER_BYTES)
        # Gemini's endpoint names its models "models/gemini-...", and takes them without the prefix.
        return frozenset(model.id.removeprefix("models/") for model in _decoder.decode(body).data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    finally:
        reply.abort()
