"""Asking a scripted provider through a pool, with time that a test moves."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any

from shareai_cli.wire.client import Pool, Reply, Timeouts, parse_base_url
from shareai_cli.wire.deadlines import Deadlines
from tests.support.clock import FakeClock
from tests.support.upstream import FaultUpstream
from tests.support.waiting import until

TIMEOUTS = Timeouts(connect=10, head=30, total=600)
GAP = 120.0
LIMIT = 1 << 20
HEAD = (
    b"%b /v1/chat/completions HTTP/1.1\r\nHost: upstream.example\r\n"
    b"Authorization: Bearer k1\r\nAccept-Encoding: identity\r\n"
)
QUESTION = {"model": "m1", "messages": [], "stream_options": {"include_usage": True}}


class Asking:
    """Pools of one test, their clock and their deadlines."""

    def __init__(self, deadlines: Deadlines, clock: FakeClock) -> None:
        self.deadlines = deadlines
        self.clock = clock
        self.pools: list[Pool] = []

    def pool(self, upstream: FaultUpstream | str, tls: ssl.SSLContext | None = None, **options: Any) -> Pool:
        """Return a pool of connections to an upstream, or to a base URL."""
        url = upstream if isinstance(upstream, str) else upstream.base_url
        pool = Pool(parse_base_url(url)[0], tls=tls, deadlines=self.deadlines, clock=self.clock, **options)
        self.pools.append(pool)
        return pool

    def pass_time(self, seconds: float) -> None:
        """Let time pass and what it ends end."""
        self.clock.forward(seconds)
        self.deadlines.sweep()

    async def close(self) -> None:
        """End every connection."""
        for pool in self.pools:
            pool.abort()
            await pool.close()
        self.deadlines.close()


async def send(
    pool: Pool, *, method: bytes = b"POST", streamed: bool = False, timeouts: Timeouts = TIMEOUTS
) -> Reply:
    """Ask one question."""
    body = json.dumps(QUESTION | {"stream": streamed}).encode() if method == b"POST" else b""
    return await pool.send(HEAD % method, body, timeouts)


async def ask(pool: Pool, **options: Any) -> tuple[int, bytes]:
    """Ask one question and return status and body."""
    reply = await send(pool, **options)
    return reply.status, await reply.read(LIMIT)


async def pieces(reply: Reply) -> list[bytes]:
    """Take a reply piece by piece."""
    taken = []
    while piece := await reply.next(GAP):
        taken.append(piece)
    return taken


def begin(pool: Pool, **options: Any) -> asyncio.Task[tuple[int, bytes]]:
    """Begin to ask a question."""
    return asyncio.get_running_loop().create_task(ask(pool, **options))


async def ended(upstream: FaultUpstream) -> None:
    """Wait until no connection is left."""
    await until(lambda: upstream.open == 0)
