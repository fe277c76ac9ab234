"""One request on to a child and its reply back, bytes as they come; giving it up closes the connection."""

from __future__ import annotations

from collections.abc import AsyncIterator

from shareai_cli.errors import ConnectionRefused, ConnectionReset, ModelUnavailable
from shareai_cli.node.lease import Lease, Reach
from shareai_cli.wire.client import Reply, Timeouts
from shareai_cli.wire.message import Request, Response

TIMEOUTS = Timeouts(connect=5.0, head=3600.0, total=86400.0)
"""Generous: who asks this machine has limits of its own, and a long prompt takes a CPU minutes."""

GAP_SECONDS = 3600.0
REPLY_LIMIT = 64 << 20
"""Bytes of a reply that is not a stream."""

_PASSED = (b"content-type", b"cache-control", b"retry-after", b"x-should-retry")


async def forward(request: Request, lease: Lease) -> Response:
    """Send a request's body to a child; return its reply, with whose end the lease is given back.

    `ModelUnavailable` where the child just died.
    """
    try:
        reply = await _send(request, lease.reach)
        headers = [(name, reply.headers[name]) for name in _PASSED if name in reply.headers]
        if reply.headers.get(b"content-type", b"").startswith(b"text/event-stream"):
            return Response(reply.status, headers, Relay(reply, lease))
        body = await _read(reply)
    except BaseException:
        lease.give_back()
        raise
    lease.give_back()
    return Response(reply.status, headers, body)


async def _send(request: Request, reach: Reach) -> Reply:
    head = (
        b"POST %b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: %b\r\nContent-Type: application/json\r\n"
        % (
            request.path.encode("latin-1"),
            reach.origin.port,
            reach.authorization,
        )
    )
    try:
        return await reach.pool.send(head, request.body, TIMEOUTS)
    except (ConnectionRefused, ConnectionReset):
        raise ModelUnavailable("The model's process ended before it answered.", retry_after=1.0) from None


async def _read(reply: Reply) -> bytes:
    try:
        return await reply.read(REPLY_LIMIT)
    except BaseException:
        reply.abort()
        raise


class Relay:
    """A reply's bytes as they come; giving it up closes the connection, which frees the engine."""

    def __init__(self, reply: Reply, lease: Lease) -> None:
        self._reply = reply
        self._lease = lease

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            data = await self._reply.next(GAP_SECONDS)
        except BaseException:
            await self.aclose()
            raise
        if not data:
            self._lease.give_back()
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        """Give the reply up."""
        self._reply.abort()
        self._lease.give_back()
