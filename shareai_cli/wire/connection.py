"""One connection to an upstream, and the replies that come over it one after another.

httptools (llhttp) parses; what it leaves to its user is decided here: replies that end with the connection or
have no body, messages that are framed twice, trailers, interim replies, and bytes that nobody asked for.
"""

from __future__ import annotations

import asyncio
import math
import re
import ssl
from collections.abc import Callable
from typing import Any, cast

import httptools

from shareai_cli.errors import (
    ConnectionReset,
    MalformedReply,
    TruncatedReply,
    UpstreamError,
    UpstreamTimeout,
)
from shareai_cli.types import Clock
from shareai_cli.wire.reply import Reply
from shareai_cli.wire.turn import Turn

HEAD_BYTES = 64 << 10
HEAD_FIELDS = 200
INTERIM_REPLIES = 8
"""Bounds on a reply's head, and on the 1xx replies before it."""

BARREN_BYTES = 64 << 10
"""Bytes of framing (trailers, chunk extensions) that may come in a row without any of the body."""

WAITING_BYTES = 256 << 10
"""What may wait to be taken before the upstream is no longer read."""

LARGE_REQUEST = 64 << 10
"""Requests from this size on may need longer to be sent than a reply's head may take."""

IDLE_MARGIN = 0.8
"""The part of an announced idle time that is used: at its edge requests cross the connection's end."""

_timeout = re.compile(rb"timeout=(\d{1,9})").search

IDLE, HEAD, BODY, DONE = range(4)
"""What a connection expects next: nothing, a reply's head, its body; or its reply waits to be taken."""


class _Refused(Exception):
    """A reply that the parser takes and this client does not."""


class Connection(asyncio.Protocol):
    """The protocol of one connection; it belongs to a pool while idle, and to one reply at a time."""

    __slots__ = (
        "_barren",
        "_bodiless",
        "_clock",
        "_close_delimited",
        "_ended_well",
        "_free",
        "_gap",
        "_gone",
        "_head_bytes",
        "_head_seconds",
        "_idle_seconds",
        "_interim",
        "_left",
        "_loop",
        "_parser",
        "_poured",
        "_repeats",
        "_reply",
        "_reusable",
        "_state",
        "_surplus",
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
        self._parser: Any = httptools.HttpResponseParser(self)
        self._reply: Reply | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._wanted = 0
        self._state = IDLE
        self._total_at = 0.0
        self._head_seconds = 0.0
        self._head_bytes = 0
        self._unsent = 0
        self._repeats = 0
        self._interim = 0
        self._barren = 0
        self._gap = 0.0
        self._poured = False
        self._idle_seconds = math.inf
        self._bodiless = False
        self._left = False
        self._reusable = False
        self._close_delimited = False
        self._surplus = False
        self.paused = False
        """Whether the other side is not read for now, as enough waits to be taken."""
        self._ended_well = False

    def __repr__(self) -> str:
        return f"<Connection [{('idle', 'head', 'body', 'done')[self._state]}]>"

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        transport = self._transport
        return self._reusable and transport is not None and not transport.is_closing()

    @property
    def unanswered(self) -> bool:
        """Whether the connection ended before a byte of the last reply came."""
        return self._transport is None and not self._head_bytes

    # -- asked by the pool and by replies

    def ask(
        self, message: bytes, head_seconds: float, now: float, total_at: float
    ) -> tuple[Reply, asyncio.Future[None]]:
        """Send a request; the future is done once the reply's head is complete or the reply failed."""
        reply = self._reply = Reply(self)
        self._state = HEAD
        self._head_bytes = self._wanted = 0
        self._head_seconds = head_seconds
        self._total_at = total_at
        self._bodiless = message.startswith(b"HEAD ")
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
        self._gap = math.inf  # also for a piece that is just being handed over
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
        self._reply = None
        self._state = IDLE
        self._left = False
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
        if seconds > self._idle_seconds:
            seconds = self._idle_seconds
        self.deadline = self._clock() + seconds

    def abort(self) -> None:
        """Close the connection at once; a reply under way fails."""
        self.deadline = 0.0
        if self._state in (HEAD, BODY):
            self._fail(ConnectionReset("the connection was closed"))
        self._drop()

    def expired(self) -> None:
        """End: an idle connection quietly, a reply under way with `UpstreamTimeout`."""
        if self._state in (HEAD, BODY):
            now = self._clock()
            if now >= self._total_at:
                self._fail(UpstreamTimeout("the whole reply took too long", phase="total"))
            elif self._state == BODY:
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
        """Parse, and wake who waits."""
        reply: Reply = self._reply  # type: ignore[assignment] # there is one in the states HEAD and BODY
        state = self._state
        if state == BODY:
            if reply.receiver is not None:
                self._pour(data)
                return
        elif state == HEAD:
            size = self._head_bytes + len(data)
            if size > HEAD_BYTES:
                self._large_head(data, HEAD_BYTES - self._head_bytes)
                return
            if not self._head_bytes and data[0] not in b"H\r\n":
                self._broken(_Refused("another protocol"))  # llhttp would take RTSP's replies
                return
            self._head_bytes = size
        else:
            self.abort()  # nobody asked for these bytes
            return
        before = reply.waiting
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._broken(error)
            return
        state = self._state
        if state == DONE:
            self._complete()
            return
        if state == HEAD:
            return
        waiting = reply.waiting
        if waiting == before and not self._bears(len(data)):
            return
        waiter = self._waiter
        if waiter is not None:
            if waiting < self._wanted:
                if self._gap:
                    self.deadline = min(self._clock() + self._gap, self._total_at)
                return
            self._waiter = None
            self.deadline = self._total_at
            if not waiter.done():
                waiter.set_result(None)
        if waiting > WAITING_BYTES and not self.paused:
            self.paused = True
            self._transport.pause_reading()  # type: ignore[union-attr] # it just brought data

    def _pour(self, data: bytes) -> None:
        """Parse, and hand on what there is of the body."""
        self._poured = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._broken(error)
            return
        state = self._state
        if state == BODY:
            if self._poured or self._bears(len(data)):
                deadline = self._clock() + self._gap
                self.deadline = deadline if deadline < self._total_at else self._total_at
        elif state == DONE:
            self._complete()

    def _bears(self, size: int) -> bool:
        """Whether so many more bytes of framing are borne; the reply fails where they are too many."""
        self._barren += size
        if self._barren > BARREN_BYTES:
            self._fail(MalformedReply("framing without a body"))
            self.abort()
            return False
        return True

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
        self._parser = None  # it refers back to this connection
        self.deadline = 0.0
        if self._state == HEAD:
            self._fail(ConnectionReset("the connection ended before the reply"))
        elif self._state == BODY:
            if self._close_delimited and self._ended_well and error is None:
                self._complete()
            else:
                self._fail(TruncatedReply("the connection ended in the middle of the reply"))
        self._gone(self)

    # -- told by the parser

    def on_message_begin(self) -> None:
        """See whether a message follows that nobody asked for."""
        if self._state != HEAD:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field of the head; trailers are dropped."""
        if self._state != HEAD:
            return
        headers = self._reply.headers  # type: ignore[union-attr] # there is one while a head is expected
        name = name.lower()
        if name not in headers:
            headers[name] = value
            return
        self._repeats += 1
        if self._repeats > HEAD_FIELDS:
            raise _Refused("too many fields")
        headers[name] += b", " + value

    def on_headers_complete(self) -> None:
        """Decide how the reply is framed (RFC 9112, section 6.3)."""
        if self._state != HEAD:
            return
        parser = self._parser
        status = parser.get_status_code()
        if status < 200:
            if status == 101:
                raise _Refused("another protocol, which nobody asked for")
            return
        reply: Reply = self._reply  # type: ignore[assignment] # there is one in these states
        headers = reply.headers
        if len(headers) + self._repeats > HEAD_FIELDS:
            raise _Refused("too many fields")
        if parser.get_http_version() not in ("1.1", "1.0"):
            raise _Refused("neither HTTP/1.1 nor HTTP/1.0")
        coding = headers.get(b"transfer-encoding")
        if coding is not None:
            if b"content-length" in headers or coding.lower() != b"chunked":
                raise _Refused("its length is given twice, or in a way that is not known")
            self._close_delimited = False
        else:
            self._close_delimited = b"content-length" not in headers and status not in (204, 304)
        reply.status = status
        self._reusable = parser.should_keep_alive() and not self._close_delimited
        if b"keep-alive" in headers:
            self._idle_seconds = _announced(headers[b"keep-alive"])
        self._state = DONE if self._bodiless else BODY

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body, or hand it over."""
        if self._state != BODY:
            self._surplus = True
            return
        self._barren = 0
        reply: Reply = self._reply  # type: ignore[assignment] # there is one in these states
        receiver = reply.receiver
        if receiver is None:
            reply.pieces.append(body)
            reply.waiting += len(body)
        else:
            self._poured = True
            receiver.received(body)

    def on_message_complete(self) -> None:
        """End a reply, or skip an interim one."""
        if self._state == BODY:
            self._state = DONE
        elif self._state == HEAD:
            self._interim += 1
            if self._interim > INTERIM_REPLIES:
                raise _Refused("too many interim replies")
            self._reply.headers.clear()  # type: ignore[union-attr] # there is one while a head is expected
            self._repeats = 0

    # -- ends

    def _large_head(self, data: bytes, room: int) -> None:
        """Parse as much as a head may have, and the rest only where the head ended within that."""
        if room:
            self.data_received(data[:room])
        if self._state == HEAD:
            self._fail(MalformedReply(f"a head larger than {HEAD_BYTES >> 10} KiB"))
            self.abort()
        elif self._state != IDLE:
            self.data_received(data[room:])

    def _complete(self) -> None:
        """Hand a complete reply over; a connection that cannot be used again ends here."""
        reply: Reply = self._reply  # type: ignore[assignment] # there is one in these states
        transport = self._transport
        self._state = DONE
        self._interim = self._repeats = self._barren = 0
        self.deadline = 0.0
        if (
            self._surplus
            or not self._reusable
            or transport is None
            or transport.get_write_buffer_size()  # answered before it was asked to the end
        ):
            self._drop()
        elif self._bodiless:
            self._parser = httptools.HttpResponseParser(self)  # the former one waits for the body
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
            self.finished()

    def _drop(self) -> None:
        """Close the connection, leaving its reply as it is."""
        self._reusable = False
        if self._transport is not None:
            self._transport.abort()

    def _broken(self, error: Exception) -> None:
        """End a reply at bytes that are not HTTP; one that was complete before them counts."""
        if self._state == DONE:
            self._surplus = True
            self._complete()
            return
        cause = error if isinstance(error, _Refused) else error.__context__
        reason = str(cause) if isinstance(cause, _Refused) else "its bytes cannot be read"
        self._fail(MalformedReply(f"the reply is not HTTP: {reason}"))
        self.abort()

    def _fail(self, failure: UpstreamError) -> None:
        reply = self._reply
        self._reply = None
        self._state = IDLE
        if reply is not None:
            reply.fail(failure)
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def _announced(keep_alive: bytes) -> float:
    """Return for how many seconds a connection may be idle by a reply's Keep-Alive field, less a margin."""
    found = _timeout(keep_alive)
    return int(found[1]) * IDLE_MARGIN if found is not None else math.inf


def _said_goodbye(tls: ssl.SSLObject) -> bool:
    """Whether close_notify came (RFC 8446, section 6.1): without it a body may have been cut off."""
    try:
        tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False
    return True
