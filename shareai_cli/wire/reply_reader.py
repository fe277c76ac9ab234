"""Replies out of a connection's bytes, one after another.

httptools (llhttp) parses; what it leaves to its user is decided here: replies that end with the connection or
have no body, messages that are framed twice, trailers, interim replies, and bytes that nobody asked for.
"""

from __future__ import annotations

import math
import re
from typing import Any

import httptools

from shareai_cli.errors import MalformedReply
from shareai_cli.wire.reply import Reply

IDLE, HEAD, BODY, DONE = range(4)
"""What is read next: nothing, a reply's head, its body; or nothing until the complete reply was taken."""

HEAD_BYTES = 64 << 10
HEAD_FIELDS = 200
INTERIM_REPLIES = 8
"""Bounds on a reply's head, and on the 1xx replies before it."""

BARREN_BYTES = 64 << 10
"""Bytes of framing (trailers, chunk extensions) that may come in a row without any of the body."""

IDLE_MARGIN = 0.8
"""The part of an announced idle time that is used: at its edge requests cross the connection's end."""

_timeout = re.compile(rb"timeout=(\d{1,9})").search


class _Refused(Exception):
    """A reply that the parser takes and this client does not."""


class ReplyReader:
    """Takes bytes with `feed`, and puts what they make into the reply that is expected, or its receiver."""

    __slots__ = (
        "_barren",
        "_bodiless",
        "_headers",
        "_interim",
        "_parser",
        "_repeats",
        "close_delimited",
        "head_bytes",
        "idle_seconds",
        "keeps_alive",
        "reply",
        "state",
    )

    def __init__(self) -> None:
        self.reply: Reply | None = None
        """The reply that is expected or read; None where there is none."""
        self.state = IDLE
        self.head_bytes = 0
        """What has come of the last reply's head, the interim replies before it included."""
        self.keeps_alive = True
        """Whether another request may follow: the reply did not rule it out, and nothing came after it."""
        self.close_delimited = False
        """Whether the body ends with the connection."""
        self.idle_seconds = math.inf
        """For how long the other side said that it keeps an idle connection, less a margin."""
        self._parser: Any = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] | None = None
        self._bodiless = False
        self._repeats = 0
        self._interim = 0
        self._barren: int | None = None

    def __repr__(self) -> str:
        return f"<ReplyReader [{('idle', 'head', 'body', 'done')[self.state]}]>"

    def expect(self, reply: Reply, bodiless: bool) -> None:
        """Read a reply next; `bodiless` says that it ends with its head, whatever that says (HEAD)."""
        if self._bodiless:
            self._parser = httptools.HttpResponseParser(self)  # the former one waits for the body
        self._bodiless = bodiless
        self.reply = reply
        self._headers = reply.headers
        self.state = HEAD
        self.head_bytes = self._interim = self._repeats = self._barren = 0

    def feed(self, data: bytes) -> int:
        """Read on, and return the state then. Raises `MalformedReply`, after what came before it."""
        if self.state != BODY:
            if self.state != HEAD:
                self.keeps_alive = False  # nobody asked for these bytes
                return self.state
            size = self.head_bytes + len(data)
            if size > HEAD_BYTES:
                return self._feed_large(data)
            if not self.head_bytes and data[0] not in b"H\r\n":  # llhttp would take RTSP's replies
                raise MalformedReply("the reply is not HTTP: another protocol")
            self.head_bytes = size
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._break(error)
        if self._barren is None:
            self._barren = 0
        elif self.state == BODY:
            self._bear(len(data))
        return self.state

    def close(self) -> None:
        """Read nothing more."""
        self._parser = None  # it refers back to this reader

    # -- told by the parser

    def on_message_begin(self) -> None:
        """See whether a message follows that nobody asked for."""
        if self.state != HEAD:
            self.keeps_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field of the head; trailers are dropped."""
        headers = self._headers
        if headers is None:
            return
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
        headers = self._headers
        if headers is None:
            return
        parser = self._parser
        status = parser.get_status_code()
        if status < 200:
            if status == 101:
                raise _Refused("another protocol, which nobody asked for")
            return
        if len(headers) + self._repeats > HEAD_FIELDS:
            raise _Refused("too many fields")
        if parser.get_http_version() not in ("1.1", "1.0"):
            raise _Refused("neither HTTP/1.1 nor HTTP/1.0")
        if b"transfer-encoding" in headers:
            if b"content-length" in headers or headers[b"transfer-encoding"].lower() != b"chunked":
                raise _Refused("its length is given twice, or in a way that is not known")
            self.close_delimited = False
        else:
            self.close_delimited = b"content-length" not in headers and status not in (204, 304)
        self.reply.status = status  # type: ignore[union-attr] # there is one while a head is expected
        self._headers = None
        self.keeps_alive = parser.should_keep_alive() and not self.close_delimited
        if b"keep-alive" in headers:
            self.idle_seconds = _announced(headers[b"keep-alive"])
        self.state = DONE if self._bodiless else BODY

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body, or hand it over."""
        if self.state != BODY:
            self.keeps_alive = False
            return
        self._barren = None
        reply: Reply = self.reply  # type: ignore[assignment] # there is one in these states
        receiver = reply.receiver
        if receiver is None:
            reply.pieces.append(body)
            reply.waiting += len(body)
        else:
            receiver.received(body)

    def on_message_complete(self) -> None:
        """End a reply, or skip an interim one."""
        if self.state == BODY:
            self.state = DONE
        elif self.state == HEAD:
            self._interim += 1
            if self._interim > INTERIM_REPLIES:
                raise _Refused("too many interim replies")
            self._headers.clear()  # type: ignore[union-attr] # there are fields while a head is expected
            self._repeats = 0

    # -- decides

    def _feed_large(self, data: bytes) -> int:
        """Read as much as a head may have, and the rest only where the head ended within that."""
        room = HEAD_BYTES - self.head_bytes
        if room:
            self.feed(data[:room])
        if self.state == HEAD:
            raise MalformedReply(f"a head larger than {HEAD_BYTES >> 10} KiB")
        return self.feed(data[room:])

    def _bear(self, size: int) -> None:
        """Bear so many more bytes of framing."""
        barren = self._barren = (self._barren or 0) + size
        if barren > BARREN_BYTES:
            raise MalformedReply("framing without a body")

    def _break(self, error: Exception) -> None:
        """Refuse what the parser stopped at; a reply that was complete before it counts."""
        if self.state == DONE:
            self.keeps_alive = False
            return
        cause = error.__context__
        reason = str(cause) if isinstance(cause, _Refused) else "its bytes cannot be read"
        raise MalformedReply(f"the reply is not HTTP: {reason}")


def _announced(keep_alive: bytes) -> float:
    """Return for how many seconds a connection may be idle by a reply's Keep-Alive field, less a margin."""
    found = _timeout(keep_alive)
    return int(found[1]) * IDLE_MARGIN if found is not None else math.inf
