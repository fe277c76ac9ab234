"""Asks the free call of providers whose targets' ejection is over, before a request tries them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shareai_cli.errors import UpstreamError
from shareai_cli.gateway.endpoints import Endpoint
from shareai_cli.gateway.health import Health
from shareai_cli.types import Target
from shareai_cli.wire.client import Timeouts

EVERY = 0.5
PATIENCE = Timeouts(connect=5, head=5, total=5)
ANSWER_BYTES = 8 << 20


class Prober:
    """Probes in one task of its own, from `start` to `close`."""

    def __init__(self, health: Health, find: Callable[[str], Endpoint | None]) -> None:
        self._health = health
        self._find = find
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look for targets that are due."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def probe_due(self) -> None:
        """Ask each provider that has a due target once, all at the same time."""
        due: dict[str, list[Target]] = {}
        for target in self._health.due_for_probe():
            due.setdefault(target.provider, []).append(target)
        async with asyncio.TaskGroup() as group:
            for provider, targets in due.items():
                endpoint = self._find(provider)
                if endpoint is not None and endpoint.check is not None:
                    group.create_task(self._probe(endpoint, endpoint.check, targets))

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            self._health.prune()
            await self.probe_due()

    async def _probe(self, endpoint: Endpoint, check: str, targets: list[Target]) -> None:
        answered = await _answers(endpoint, check)
        for target in targets:
            self._health.probed(target, answered=answered)


async def _answers(endpoint: Endpoint, check: str) -> bool:
    """Whether a provider answers at all; what it says of the key is for a real request to find out."""
    try:
        reply = await endpoint.pool.send(endpoint.get_head(check, endpoint.keys[0]), b"", PATIENCE)
        try:
            await reply.read(ANSWER_BYTES)
        finally:
            reply.abort()
    except UpstreamError:
        return False
    return reply.status < 500
