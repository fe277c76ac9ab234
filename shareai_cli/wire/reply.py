"""One reply of an upstream's, and the time limits under which it is waited for."""

from __future__ import annotations

import asyncio
from typing import Protocol

from msgspec import Struct

from shareai_cli.errors import MalformedReply, UpstreamError


class Timeouts(Struct, frozen=True):
    """Time limits in seconds: for a connection, from there to the reply's head, for all of it."""

    connect: float
    head: float
    total: float


class Source(Protocol):
    """The connection that a reply comes over."""

    paused: bool
    """Whether the other side is not read for now, as enough waits to be taken."""

    def expect(self, seconds: float, wanted: int) -> asyncio.Future[None]:
        """Return what is done once `wanted` bytes wait, or the reply ended or failed (0 s: no limit)."""

    def flow(self, seconds: float) -> None:
        """Read on, if paused; the reply fails when no piece comes for that many seconds."""

    def hold(self) -> None:
        """Read nothing more for now."""

    def taken(self) -> None:
        """What waited was taken, and more is to come: read on, if paused."""

    def finished(self) -> None:
        """A complete reply was taken: the connection is free."""

    def leave(self, seconds: float) -> None:
        """Free the connection if the reply's end comes within so many seconds, else close it."""

    def abort(self) -> None:
        """Close the connection at once."""


class Receiver(Protocol):
    """Who takes a reply's pieces as they come."""

    def received(self, data: bytes) -> None:
        """Take a piece; it must not raise."""

    def ended(self, failure: UpstreamError | None) -> None:
        """Take in that nothing more comes: the reply is complete, or why it is not."""


class Reply:
    """One reply: its head is complete, its body is taken with `read` or `next`, by one task at a time.

    Or it is poured: then a receiver is handed each piece within the call in which it came.

    `headers` have lower-case names, repeats joined with a comma (RFC 9110, 5.3). The connection is used again
    once the reply was complete and taken; until then it is this reply's alone.
    """

    __slots__ = (
        "_connection",
        "_gap",
        "complete",
        "failure",
        "headers",
        "pieces",
        "receiver",
        "status",
        "waiting",
    )

    def __init__(self, connection: Source) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.complete = False
        self.failure: UpstreamError | None = None
        """Why nothing more will come of a reply that is not complete."""
        self.pieces: list[bytes] = []
        self.waiting = 0
        """Bytes in `pieces`: received and not yet taken."""
        self.receiver: Receiver | None = None
        """Who is handed what comes; None where it is asked for."""
        self._connection: Source | None = connection
        self._gap = 0.0

    def __repr__(self) -> str:
        return f"<Reply {self.status} [waiting: {self.waiting}, complete: {self.complete}]>"

    async def read(self, limit: int, gap: float = 0.0) -> bytes:
        """Return the whole body (what `next` returned excepted), its pieces at most `gap` seconds apart.

        Raises `MalformedReply` past `limit` bytes, `TruncatedReply`, `UpstreamTimeout`.
        """
        if not self.complete:
            if (connection := self._connection) is not None:
                try:
                    await connection.expect(gap, limit + 1)
                except asyncio.CancelledError:
                    self.abort()
                    raise
            if self.failure is not None:
                raise self.failure
        return self.whole(limit)

    def whole(self, limit: int) -> bytes:
        """Return what `read` does, of a reply that is complete: there is nothing to wait for."""
        if self.waiting > limit:
            self.abort()
            raise MalformedReply(f"a reply larger than {limit} bytes")
        return self._take()

    async def next(self, seconds: float) -> bytes:
        """Return what has come since the last call, waiting up to that many seconds; b"" at the end.

        Raises `TruncatedReply`, `UpstreamTimeout` (phase gap or total), once all that came was returned.
        """
        if not self.pieces:
            if not self.complete and (connection := self._connection) is not None:
                try:
                    await connection.expect(seconds, 1)
                except asyncio.CancelledError:
                    self.abort()
                    raise
            if not self.pieces and self.failure is not None:
                raise self.failure
        return self._take()

    def pour(self, receiver: Receiver, gap: float) -> None:
        """Hand pieces to `receiver` as they come, at most `gap` seconds apart, and then the end of the reply.

        What waits already is handed over within this call.
        """
        self.receiver = receiver
        self._gap = gap
        if self._connection is not None and not self.complete:
            self._connection.flow(gap)
        self.deliver()

    def pause(self) -> None:
        """Have no more pieces handed over for now, but those on their way; only the total limit runs."""
        if self.receiver is not None and self._connection is not None:
            self._connection.hold()

    def resume(self) -> None:
        """Go on after a pause."""
        if self.receiver is not None and self._connection is not None:
            self._connection.flow(self._gap)

    def deliver(self) -> None:
        """Hand the receiver what waits, and the end where it has come."""
        receiver = self.receiver
        if receiver is None:
            return
        pieces = self.pieces
        if pieces:
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self.waiting = 0
            receiver.received(data)
        if self.complete or self.failure is not None:
            if self.receiver is None:
                return  # it wants no more
            self.receiver = None
            self.abort()
            receiver.ended(self.failure)

    def abort(self) -> None:
        """Give the reply up; its connection is closed unless the reply was complete. Twice does no harm."""
        self.receiver = None
        connection, self._connection = self._connection, None
        self.pieces.clear()
        self.waiting = 0
        if connection is None:
            return
        if self.complete:
            connection.finished()
        else:
            connection.abort()

    def leave(self, seconds: float) -> None:
        """Want nothing more of the reply; its connection is used again if its end comes within `seconds`."""
        connection = self._connection
        if connection is None or self.complete:
            self.abort()
            return
        self._connection = self.receiver = None
        self.pieces.clear()
        self.waiting = 0
        connection.leave(seconds)

    def fail(self, failure: UpstreamError) -> None:
        """Take in that nothing more will come, although the reply is not complete."""
        self.failure = failure
        self._connection = None
        self.deliver()

    def _take(self) -> bytes:
        pieces = self.pieces
        if len(pieces) == 1:
            body = pieces.pop()
        else:
            body = b"".join(pieces)
            pieces.clear()
        self.waiting = 0
        connection = self._connection
        if connection is not None:
            if self.complete:
                self._connection = None
                connection.finished()
            elif connection.paused:
                connection.taken()
        return body
