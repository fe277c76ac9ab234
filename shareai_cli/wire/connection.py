"""One connection to an upstream: its life, its time, and the replies that come over it one by one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from shareai_cli.errors import (
    ConnectionReset,
    MalformedReply,
    TruncatedReply,
    UpstreamError,
    UpstreamTimeout,
)
from shareai_cli.types import Clock
from shareai_cli.wire.reply import Reply
from shareai_cli.wire.reply_reader import BODY, DONE, HEAD, IDLE, ReplyReader
from shareai_cli.wire.turn import Turn

WAITING_BYTES = 256 << 10
"""What may wait to be taken before the upstream is no longer read."""

LARGE_REQUEST = 64 << 10
"""Requests from this size on may need longer to be sent than a reply's head may take."""


class Connection(asyncio.Protocol):
    """The protocol of one connection; it belongs to a pool while idle, and to one reply at a time."""

    __slots__ = (
        "_came_at",
        "_clock",
        "_ended_well",
        "_free",
        "_gap",
        "_gone",
        "_head_seconds",
        "_left",
        "_loop",
        "_reader",
        "_reusable",
        "_total_at",
        "_transport",
        "_turn",
        "_unsent",
        "_waiter",
        "_wanted",
        "deadline",
        "paused",
    )

    def __init__(
        self,
        clock: Clock,
        turn: Turn,
        free: Callable[[Connection], None],
        gone: Callable[[Connection], None],
    ) -> None:
        """Call `free` whenever a reply was taken and another request may follow, `gone` at the end."""
        self.deadline = 0.0
        """When `expired` is to be called, by the clock; 0 is never."""
        self._clock = clock
        self._turn = turn
        self._free = free
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = ReplyReader()
        self._waiter: asyncio.Future[None] | None = None
        self._wanted = 0
        self._total_at = 0.0
        self._head_seconds = 0.0
        self._unsent = 0
        self._gap = 0.0
        self._came_at = 0.0
        self._left = False
        self._reusable = False
        self.paused = False
        """Whether the other side is not read for now, as enough waits to be taken."""
        self._ended_well = False

    def __repr__(self) -> str:
        return f"<Connection [{('idle', 'head', 'body', 'done')[self._reader.state]}]>"

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        transport = self._transport
        return self._reusable and transport is not None and not transport.is_closing()

    @property
    def unanswered(self) -> bool:
        """Whether the connection ended before a byte of the last reply came."""
        return self._transport is None and not self._reader.head_bytes

    # -- asked by the pool and by replies

    def ask(
        self, message: bytes, head_seconds: float, now: float, total_at: float
    ) -> tuple[Reply, asyncio.Future[None]]:
        """Send a request; the future is done once the reply's head is complete or the reply failed."""
        reply = Reply(self)
        self._reader.expect(reply, message[:5] == b"HEAD ")
        self._wanted = 0
        self._head_seconds = head_seconds
        self._total_at = total_at
        size = len(message)
        self._unsent = size if size >= LARGE_REQUEST else 0
        deadline = now + head_seconds
        self.deadline = deadline if deadline < total_at else total_at
        self._waiter = waiter = self._loop.create_future()
        self._turn.write(self._transport, message)  # type: ignore[arg-type] # the pool hands out usable ones
        return reply, waiter

    def expect(self, seconds: float, wanted: int) -> asyncio.Future[None]:
        """Return what is done once `wanted` bytes wait, or the reply ended or failed.

        It fails when no piece comes for that many seconds (0: until the time for the whole reply is over).
        """
        self._gap = seconds
        if seconds:
            deadline = self._clock() + seconds
            self.deadline = deadline if deadline < self._total_at else self._total_at
        self._wanted = wanted
        self._waiter = waiter = self._loop.create_future()
        if self.paused and wanted > WAITING_BYTES:
            self.taken()
        return waiter

    def flow(self, seconds: float) -> None:
        """Read on; the reply fails when no piece comes for that many seconds."""
        self._gap = seconds
        self.deadline = min(self._clock() + seconds, self._total_at)
        self.taken()

    def hold(self) -> None:
        """Read nothing more for now."""
        self.deadline = self._total_at
        if not self.paused and self._transport is not None:
            self.paused = True
            self._transport.pause_reading()

    def taken(self) -> None:
        """Read on, if reading had been paused."""
        if self.paused:
            self.paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def finished(self) -> None:
        """Take in that a complete reply was taken: the next request may come."""
        reader = self._reader
        reader.reply = None
        reader.state = IDLE
        if self._reusable:
            if self.paused:
                self.taken()
            self._free(self)

    def leave(self, seconds: float) -> None:
        """Wait for the end of a reply of which nobody wants more, for so long in all."""
        self._left = True
        self._total_at = self.deadline = min(self._clock() + seconds, self._total_at)
        self.taken()

    def rest(self, seconds: float) -> None:
        """Stay idle for so long at most, and not longer than the other side said that it will."""
        announced = self._reader.idle_seconds
        self.deadline = self._clock() + (seconds if seconds < announced else announced)

    def abort(self) -> None:
        """Close the connection at once; a reply under way fails."""
        self.deadline = 0.0
        if self._reader.state in (HEAD, BODY):
            self._fail(ConnectionReset("the connection was closed"))
        self._drop()

    def expired(self) -> None:
        """End: an idle connection quietly, a reply under way with `UpstreamTimeout`."""
        if self._reader.state in (HEAD, BODY):
            now = self._clock()
            if now >= self._total_at:
                self._fail(UpstreamTimeout("the whole reply took too long", phase="total"))
            elif self._reader.state == BODY:
                silent_at = self._came_at + self._gap
                if silent_at > now:  # each piece only notes its time, as that costs least
                    self.deadline = min(silent_at, self._total_at)
                    return
                self._fail(UpstreamTimeout("the reply went silent", phase="gap"))
            elif self._is_sending():
                self.deadline = min(now + self._head_seconds, self._total_at)
                return
            else:
                self._fail(UpstreamTimeout(f"no reply within {self._head_seconds:g} s", phase="head"))
        self.abort()

    def _is_sending(self) -> bool:
        """Whether a large request got further since it was looked at last."""
        before = self._unsent
        self._unsent = self._transport.get_write_buffer_size() if self._transport is not None else 0
        return self._unsent < before

    # -- told by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)
        self._reusable = True

    def data_received(self, data: bytes) -> None:
        """Read on, and see to it that the reply goes on or ends."""
        reader = self._reader
        try:
            state = reader.feed(data)
        except MalformedReply as error:
            self._fail(error)
            self.abort()
            return
        if state == BODY:
            reply: Reply = reader.reply  # type: ignore[assignment] # there is one in this state
            if reply.receiver is not None:
                self._came_at = self._clock()
                return
            waiter, waiting = self._waiter, reply.waiting
            if waiter is not None:
                if waiting < self._wanted:
                    self._came_at = self._clock()
                    return
                self._waiter = None
                self.deadline = self._total_at
                if not waiter.done():
                    waiter.set_result(None)
            if waiting > WAITING_BYTES and not self.paused:
                self.paused = True
                self._transport.pause_reading()  # type: ignore[union-attr] # it just brought data
        elif state == DONE:
            self._complete()
        elif state == IDLE:
            self.abort()  # nobody asked for these bytes

    def eof_received(self) -> bool:
        """Note whether the other side ended on purpose: TLS says so, a lost connection does not."""
        transport = self._transport
        self._reusable = False
        if transport is not None:
            tls = transport.get_extra_info("ssl_object")
            self._ended_well = tls is None or _said_goodbye(tls)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """End the reply under way: properly only where the end of the connection is the reply's."""
        self._transport = None
        self._reusable = False
        self._reader.close()
        self.deadline = 0.0
        state = self._reader.state
        if state == HEAD:
            self._fail(ConnectionReset("the connection ended before the reply"))
        elif state == BODY:
            if self._reader.close_delimited and self._ended_well and error is None:
                self._reader.state = DONE
                self._complete()
            else:
                self._fail(TruncatedReply("the connection ended in the middle of the reply"))
        self._gone(self)

    # -- ends

    def _complete(self) -> None:
        """Hand a complete reply over; a connection that cannot be used again ends here."""
        reader = self._reader
        reply: Reply = reader.reply  # type: ignore[assignment] # there is one until it was taken
        transport = self._transport
        self.deadline = 0.0
        if (
            not reader.keeps_alive
            or transport is None
            or transport.get_write_buffer_size()  # answered before it was asked to the end
        ):
            self._drop()
        reply.complete = True
        if reply.receiver is not None:
            reply.deliver()
            return
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
        if self._left:
            self._left = False
            self.finished()

    def _drop(self) -> None:
        """Close the connection, leaving its reply as it is."""
        self._reusable = False
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, failure: UpstreamError) -> None:
        reader = self._reader
        reply, reader.reply = reader.reply, None
        reader.state = IDLE
        if reply is not None:
            reply.fail(failure)
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def _said_goodbye(tls: ssl.SSLObject) -> bool:
    """Whether close_notify came (RFC 8446, section 6.1): without it a body may have been cut off."""
    try:
        tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False
    return True
