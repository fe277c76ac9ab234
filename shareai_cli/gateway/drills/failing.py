"""A provider on the loopback that does nothing but fail, on real connections.

What it is sent says how to fail, and nothing else: no provider's key, and no word of a request.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, cast

from shareai_cli.config import Egress
from shareai_cli.drill_types import RETRY_AFTER, FaultKind
from shareai_cli.gateway.pools import PoolFactory
from shareai_cli.wire.client import Origin, Pool, Reply, Timeouts

LOOPBACK: Final = "127.0.0.1"

_LONGEST_HEAD: Final = 4096
_MOST_CONNECTIONS: Final = 256

_EVENT: Final = (
    b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"drill "}}]}\n\n'
)
_ERROR_EVENT: Final = b'data: {"error":{"message":"This failure is a drill.","type":"server_error"}}\n\n'
_ERROR: Final = b'{"error":{"message":"This failure is a drill.","type":"server_error","code":null}}'


def _status(line: bytes, fields: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\n%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        line, fields, len(_ERROR), _ERROR,
    )  # fmt: skip


def _stream(*events: bytes, is_whole: bool) -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + chunks + (b"0\r\n\r\n" if is_whole else b"")


_CUT: Final = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"choices":[{"index"'
)

_SILENT: Final = "stalled"

_REPLIES: Final[Mapping[str, bytes]] = MappingProxyType(
    {
        "error": _status(b"500 Internal Server Error"),
        "rate-limited": _status(b"429 Too Many Requests", b"Retry-After: %d\r\n" % RETRY_AFTER),
        "unauthorized": _status(b"401 Unauthorized"),
        "error-event": _status(b"200 OK"),
        "error-event/stream": _stream(_ERROR_EVENT, is_whole=True),
        "cut": _CUT,
        "cut/stream": _stream(_EVENT, _EVENT, _EVENT, is_whole=False),
    }
)
"""What is answered, by the path that is asked for."""

_STREAMS: Final = ("error-event", "cut")
"""Faults that look otherwise in a stream."""


class FailingProvider:
    """Listens from `start` to `close`; `pool` returns what looks like a provider that fails."""

    def __init__(self, make_pool: PoolFactory) -> None:
        self._make_pool = make_pool
        self._server: asyncio.Server | None = None
        self._unheard: socket.socket | None = None
        self._transports: set[asyncio.Transport] = set()

    def __repr__(self) -> str:
        return f"<FailingProvider [{len(self._transports)} connections]>"

    async def start(self) -> None:
        """Listen, and hold a port on which nobody does."""
        self._unheard = unheard = socket.socket()
        unheard.bind((LOOPBACK, 0))
        create = asyncio.get_running_loop().create_server
        self._server = server = await create(lambda: _Failing(self._transports), LOOPBACK, 0)
        self._refusing = self._pool_of(unheard)
        self._answering = self._pool_of(server.sockets[0])

    def pool(self, kind: FaultKind, silence: float, *, streamed: bool) -> FailingPool:
        """Return the pool of a provider that fails so; one that stalls is waited for `silence` seconds."""
        path = f"{kind}/stream" if streamed and kind in _STREAMS else kind
        pool = self._refusing if kind == "refused" else self._answering
        return FailingPool(pool, path, silence if kind == _SILENT else None)

    async def close(self) -> None:
        """End every connection, and listen no more."""
        server, self._server = self._server, None
        if server is None or self._unheard is None:
            return
        for transport in list(self._transports):
            transport.abort()
        for pool in (self._refusing, self._answering):
            await pool.close()
        server.close()
        await server.wait_closed()
        self._unheard.close()

    def _pool_of(self, bound: socket.socket) -> Pool:
        return self._make_pool(Origin("http", LOOPBACK, int(bound.getsockname()[1])), Egress())


class FailingPool:
    """Takes requests in the place of a provider's pool, and has them fail; sends nothing of them anywhere."""

    __slots__ = ("_head", "_pool", "_silence")

    def __init__(self, pool: Pool, path: str, silence: float | None) -> None:
        self._pool = pool
        self._silence = silence
        self._head = f"POST /{path} HTTP/1.1\r\nHost: {LOOPBACK}\r\n".encode("ascii")

    async def send(self, head: bytes, body: bytes, timeouts: Timeouts) -> Reply:
        """Fail; raises what `Pool.send` does."""
        if self._silence is not None:
            timeouts = Timeouts(timeouts.connect, min(timeouts.head, self._silence), timeouts.total)
        return await self._pool.send(self._head, b"", timeouts)


class _Failing(asyncio.Protocol):
    """One connection: reads a head, fails as it says, and ends."""

    def __init__(self, transports: set[asyncio.Transport]) -> None:
        self._transports = transports
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take up a connection, unless there are too many."""
        self._transport = stream = cast(asyncio.Transport, transport)
        self._transports.add(stream)
        if len(self._transports) > _MOST_CONNECTIONS:
            stream.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        """Read on, and answer once the head is there."""
        self._head += data
        transport = self._transport
        if len(self._head) > _LONGEST_HEAD:
            transport.abort()
        elif b"\r\n\r\n" in self._head:
            kind = self._head.partition(b" /")[2].partition(b" ")[0].decode("latin-1")
            if kind not in _SILENT:
                transport.write(_REPLIES.get(kind, b""))
                transport.close()
