"""Server-sent events, cut out of a stream as they came (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import re

from shareai_cli.errors import MalformedReply

EVENT_BYTES = 8 << 20
"""The largest event that is waited for; images and audio come in events of megabytes."""

_blank_line = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)").search
_line_end = re.compile(rb"\r\n|\n|\r")

_STRADDLING = 3
"""Bytes of a blank line that may have come before the rest of it."""

(_RETURN,) = b"\r"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventSplitter:
    r"""Cuts what it is fed into whole events, each with the blank line that ends it, byte for byte.

    Lines end with "\n", "\r\n" or "\r". Where a blank line's "\r" and "\n" come apart, the event is given out
    at the "\r", and the next one begins with the "\n".
    """

    __slots__ = ("_limit", "held")

    def __init__(self, limit: int = EVENT_BYTES) -> None:
        self._limit = limit
        self.held = bytearray()
        """What has come of an event that is not yet complete."""

    def __repr__(self) -> str:
        return f"<EventSplitter [held: {len(self.held)}]>"

    def feed(self, data: bytes) -> list[bytes]:
        """Return the events that `data` completes; raises `MalformedReply` for one past the limit."""
        held = self.held
        if held:
            searched = max(0, len(held) - _STRADDLING)
            held += data
            if _blank_line(held, searched) is None:
                self._check()
                return []
            data = bytes(held)
            held.clear()
        elif data.endswith(b"\n\n") and data.find(b"\n\n") == len(data) - 2 and _RETURN not in data:
            return [data]
        events = self._cut(data)
        if held:
            self._check()
        return events

    def _cut(self, data: bytes) -> list[bytes]:
        """Cut up `data`, and hold what is left of it."""
        if _RETURN not in data:
            blocks = data.split(b"\n\n")
            self.held += blocks.pop()
            return [block + b"\n\n" for block in blocks]
        events: list[bytes] = []
        start = 0
        while (found := _blank_line(data, start)) is not None:
            events.append(data[start : found.end()])
            start = found.end()
        self.held += data[start:]
        return events

    def _check(self) -> None:
        if len(self.held) > self._limit:
            raise MalformedReply(f"an event of its stream is larger than {self._limit} bytes")


def data_of(event: bytes) -> bytes | None:
    """Return an event's data, its lines joined; None for an event without any, such as a comment."""
    is_plain = event.startswith(b"data: {") and event.endswith(b"}\n\n")
    if is_plain and event.count(b"\n") == 2 and _RETURN not in event:
        return event[6:-2]
    lines: list[bytes] = []
    for line in _line_end.split(event.removeprefix(_BYTE_ORDER_MARK)):
        if line.startswith(b"data:"):
            lines.append(line[6:] if line.startswith(b"data: ") else line[5:])
        elif line == b"data":
            lines.append(b"")
    return b"\n".join(lines) if lines else None
