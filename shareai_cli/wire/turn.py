"""Writing at the end of a turn of the event loop: what was made in it goes out together.

Where many connections are busy, each write by itself costs a wake-up of its reader; together they cost one.
And there is one place before anything leaves, where what has to be on record first is brought there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

AT_ONCE = 64 << 10
"""Bytes beyond which a turn's end is not waited for: then transports tell who does not take them."""


class Turn:
    """Sends what is written in one turn of the running event loop at its end, in order.

    `before` is called first, each time; it must not raise.
    """

    __slots__ = ("_before", "_queue", "_scheduled", "_size")

    def __init__(self, before: Callable[[], None] | None = None) -> None:
        self._before = before
        self._queue: list[tuple[asyncio.WriteTransport, bytes]] = []
        self._size = 0
        self._scheduled = False

    def __repr__(self) -> str:
        return f"<Turn [waiting: {self._size} bytes]>"

    def write(self, transport: asyncio.WriteTransport, data: bytes) -> None:
        """Write to a transport."""
        self._queue.append((transport, data))
        size = self._size = self._size + len(data)
        if size >= AT_ONCE:
            self.end()
        elif not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.end)

    def schedule(self) -> None:
        """See to it that the turn's end comes, though nothing is written."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.end)

    def end(self) -> None:
        """Send everything now."""
        self._scheduled = False
        if self._before is not None:
            self._before()
        if self._size:
            queue, self._queue, self._size = self._queue, [], 0
            for transport, data in queue:
                if not transport.is_closing():
                    transport.write(data)
