"""An upstream that streams: `python -m bench.stream_upstream PORT DELTAS INTERVAL_MS`.

Cheap enough that it shares a core with the load generator at 25 600 events a second: a stream stays in one
slot of a wheel with a slot for each millisecond of the interval, and an event costs one formatting and one
write. The head, the role and the first delta go out at once when the request is complete.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time

import uvloop

from bench.nginx import COMPLETION, MODELS
from bench.stream_events import DELTA_CHUNK, DONE, FINISH, ROLE, USAGE, chunk, delta

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


class Wheel:
    """Writes the next event of each stream once an interval, a millisecond's streams at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deltas: int, interval_ms: int) -> None:
        self._loop = loop
        self._deltas = deltas
        self._slots: list[list[Stream]] = [[] for _ in range(interval_ms)]
        self._turned = time.monotonic_ns() // 1_000_000

    def add(self, stream: Stream) -> None:
        """Take in a stream whose first delta has just been written."""
        self._slots[self._turned % len(self._slots)].append(stream)

    def turn(self) -> None:
        """Serve every millisecond that has passed since the last turn."""
        self._loop.call_later(0.001, self.turn)
        now = time.monotonic_ns() // 1_000_000
        while self._turned < now:
            self._turned += 1
            place = self._turned % len(self._slots)
            ended = False
            for stream in self._slots[place]:
                ended |= stream.proceed(self._deltas)
            if ended:
                self._slots[place] = [stream for stream in self._slots[place] if not stream.idle]


class Stream(asyncio.Protocol):
    """One connection; serves one request at a time."""

    def __init__(self, wheel: Wheel) -> None:
        self._wheel = wheel
        self._received = b""
        self._number = 0
        self._with_usage = False
        self._descriptor = -1
        self.idle = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._descriptor = transport.get_extra_info("socket").fileno()

    def connection_lost(self, exc: Exception | None) -> None:
        self.idle = True
        self._descriptor = -1

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        expected = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                expected = int(value)
        if len(body) < expected:
            return
        self._received = b""
        self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if not head.startswith(b"POST "):
            models = MODELS.encode()
            self._send(_sized(models) if b"/models " in head else _sized(b"{}", b"404 Not Found"))
            return
        if b'"stream":true' not in body.replace(b" ", b""):
            self._send(_sized(COMPLETION.encode()))
            return
        self._with_usage = b'"include_usage":true' in body.replace(b" ", b"")
        self._number = 1
        self.idle = False
        self._wheel.add(self)
        self._send(_HEAD + chunk(ROLE) + chunk(delta(0, time.monotonic_ns())))

    def proceed(self, deltas: int) -> bool:
        """Write the next event; True when the stream has ended."""
        if self.idle:
            return True
        if self._number < deltas:
            self._send(DELTA_CHUNK % (self._number, time.monotonic_ns() // 1000))
            self._number += 1
            return False
        usage = chunk(USAGE) if self._with_usage else b""
        self.idle = True
        self._send(chunk(FINISH) + usage + chunk(DONE) + b"0\r\n\r\n")
        return True

    def _send(self, data: bytes) -> None:
        # The transport would write at the end of the loop's turn, later than the time in the event says.
        sent = 0
        if not self._transport.get_write_buffer_size():
            try:
                sent = os.write(self._descriptor, data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.idle = True
                return
        if sent < len(data):
            self._transport.write(data[sent:])


def _sized(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


async def _serve(port: int, deltas: int, interval_ms: int) -> None:
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop, deltas, interval_ms)
    server = await loop.create_server(lambda: Stream(wheel), "127.0.0.1", port, backlog=4096)
    wheel.turn()
    gc.collect()
    gc.freeze()
    gc.disable()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(*(int(argument) for argument in sys.argv[1:4])))
