"""What happens in the gateway, as an event stream for those who watch: at most ten events a second each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

import msgspec

from shareai_cli.ledger import Closed, public_id

INTERVAL = 0.1
"""Seconds between two events."""

SILENCE = 15.0
"""Seconds after which an event goes out although nothing happened."""

WAITING = 200
"""Requests that one event tells of; the others are only counted."""

Counters = Callable[[], dict[str, int]]


class Feed:
    """Hands every settled request to those who watch; who does not keep up loses the oldest."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._watchers: set[_Watcher] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Feed [{len(self._watchers)} watching]>"

    def add(self, entry: Closed) -> None:
        """Take in a settled request."""
        for watcher in self._watchers:
            watcher.add(entry)

    def close(self) -> None:
        """End every stream."""
        self._closed = True
        for watcher in self._watchers:
            watcher.news.set()

    async def events(self) -> AsyncIterator[bytes]:
        """Yield events until the gateway ends: counters, and the requests settled since the last event."""
        watcher = _Watcher()
        self._watchers.add(watcher)
        try:
            while not self._closed:
                yield self._event(watcher)
                await asyncio.sleep(INTERVAL)
                try:
                    async with asyncio.timeout(SILENCE):
                        await watcher.news.wait()
                except TimeoutError:
                    pass
        finally:
            self._watchers.discard(watcher)

    def _event(self, watcher: _Watcher) -> bytes:
        settled, missed = watcher.take()
        event = {**self._counters(), "settled": [_described(one) for one in settled], "missed": missed}
        return b"data: " + msgspec.json.encode(event) + b"\n\n"


class _Watcher:
    """What one stream has not yet told."""

    __slots__ = ("_count", "_waiting", "news")

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self._waiting: deque[Closed] = deque(maxlen=WAITING)
        self._count = 0

    def add(self, entry: Closed) -> None:
        self._waiting.append(entry)
        self._count += 1
        self.news.set()

    def take(self) -> tuple[list[Closed], int]:
        """Return the requests, and how many there were beyond them."""
        taken, count = list(self._waiting), self._count
        self._waiting.clear()
        self._count = 0
        self.news.clear()
        return taken, count - len(taken)


def _described(entry: Closed) -> dict[str, object]:
    return {
        "id": public_id(entry.request),
        "time_ms": entry.time_ms,
        "route": entry.route,
        "target": entry.target,
        "status": entry.status,
        "outcome": entry.outcome,
        "error": entry.error,
        "streamed": entry.streamed,
        "attempts": [attempt.target for attempt in entry.attempts],
        "first_token_us": entry.first_token_us,
        "total_us": entry.total_us,
    }
