"""Requests out of a connection's bytes.

httptools (llhttp) parses; what it leaves to its user is decided here: versions, framings and hosts that are
not served, upgrades that nobody offers, trailers, bounds on heads, bodies and what is between chunks.
"""

from __future__ import annotations

import re
from typing import Any

import httptools

from shareai_cli.errors import HeadTooLarge, MalformedRequest, Overloaded, RequestTooLarge, ShareAIError
from shareai_cli.wire.admission import Admission
from shareai_cli.wire.message import Request

HEAD, BODY, DEAF = range(3)
"""What is read next: a head, its body; or nothing, since the connection ends after what was read."""

FRAMING_BYTES = 16 << 10
"""What a chunked body may take beyond twice its own length: chunk extensions, trailers, tiny chunks."""

PIPELINED_REQUESTS = 16
"""Requests that may wait for the one before them."""

_METHODS = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}

_OTHER_PROTOCOLS = frozenset(
    b"CONNECT PRI SOURCE DESCRIBE ANNOUNCE SETUP PLAY PAUSE TEARDOWN GET_PARAMETER SET_PARAMETER REDIRECT "
    b"RECORD FLUSH".split()
)
"""Methods that llhttp reads although they belong to tunnels, HTTP/2, Icecast and RTSP."""

_SLASH, _HASH = b"/#"

_authority = re.compile(rb"https?://([^/?#@]+)(?=[/?]|$)", re.IGNORECASE).match


class RequestReader:
    """Takes bytes with `feed`, and puts what they make into `requests`.

    An error there takes the place of a request that is not served; nothing is read after it.
    """

    __slots__ = (
        "_admission",
        "_chunked",
        "_ends",
        "_framing",
        "_head",
        "_headers",
        "_local",
        "_method",
        "_parser",
        "_peer",
        "_pieces",
        "_repeats",
        "_resumed",
        "_start",
        "_url",
        "_version",
        "body_bytes",
        "head_bytes",
        "requests",
        "state",
        "wants_continue",
    )

    def __init__(self, admission: Admission, local: str, peer: str) -> None:
        """`local` is the address that the client connected to, `peer` its own."""
        self.requests: list[Request | ShareAIError] = []
        """What was read and not yet taken, the oldest first."""
        self.state = HEAD
        self.head_bytes = 0
        """What has come of a head that is not complete."""
        self.body_bytes = 0
        """What has come of a body that is not complete."""
        self.wants_continue = False
        """Whether the client waits for 100 (Continue) before it sends the body."""
        self._admission = admission
        self._local = local
        self._peer = peer
        self._parser: Any = httptools.HttpRequestParser(self)
        self._start = b""
        self._method = ""
        self._url = b""
        self._version = ""
        self._head: dict[bytes, bytes] = {}
        self._headers: dict[bytes, bytes] | None = {}
        self._repeats = 0
        self._pieces: list[bytes] = []
        self._framing = 0
        self._chunked = False
        self._ends = False
        self._resumed = False

    def __repr__(self) -> str:
        return f"<RequestReader [{('head', 'body', 'deaf')[self.state]}, waiting: {len(self.requests)}]>"

    def feed(self, data: bytes) -> None:
        """Read on."""
        state = self.state
        if state == HEAD:
            size = self.head_bytes + len(data)
            if size > self._admission.limits.head_bytes:
                self._feed_large(data)
                return
            if not self.head_bytes:
                self._start = data
            elif b"\n" not in self._start.lstrip(b"\r\n"):
                self._start += data
            self.head_bytes = size
        elif state == DEAF:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            self._break(error)
            return
        else:
            if state == BODY and self._chunked:
                self._check_framing(len(data))
            return
        self._ignore_upgrade(rest)

    def refuse(self, error: ShareAIError) -> None:
        """Put an error in the place of the next request, and read no further."""
        self._drop_body()
        self.state = DEAF
        self.requests.append(error)

    def close(self) -> None:
        """Give up what was not yet taken."""
        self._drop_body()
        for request in self.requests:
            if isinstance(request, Request):
                self._admission.held -= len(request.body)
        self.requests.clear()
        self.state = DEAF
        self._parser = None  # it refers back to this reader

    # -- told by the parser

    def on_url(self, url: bytes) -> None:
        """Keep the target, which may come in parts."""
        if not self._resumed:
            self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field of the head; trailers are dropped."""
        headers = self._headers
        name = name.lower()
        if headers is None:
            return
        if name not in headers:
            headers[name] = value
            return
        self._repeats += 1
        if self._repeats > self._admission.limits.head_fields:
            raise HeadTooLarge("The request's head has too many fields.")
        headers[name] += b", " + value

    def on_headers_complete(self) -> None:
        """Raise for a head that is not served; else note what the request and its body need."""
        if self._resumed:  # the head that was made for the sake of its body
            return
        headers: dict[bytes, bytes] = self._headers  # type: ignore[assignment] # None only once it was taken
        parser = self._parser
        admission = self._admission
        limits = admission.limits
        self._version = version = parser.get_http_version()
        if version != "1.1":
            self._check_old(version)
        if len(headers) + self._repeats > limits.head_fields:
            raise HeadTooLarge("The request's head has too many fields.")
        method = parser.get_method()
        if method in _OTHER_PROTOCOLS:
            raise MalformedRequest("The request's method belongs to another protocol.")
        self._method = _METHODS.get(method) or method.decode("ascii")
        host = headers.get(b"host", b"")
        if host not in admission.good_hosts:
            admission.check_host(host, self._local)
        url = self._url
        if url[0] != _SLASH or _HASH in url:  # looking for a byte's number is far cheaper than for b"#"
            self._check_target()
        if b"content-length" in headers:
            if int(headers[b"content-length"]) > limits.body_bytes:
                raise self._too_large()
        elif b"transfer-encoding" in headers:
            self._check_coding(headers[b"transfer-encoding"])
        if b"expect" in headers and version == "1.1":
            self.wants_continue = headers[b"expect"].strip().lower() == b"100-continue"
        self._ends = (b"connection" in headers or version == "1.0") and not parser.should_keep_alive()
        self._head = headers
        self._headers = None
        self.head_bytes = 0
        self.state = BODY

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        size = len(body)
        self._pieces.append(body)
        self.body_bytes = whole = self.body_bytes + size
        admission = self._admission
        admission.held = held = admission.held + size
        limits = admission.limits
        if whole > limits.body_bytes:
            raise self._too_large()
        if held > limits.held_bytes:
            raise Overloaded("Too many large requests are being served.", retry_after=1.0)

    def on_message_complete(self) -> None:
        """Hand the request over, unless what llhttp takes for another protocol is its body."""
        if b"upgrade" in self._head and not self._resumed and self._parser.should_upgrade():
            return
        self._complete()

    # -- decides

    def _check_old(self, version: str) -> None:
        # To llhttp, "RTSP/1.0" is version 1.0 as well.
        if version != "1.0" or b" RTSP/1.0\r" in self._start:
            raise MalformedRequest("The request is neither HTTP/1.1 nor HTTP/1.0.")

    def _check_target(self) -> None:
        """Make a target in absolute form (RFC 9112, section 3.2.2) a path; its host is checked as Host is."""
        if self._url == b"*" and self._method == "OPTIONS":
            return
        found = _authority(self._url)
        if found is None or _HASH in self._url:
            raise MalformedRequest("The request's target is no path.")
        self._admission.check_host(found[1], self._local)
        path = self._url[found.end() :]
        self._url = path if path.startswith(b"/") else b"/" + path

    def _check_coding(self, coding: bytes) -> None:
        if self._version != "1.1" or coding.strip().lower() != b"chunked":
            raise MalformedRequest("The request's Transfer-Encoding is not chunked, or not HTTP/1.1.")
        self._chunked = True
        self._framing = 0

    def _check_framing(self, size: int) -> None:
        """Bound what comes between a chunked body's pieces."""
        self._framing += size
        if self._framing > 2 * self.body_bytes + FRAMING_BYTES and self.state == BODY:
            self.refuse(MalformedRequest("The chunks of the request's body hold too little of it."))

    def _complete(self) -> None:
        if len(self.requests) > PIPELINED_REQUESTS:
            raise Overloaded("Too many requests were sent ahead on one connection.")
        pieces = self._pieces
        body = (pieces[0] if len(pieces) == 1 else b"".join(pieces)) if pieces else b""
        path, _, query = self._url.decode("ascii").partition("?")
        self.requests.append(Request(self._method, path, query, self._version, self._head, body, self._peer))
        self.state = DEAF if self._ends else HEAD
        self._start = self._url = b""
        self._headers = {}
        if pieces:
            self._pieces = []
            self.body_bytes = 0
        self._repeats = 0
        self._chunked = self._resumed = self.wants_continue = False

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read on as HTTP/1.1 after a head that asked for another protocol (RFC 9110, section 7.8)."""
        if self.state == DEAF:
            return
        self._parser = httptools.HttpRequestParser(self)
        try:
            if b"content-length" in self._head or self._chunked:
                self._resumed = True
                self._parser.feed_data(self._framing_alone())
            else:
                self._complete()
        except (httptools.HttpParserError, ShareAIError) as error:
            self._break(error)
            return
        if rest:
            self.feed(rest)

    def _framing_alone(self) -> bytes:
        """Return a head that has nothing of the request's but how its body is framed."""
        if self._chunked:
            return b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        return b"POST / HTTP/1.1\r\nContent-Length: %b\r\n\r\n" % self._head[b"content-length"]

    def _break(self, error: Exception) -> None:
        """Refuse what the parser stopped at; what follows a connection's last request is nobody's."""
        if self.state == DEAF:
            return
        cause = error if isinstance(error, ShareAIError) else error.__context__
        if not isinstance(cause, ShareAIError):  # not raised here while the parser called
            cause = MalformedRequest("The request is not valid HTTP/1.1.")
        self.refuse(cause)

    def _feed_large(self, data: bytes) -> None:
        """Read as much as a head may have, and the rest only where a head ended within that."""
        room = self._admission.limits.head_bytes - self.head_bytes
        if room:
            self.feed(data[:room])
        if self.state == HEAD and self.head_bytes:
            self.refuse(
                HeadTooLarge(f"The request's head is larger than {self._admission.limits.head_bytes} bytes.")
            )
        else:
            self.feed(data[room:])

    def _too_large(self) -> RequestTooLarge:
        limit = self._admission.limits.body_bytes
        return RequestTooLarge(f"The request's body is larger than {limit} bytes.")

    def _drop_body(self) -> None:
        """Forget a body that is not complete."""
        self._admission.held -= self.body_bytes
        self.body_bytes = 0
        self._pieces.clear()
