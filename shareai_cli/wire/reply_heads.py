"""Heads of replies: what a server adds to a handler's response so that it can be told from the next one."""

from __future__ import annotations

import time
from http import HTTPStatus

from shareai_cli.types import Clock, WallClock
from shareai_cli.wire.message import Request, Response

_REASONS = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}

BODILESS = (204, 304)
"""Statuses whose replies end with the head (RFC 9112, section 6.3)."""

_CLOSE = b"Connection: close\r\n"
_KEEP = b"Connection: keep-alive\r\n"

_CARRIAGE_RETURN, _LINE_FEED = b"\r\n"


class ReplyHeads:
    """Writes heads; the start of one is the same for every reply of a status within a second."""

    __slots__ = ("_clock", "_starts", "_until", "_wall_clock")

    def __init__(self, clock: Clock = time.monotonic, wall_clock: WallClock = time.time) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._starts: dict[int, bytes] = {}
        self._until = 0.0

    def whole(self, response: Response, request: Request | None, last: bool) -> bytes:
        """Return a reply whose body is bytes; `last` says that the connection ends after it.

        Raises `ValueError` for a field with a line break in it: it would become two, or another reply.
        """
        body: bytes = response.body  # type: ignore[assignment] # streams go with `head`
        start = self._start(response)
        if response.status in BODILESS:
            body = length = b""
        else:
            length = b"Content-Length: %d\r\n" % len(body)
        if last:
            length += _CLOSE
        elif request is not None and request.version == "1.0":
            length += _KEEP
        if request is not None and request.method == "HEAD":
            body = b""
        return start + length + b"\r\n" + body

    def head(self, response: Response, request: Request, last: bool) -> bytes:
        """Return the head of a reply whose body is streamed: in chunks, or until the connection ends."""
        start = self._start(response)
        if request.version == "1.1" and response.status not in BODILESS:
            start += b"Transfer-Encoding: chunked\r\n"
        return start + (_CLOSE if last else b"") + b"\r\n"

    def _start(self, response: Response) -> bytes:
        """Return status line, Date and the response's own fields, each line with its end."""
        if self._clock() >= self._until:
            self._starts.clear()
            self._until = self._clock() + 1.0
        start = self._starts.get(response.status) or self._dated(response.status)
        if response.headers:
            start += _lines(response.headers)
        return start + response.lines

    def _dated(self, status: int) -> bytes:
        """Return status line and Date field."""
        date = http_date(self._wall_clock()).encode("ascii")
        start = b"HTTP/1.1 %d %b\r\nDate: %b\r\n" % (status, _REASONS.get(status, b""), date)
        self._starts[status] = start
        return start


def _lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return fields as lines; raises `ValueError` where one has a line break in it."""
    lines = [b": ".join(field) for field in headers]
    fields = b"".join(lines)
    if _LINE_FEED in fields or _CARRIAGE_RETURN in fields:
        raise ValueError("a header field with a line break")
    lines.append(b"")
    return b"\r\n".join(lines)


def http_date(seconds: float) -> str:
    """Return a time of day as HTTP writes it (RFC 9110, section 5.6.7), whatever the locale."""
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(seconds)
    return f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year} {hour:02}:{minute:02}:{second:02} GMT"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
