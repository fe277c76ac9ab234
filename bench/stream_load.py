"""The load of the streaming part: `python -m bench.stream_load` prints what it saw of one run as JSON.

While streams flow, each piece that arrives is only kept with its time; order, loss and lateness are worked
out from the pieces after the last stream has ended, so that the generator is never what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import contextlib
import gc
import itertools
import json
import os
import time
from functools import partial
from typing import Any

import uvloop

from bench.report import median, quantile
from bench.stream_events import DONE, NUMBERED, delta

_CONNECTING = 32
_PATIENCE = 10.0
"""Seconds that streams get beyond their schedule before they count as lost."""


class Stream(asyncio.Protocol):
    """One connection with one streamed request: what arrived when, and nothing worked out yet."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.pieces: list[tuple[int, bytes]] = []
        self.due = self.sent = 0
        self.ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._descriptor = transport.get_extra_info("socket").fileno()

    def data_received(self, data: bytes) -> None:
        self.pieces.append((time.monotonic_ns(), data))
        if data.endswith(b"0\r\n\r\n") and not self.ended:
            self.ended = True
            self._load.count_end()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended:
            self.ended = True
            self._load.count_end()

    def send(self, request: bytes) -> None:
        """Write the request at once; the transport would wait for the end of the loop's turn."""
        self.sent = time.monotonic_ns()
        if os.write(self._descriptor, request) != len(request):
            raise RuntimeError("a request did not fit into a socket's buffer")


def _same(stream: Stream) -> Stream:
    return stream


class Load:
    """All streams of one run."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._open = options.streams
        self._all_ended = asyncio.Event()
        self.streams = [Stream(self) for _ in range(options.streams)]

    def count_end(self) -> None:
        """Note that a stream has ended, however it did."""
        self._open -= 1
        if not self._open:
            self._all_ended.set()

    async def run(self) -> float:
        """Connect, send every request at its time, wait for all ends; returns the processor's share of it."""
        options = self._options
        for start in range(0, options.streams, _CONNECTING):
            await asyncio.gather(
                *(
                    self._loop.create_connection(partial(_same, stream), "127.0.0.1", options.port)
                    for stream in self.streams[start : start + _CONNECTING]
                )
            )
        request = _request(options)
        gc.collect()
        gc.freeze()
        gc.disable()
        began, used = self._loop.time() + 0.1, time.process_time()
        for number, stream in enumerate(self.streams):
            due = began + options.spread * number / options.streams
            stream.due = int(due * 1e9)
            self._loop.call_at(due, stream.send, request)
        lasting = options.spread + options.deltas * options.interval / 1000
        with contextlib.suppress(TimeoutError):  # ends that are missing then count as lost frames
            await asyncio.wait_for(self._all_ended.wait(), lasting + _PATIENCE)
        share = (time.process_time() - used) / (self._loop.time() - began)
        for stream in self.streams:
            stream.transport.abort()
        return share


class Seen:
    """What one run comes to."""

    def __init__(self, deltas: int, interval_ms: int) -> None:
        self._deltas = deltas
        self._interval = interval_ms * 1000
        self.first: list[float] = []
        self.transit: list[float] = []
        self.send_late: list[float] = []
        self.upstream_late: list[float] = []
        self.lost = self.disordered = self.altered = self.refused = self.unended = 0

    def add(self, stream: Stream) -> None:
        """Check one stream's bytes, and take its times (microseconds)."""
        raw = b"".join(data for _, data in stream.pieces)
        head, _, body = raw.partition(b"\r\n\r\n")
        self.send_late.append((stream.sent - stream.due) / 1000)
        if not head.startswith(b"HTTP/1.1 200"):
            self.refused += 1
            self.lost += self._deltas
            return
        payload, places = _dechunked(body)
        ends = list(itertools.accumulate(len(data) for _, data in stream.pieces))
        offset = len(head) + 4
        position, last, seen, began = 0, -1, set[int](), 0
        while (end := payload.find(b"\n\n", position)) >= 0:
            event = payload[position : end + 2]
            position = end + 2
            found = NUMBERED.search(event)
            if found is None:
                continue
            number, written = int(found[1]), int(found[2])
            arrived = stream.pieces[bisect.bisect_left(ends, offset + _raw_end(places, end + 2))][0] / 1000
            self.altered += event != delta(number, written * 1000)
            self.disordered += number != last + 1
            last = number
            seen.add(number)
            if number == 0:
                began = written
                self.first.append(arrived - stream.sent / 1000)
            self.transit.append(arrived - written)
            self.upstream_late.append(written - began - number * self._interval)
        self.lost += self._deltas - len(seen)
        self.unended += not payload.endswith(DONE)

    def summary(self, share: float) -> dict[str, Any]:
        """Return the figures; times in microseconds."""
        return {
            "first": self.first,
            "lost": self.lost,
            "disordered": self.disordered,
            "altered": self.altered,
            "refused": self.refused,
            "unended": self.unended,
            "transit_p50": median(self.transit),
            "transit_p99": quantile(self.transit, 0.99),
            "send_late_p99": quantile(self.send_late, 0.99),
            "upstream_late_p99": quantile(self.upstream_late, 0.99),
            "processor": share,
        }


def _dechunked(body: bytes) -> tuple[bytes, list[tuple[int, int]]]:
    """Return the data of a chunked body, and where each chunk of it begins: (in the data, in the body)."""
    parts: list[bytes] = []
    places: list[tuple[int, int]] = []
    at = length = 0
    while (end := body.find(b"\r\n", at)) >= 0:
        size = int(body[at:end], 16)
        if not size:
            break
        places.append((length, end + 2))
        parts.append(body[end + 2 : end + 2 + size])
        length += len(parts[-1])
        at = end + 2 + size + 2
    return b"".join(parts), places


def _raw_end(places: list[tuple[int, int]], end: int) -> int:
    start, raw = places[bisect.bisect_right(places, (end - 1, 1 << 62)) - 1]
    return raw + end - start


def _request(options: argparse.Namespace) -> bytes:
    text = "Explain in a few sentences why the sky is blue. " * 8
    message = {"role": "user", "content": text}
    body = json.dumps({"model": options.model, "messages": [message], "stream": True}).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/json\r\nAccept: text/event-stream\r\nContent-Length: %d\r\n\r\n%b"
    ) % (options.port, os.environ.get("BENCH_CLIENT_KEY", "none").encode(), len(body), body)


async def _main(options: argparse.Namespace) -> None:
    load = Load(options)
    share = await load.run()
    seen = Seen(options.deltas, options.interval)
    for stream in load.streams:
        seen.add(stream)
    print(json.dumps(seen.summary(share)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--streams", type=int, default=512)
    parser.add_argument("--deltas", type=int, default=64)
    parser.add_argument("--interval", type=int, default=20)
    parser.add_argument("--spread", type=float, default=1.0)
    parser.add_argument("--model", default="bench")
    uvloop.run(_main(parser.parse_args()))
