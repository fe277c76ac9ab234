"""What happens in the gateway, as an event stream for those who watch: at most ten events a second each.

One task works out what is new, off the path of requests, and encodes it once for all who watch.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from shareai_cli.gateway.activity import Activity, Folded, Visits, tokens_of
from shareai_cli.ledger import Closed, public_id
from shareai_cli.live import MOST_NEWS, Event, LiveNode, LiveRoute, News, Rates, Settled, Today
from shareai_cli.types import LimitUse, WallClock

INTERVAL = 0.1
"""Seconds between two events."""

UNWATCHED_INTERVAL = 0.5
"""Seconds between two looks at what has happened, while nobody watches."""

SCENE_SECONDS = 1.0
"""Between two looks at how targets stand."""

TODAY_SECONDS = 5.0
"""Between two looks into the accounts."""

NODES_SECONDS = 2.0
"""Between two looks at the machines that serve models."""

SILENCE = 15.0
"""Seconds after which an event goes out although nothing happened."""

MOST_EVENTS = 20
"""Events that wait for a stream that does not keep up, before it is told everything anew."""


class Scene(Struct, frozen=True):
    """How things stand at a moment."""

    routes: tuple[LiveRoute, ...] = ()
    limits: tuple[LimitUse, ...] = ()


class Sources(Protocol):
    """What the feed asks of the gateway."""

    def counters(self) -> tuple[int, int]:
        """Return the requests since the start, and those under way."""

    def key_name(self, key: int) -> str:
        """Return the name of a client's key."""

    def scene(self, visits: Callable[[], Mapping[tuple[str, str], Visits]]) -> Scene:
        """Tell how targets and limits stand; `visits` returns what came of attempts lately."""

    def changes(self) -> Sequence[str]:
        """Return what has become of targets since the last call, in words."""

    async def nodes(self) -> tuple[LiveNode, ...]:
        """Ask how the machines are that serve models."""

    async def today(self) -> Today:
        """Add up the accounts since midnight."""


class Feed:
    """Tells those who watch what is new."""

    def __init__(self, activity: Activity, sources: Sources, wall_clock: WallClock = time.time) -> None:
        self._activity = activity
        self._sources = sources
        self._wall_clock = wall_clock
        self._watchers: set[_Watcher] = set()
        self._news: deque[News] = deque(maxlen=MOST_NEWS)
        self._untold: list[News] = []
        self._told = Event(0, 0, rates=Rates())
        self._is_closed = False
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<Feed [{len(self._watchers)} watching]>"

    def start(self) -> None:
        """Begin to look at what happens."""
        create = asyncio.get_running_loop().create_task
        self._tasks = [create(self._work()), create(self._add_up()), create(self._look_at_nodes())]

    def note(self, text: str) -> None:
        """Take in something that happened."""
        news = News(self._now_ms(), text)
        self._news.append(news)
        self._untold.append(news)

    def close(self) -> None:
        """End every stream."""
        self._is_closed = True
        for watcher in self._watchers:
            watcher.news.set()

    async def stop(self) -> None:
        """End the feed's own tasks."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def events(self) -> AsyncIterator[bytes]:
        """Yield events until the gateway ends: everything first, and then what is new."""
        watcher = _Watcher()
        self._watchers.add(watcher)
        try:
            while not self._is_closed:
                yield self._whole(watcher) if watcher.is_lost else b"".join(watcher.take())
                try:
                    async with asyncio.timeout(SILENCE):
                        await watcher.news.wait()
                except TimeoutError:
                    watcher.add(_encoded(Event(*self._sources.counters())))
        finally:
            self._watchers.discard(watcher)

    async def _work(self) -> None:
        seen_at = 0.0
        while True:
            await asyncio.sleep(INTERVAL if self._watchers else UNWATCHED_INTERVAL)
            batch = self._activity.fold(self._now_ms())
            now = asyncio.get_running_loop().time()
            is_due = now - seen_at >= SCENE_SECONDS
            if is_due:
                seen_at = now
                for text in self._sources.changes():
                    self.note(text)
            if self._watchers:
                self._tell(batch, is_due)
            self._untold.clear()

    async def _add_up(self) -> None:
        """Look into the accounts while somebody watches."""
        while True:
            if self._watchers:
                today = await self._sources.today()
                if today != self._told.today:
                    self._told = msgspec.structs.replace(self._told, today=today)
                    self._send(Event(*self._sources.counters(), today=today))
            await asyncio.sleep(TODAY_SECONDS if self._told.today else INTERVAL)

    async def _look_at_nodes(self) -> None:
        """Ask the machines while somebody watches."""
        while True:
            if self._watchers:
                nodes = await self._sources.nodes()
                if nodes != self._told.nodes:
                    self._told = msgspec.structs.replace(self._told, nodes=nodes)
                    self._send(Event(*self._sources.counters(), nodes=nodes))
            await asyncio.sleep(NODES_SECONDS if self._told.nodes else INTERVAL)

    def _tell(self, batch: Folded, looks: bool) -> None:
        requests, in_flight = self._sources.counters()
        told, rates, scene = self._told, None, None
        if looks:
            rates = self._activity.rates()
            scene = self._scene()
        event = Event(
            requests,
            in_flight,
            settled=self._described(batch.newest),
            missed=batch.count - len(batch.newest),
            rates=rates if rates != told.rates else None,
            minutes=self._activity.minutes(2) if batch.count else (),
            routes=scene.routes if scene is not None and scene.routes != told.routes else None,
            limits=scene.limits if scene is not None and scene.limits != told.limits else None,
            news=tuple(self._untold),
        )
        if event == Event(told.requests, told.in_flight):
            return
        self._told = Event(
            requests,
            in_flight,
            rates=rates or told.rates,
            routes=scene.routes if scene is not None else told.routes,
            limits=scene.limits if scene is not None else told.limits,
            nodes=told.nodes,
            today=told.today,
        )
        self._send(event)

    def _send(self, event: Event) -> None:
        encoded = _encoded(event)
        for watcher in self._watchers:
            watcher.add(encoded)

    def _scene(self) -> Scene:
        return self._sources.scene(lambda: self._activity.visits(self._now_ms()))

    def _whole(self, watcher: _Watcher) -> bytes:
        """Encode everything, from which on a watcher is told what is new."""
        self._tell(Folded((), 0), looks=True)  # to the others: what is in here is not told again
        self._untold.clear()
        watcher.begin()
        activity, told = self._activity, self._told
        return _encoded(
            Event(
                *self._sources.counters(),
                settled=self._described(activity.recent),
                is_whole=True,
                rates=told.rates,
                minutes=activity.minutes(),
                routes=told.routes,
                nodes=told.nodes,
                news=tuple(self._news),
                today=told.today,
                limits=told.limits,
            )
        )

    def _described(self, entries: Sequence[Closed] | deque[Closed]) -> tuple[Settled, ...]:
        return tuple(_described(entry, self._sources.key_name(entry.caller_key)) for entry in entries)

    def _now_ms(self) -> int:
        return int(self._wall_clock() * 1000)


class _Watcher:
    """What one stream has not yet told."""

    __slots__ = ("_waiting", "is_lost", "news")

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self._waiting: list[bytes] = []
        self.is_lost = True
        """Whether the stream has to be told everything."""

    def add(self, event: bytes) -> None:
        """Take in an event; where too many wait, none of them."""
        if len(self._waiting) >= MOST_EVENTS:
            self.is_lost = True
            self._waiting.clear()
        if not self.is_lost:
            self._waiting.append(event)
        self.news.set()

    def begin(self) -> None:
        """Take in what is new from now on."""
        self.is_lost = False
        self.take()

    def take(self) -> list[bytes]:
        """Return the events that wait."""
        taken, self._waiting = self._waiting, []
        self.news.clear()
        return taken


def _encoded(event: Event) -> bytes:
    return b"data: " + msgspec.json.encode(event) + b"\n\n"


def _described(entry: Closed, key: str) -> Settled:
    return Settled(
        public_id(entry.request),
        entry.time_ms,
        key,
        entry.route,
        entry.target,
        entry.status,
        entry.outcome,
        entry.error,
        entry.streamed,
        tuple(attempt.target for attempt in entry.attempts),
        tokens_of(entry),
        entry.first_token_us,
        entry.total_us,
    )
