"""A pool of connections to one origin: HTTP/1.1, one request at a time on each."""

from __future__ import annotations

import asyncio
import ssl
import time

from shareai_cli.errors import ConnectionReset
from shareai_cli.types import Clock
from shareai_cli.wire.connection import Connection
from shareai_cli.wire.deadlines import Deadlines
from shareai_cli.wire.dial import dial
from shareai_cli.wire.origin import Origin, parse_base_url
from shareai_cli.wire.proxy import Proxy
from shareai_cli.wire.reply import Reply, Timeouts
from shareai_cli.wire.turn import Turn

__all__ = ["Origin", "Pool", "Reply", "Timeouts", "parse_base_url"]

IDLE_SECONDS = 30.0
"""How long an idle connection is kept: shorter than servers keep theirs, as at the edge requests die."""

MOST_IDLE = 1024


class Pool:
    """Keeps connections to one origin open, the one used last first."""

    def __init__(
        self,
        origin: Origin,
        *,
        tls: ssl.SSLContext | None,
        deadlines: Deadlines,
        turn: Turn | None = None,
        proxy: Proxy | None = None,
        clock: Clock = time.monotonic,
        idle_seconds: float = IDLE_SECONDS,
        most_idle: int = MOST_IDLE,
    ) -> None:
        self._origin = origin
        self._tls = tls
        self._proxy = proxy
        self._deadlines = deadlines
        self._turn = turn or Turn()
        self._clock = clock
        self._idle_seconds = idle_seconds
        self._most_idle = most_idle
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._closed = False

    def __repr__(self) -> str:
        busy = len(self._open) - len(self._idle)
        return f"<Pool {self._origin.authority} [{busy} active, {len(self._idle)} idle]>"

    async def send(self, head: bytes, body: bytes, timeouts: Timeouts) -> Reply:
        r"""Send a request and return its reply as soon as its head is complete.

        `head` is the request line and fields, each with its "\r\n"; Content-Length is added here. A reused
        connection that ends before a byte of the reply had been given up by the other side: the request is
        asked once more, on a fresh one. Redirects are replies as any other. Raises `ConnectionRefused`,
        `ConnectionReset`, `UpstreamTimeout` (phase connect, head or total), `MalformedReply`.
        """
        message = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        now = self._clock()
        total_at = now + timeouts.total
        connection = self._take()
        while True:
            is_fresh = connection is None
            if connection is None:
                connection = await self._connect(min(timeouts.connect, total_at - now))
                now = self._clock()
            reply, answered = connection.ask(message, timeouts.head, now, total_at)
            try:
                await answered
            except asyncio.CancelledError:
                reply.abort()
                raise
            if reply.status:
                return reply
            if reply.failure is not None and (is_fresh or not connection.unanswered):
                raise reply.failure
            connection = None
            now = self._clock()

    async def close(self) -> None:
        """Close what is idle now, and each other connection after its reply."""
        self._closed = True
        for connection in self._idle:
            connection.abort()
        self._idle.clear()
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def abort(self) -> None:
        """Close every connection at once, whatever comes over it."""
        self._closed = True
        for connection in list(self._open):
            connection.abort()
        self._idle.clear()

    def _take(self) -> Connection | None:
        """Return the idle connection that was used last, if any can still be used."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.usable:
                return connection
        return None

    async def _connect(self, seconds: float) -> Connection:
        connection = await dial(
            self._origin,
            self._tls,
            seconds,
            lambda: Connection(self._clock, self._turn, self._release, self._gone),
            self._proxy,
        )
        if not connection.usable:
            raise ConnectionReset("the connection ended before the request")
        self._open.add(connection)
        self._deadlines.add(connection)
        return connection

    def _release(self, connection: Connection) -> None:
        """Keep a connection whose reply was taken for the next request."""
        idle = self._idle
        if self._closed or len(idle) >= self._most_idle:
            connection.abort()
            return
        connection.rest(self._idle_seconds)
        idle.append(connection)

    def _gone(self, connection: Connection) -> None:
        """Forget a connection that ended."""
        self._open.discard(connection)
        self._deadlines.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


_TURNS = 3
"""Turns of the event loop after which sockets that were aborted are closed."""
