"""The event stream of those who watch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec

from shareai_cli.gateway.activity import MOST_TOLD, Activity, Visits
from shareai_cli.gateway.feed import MOST_EVENTS, Feed, Scene
from shareai_cli.live import Event, LiveNode, LiveRoute, LiveTarget, News, Today
from tests.gateway.test_activity import ended


class FakeSources:
    """A gateway as a test says it is."""

    def __init__(self) -> None:
        self.requests = 0
        self.routes: tuple[LiveRoute, ...] = ()
        self.machines: tuple[LiveNode, ...] = ()
        self.told: list[str] = []
        self.looked = 0

    def counters(self) -> tuple[int, int]:
        return self.requests, 0

    def key_name(self, key: int) -> str:
        return f"key {key}"

    def scene(self, visits: Callable[[], Mapping[tuple[str, str], Visits]]) -> Scene:
        self.looked += 1
        return Scene(self.routes)

    def changes(self) -> Sequence[str]:
        told, self.told = self.told, []
        return told

    async def nodes(self) -> tuple[LiveNode, ...]:
        return self.machines

    async def today(self) -> Today:
        return Today(requests=self.requests)


@asynccontextmanager
async def feeding() -> AsyncIterator[tuple[Feed, Activity, FakeSources]]:
    activity, sources = Activity(time.monotonic), FakeSources()
    feed = Feed(activity, sources, lambda: 1_790_000_040.0)
    feed.start()
    try:
        yield feed, activity, sources
    finally:
        feed.close()
        await feed.stop()


async def told(events: AsyncIterator[bytes]) -> list[Event]:
    """Return the events of the next piece of a stream."""
    piece = await asyncio.wait_for(anext(events), 5)
    return [msgspec.json.decode(one[6:], type=Event) for one in piece.split(b"\n\n") if one]


async def until(events: AsyncIterator[bytes], wanted: Callable[[Event], object]) -> Event:
    """Return the next event of which that is true."""
    while True:
        for event in await told(events):
            if wanted(event):
                return event


async def test_the_first_event_is_whole_and_what_follows_is_new() -> None:
    """With requests, minutes, targets and news of before; then only what has changed."""
    async with feeding() as (feed, activity, sources):
        sources.routes = (LiveRoute("chat", "priority", (LiveTarget("p1/m", "serving"),)),)
        activity.add(ended(1))
        activity.fold(1_790_000_040_000)
        feed.note("Something happened.")
        events = feed.events()
        [whole] = await told(events)
        assert whole.is_whole
        assert [one.key for one in whole.settled] == ["key 7"]
        assert whole.minutes[0].requests == 1
        assert whole.routes == sources.routes
        assert whole.news == (News(1_790_000_040_000, "Something happened."),)
        activity.add(ended(2))
        sources.requests = 2
        seen: list[Event] = []
        while not (any(one.settled for one in seen) and any(one.today for one in seen)):
            seen += await told(events)
        assert not any(one.is_whole or one.news for one in seen)
        [new] = [one for one in seen if one.settled]
        assert [one.id[-1] for one in new.settled] == ["2"]
        assert new.minutes[0].requests == 2
        assert [one.today for one in seen if one.today] == [Today(requests=2)]
        # What does not change is told no more.
        end = time.monotonic() + 1.3
        with suppress(TimeoutError):
            while (left := end - time.monotonic()) > 0:
                seen += await asyncio.wait_for(told(events), left)
        assert not any(one.routes for one in seen)


async def test_a_rush_is_counted_and_its_end_told() -> None:
    """An event never holds more than a few requests, whatever comes."""
    async with feeding() as (feed, activity, _):
        events = feed.events()
        await told(events)
        for number in range(400):
            activity.add(ended(number))
        new = await until(events, lambda one: one.settled)
        assert len(new.settled) == MOST_TOLD
        assert new.missed == 400 - MOST_TOLD


async def test_at_most_ten_events_a_second() -> None:
    """However much happens."""
    async with feeding() as (feed, activity, sources):
        events = feed.events()
        await told(events)
        seen, end = 0, time.monotonic() + 1.0
        while time.monotonic() < end:
            sources.requests += 1
            activity.add(ended(sources.requests))
            seen += len(await told(events))
        assert 3 <= seen <= 13  # the accounts have an event of their own


async def test_who_does_not_keep_up_is_told_everything_anew() -> None:
    """And not what it missed, which would fill the memory."""
    async with feeding() as (feed, activity, _):
        events = feed.events()
        await told(events)
        for number in range(MOST_EVENTS + 3):
            feed._send(Event(number, 0))
        activity.add(ended(9))
        activity.fold(1_790_000_040_000)
        [whole] = await told(events)
        assert whole.is_whole
        assert whole.settled[-1].id.endswith("9")


async def test_nobody_is_looked_at_while_nobody_watches() -> None:
    """Targets are only described for those who see it; what happens meanwhile is remembered."""
    async with feeding() as (feed, activity, sources):
        sources.told = ["p1/m was ejected: down"]
        activity.add(ended(1))
        await asyncio.sleep(0.7)
        assert not sources.looked
        assert len(activity.recent) == 1
        [whole] = await told(feed.events())
        assert [one.text for one in whole.news] == ["p1/m was ejected: down"]


async def test_machines_are_told_of_as_they_change() -> None:
    """To those who watch, and to those who come later with all the rest."""
    async with feeding() as (feed, _, sources):
        events = feed.events()
        await told(events)
        sources.machines = (LiveNode("node", "serving"),)
        new = await until(events, lambda one: one.nodes)
        assert new.nodes == sources.machines
        assert new.routes is None
        [whole] = await told(feed.events())
        assert whole.nodes == sources.machines


async def test_a_stream_ends_with_the_gateway() -> None:
    """Without waiting for news."""
    async with feeding() as (feed, _, _):
        events = feed.events()
        await told(events)
        feed.close()
        left = [piece async for piece in events]
        assert len(left) <= 1
