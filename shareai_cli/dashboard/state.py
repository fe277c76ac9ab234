"""What is known of a gateway from its events; knows nothing of terminals."""

from __future__ import annotations

from collections import deque
from enum import StrEnum

from shareai_cli.live import (
    MOST_MINUTES,
    MOST_NEWS,
    MOST_RECENT,
    Event,
    LiveNode,
    LiveRoute,
    Minute,
    News,
    Rates,
    Settled,
    Today,
)
from shareai_cli.types import LimitUse

MINUTE_MS = 60_000


class Connection(StrEnum):
    """How things stand between the screens and the gateway."""

    SEEKING = "seeking"
    LIVE = "live"
    LOST = "lost"
    """There was one; what is shown is what it told last."""
    ABSENT = "absent"
    """None runs; what is shown is what the accounts hold."""
    REFUSED = "refused"
    """It does not accept the token."""


class LiveState:
    """Takes in events one after the other."""

    def __init__(self) -> None:
        self.clear()
        self.events = 0
        """How many were taken in: who has seen this many has seen it all."""

    def clear(self) -> None:
        """Forget everything."""
        self.requests = 0
        self.in_flight = 0
        self.recent: deque[Settled] = deque(maxlen=MOST_RECENT)
        self.passed = 0
        """Requests that `recent` was ever told of, and those that it was not told of."""
        self.minutes: dict[int, Minute] = {}
        self.rates = Rates()
        self.routes: tuple[LiveRoute, ...] = ()
        self.nodes: tuple[LiveNode, ...] = ()
        self.news: deque[News] = deque(maxlen=MOST_NEWS)
        self.today: Today | None = None
        self.limits: tuple[LimitUse, ...] = ()

    def __repr__(self) -> str:
        return f"<LiveState [events: {self.events}, requests: {self.requests}]>"

    def apply(self, event: Event) -> None:
        """Take in an event."""
        if event.is_whole:
            self.clear()
        self.events += 1
        self.requests, self.in_flight = event.requests, event.in_flight
        self.recent.extend(event.settled)
        self.passed += len(event.settled) + event.missed
        self.news.extend(event.news)
        for minute in event.minutes:
            self.minutes[minute.start_ms] = minute
        while len(self.minutes) > MOST_MINUTES:
            del self.minutes[min(self.minutes)]
        self.rates = event.rates if event.rates is not None else self.rates
        self.routes = event.routes if event.routes is not None else self.routes
        self.nodes = event.nodes if event.nodes is not None else self.nodes
        self.today = event.today if event.today is not None else self.today
        self.limits = event.limits if event.limits is not None else self.limits

    def hour(self, now_ms: int) -> list[Minute]:
        """Return the sixty minutes up to now, those in which nothing ended among them."""
        last = now_ms - now_ms % MINUTE_MS
        starts = range(last - (MOST_MINUTES - 1) * MINUTE_MS, last + 1, MINUTE_MS)
        return [self.minutes.get(start) or Minute(start) for start in starts]

    def first_tokens(self) -> tuple[int | None, int | None]:
        """Return within which time half, and nineteen in twenty, of the first tokens came lately."""
        for start in sorted(self.minutes, reverse=True):
            minute = self.minutes[start]
            if minute.first_p50_us is not None:
                return minute.first_p50_us, minute.first_p95_us
        return None, None

    def budgets(self) -> list[LimitUse]:
        """Return the budgets, the one that is used up the most first."""
        found = [one for one in self.limits if "budget" in one.limit]
        return sorted(found, key=lambda one: one.used / max(one.most, 1), reverse=True)
