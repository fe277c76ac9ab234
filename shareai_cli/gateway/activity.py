"""What the gateway did lately: its newest requests, and how much of what within each of the last minutes.

The path of a request appends its entry to a queue; everything else is worked out some at a time. Few are let
wait: memory that comes back soon is still in the processor's cache, and thousands of entries that wait would
cost each request a tenth of its time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from shareai_cli.ledger import Closed
from shareai_cli.live import MOST_MINUTES, MOST_RECENT, Minute, Rates
from shareai_cli.types import Clock, Outcome, WallClock

MINUTE_MS: Final = 60_000

RATE_SECONDS: Final = 10.0
"""Over how long rates are taken."""

MOST_PLACES: Final = 1_000
"""Targets of routes of which a minute keeps count: clients choose some of their names."""

CHUNK: Final = 256
"""Entries that wait before they are worked out."""

MOST_TOLD: Final = 50
"""The newest that one `fold` tells of."""

_ERRORS: Final = frozenset({Outcome.FAILED, Outcome.INCOMPLETE})

Place = tuple[str, str]
"""A route, and one of its targets."""


class TimeCounts:
    """Durations, counted by their size: each is known to an eighth of its own."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def add(self, microseconds: int) -> None:
        """Count a duration in."""
        bits = microseconds.bit_length()
        size = bits << 3 | (microseconds >> (bits - 4) & 7 if bits > 3 else microseconds)
        self._counts[size] = self._counts.get(size, 0) + 1

    def add_all(self, other: TimeCounts) -> None:
        """Count in all that another one has counted."""
        for size, count in other._counts.items():
            self._counts[size] = self._counts.get(size, 0) + count

    def quantile(self, share: float) -> int | None:
        """Return a duration within which that share of them lay, microseconds; None where there are none."""
        left = share * sum(self._counts.values())
        for size in sorted(self._counts):
            left -= self._counts[size]
            if left <= 0:
                return _middle(size)
        return None


class Visits:
    """What came of the attempts at one target of a route."""

    __slots__ = ("asked", "failed", "times")

    def __init__(self) -> None:
        self.asked = 0
        self.failed = 0
        self.times = TimeCounts()

    def add_all(self, other: Visits) -> None:
        """Count in all that another one has counted."""
        self.asked += other.asked
        self.failed += other.failed
        self.times.add_all(other.times)


class _Counts:
    """What ended within one minute."""

    __slots__ = ("errors", "firsts", "requests", "start_ms", "tokens", "visits")

    def __init__(self, start_ms: int) -> None:
        self.start_ms = start_ms
        self.requests = 0
        self.errors = 0
        self.tokens = 0
        self.firsts = TimeCounts()
        self.visits: dict[Place, Visits] = {}

    def add(self, entry: Closed) -> None:
        self.requests += 1
        if entry.outcome in _ERRORS:
            self.errors += 1
        self.tokens += tokens_of(entry)
        if entry.first_token_us:
            self.firsts.add(entry.first_token_us)
        for attempt in entry.attempts:
            visits = self._visits(entry.route, attempt.target)
            visits.asked += 1
            if attempt.outcome == "ok":
                visits.times.add(entry.first_token_us or attempt.duration_us)
            else:
                visits.failed += 1

    def _visits(self, route: str, target: str) -> Visits:
        visits = self.visits.get((route, target))
        if visits is None:
            place = (route, target) if len(self.visits) < MOST_PLACES else ("", "")
            visits = self.visits.setdefault(place, Visits())
        return visits

    def minute(self) -> Minute:
        firsts = self.firsts
        return Minute(
            self.start_ms,
            self.requests,
            self.errors,
            self.tokens,
            firsts.quantile(0.5),
            firsts.quantile(0.95),
        )


class Folded(Struct, frozen=True):
    """What has ended since the last `fold`."""

    newest: Sequence[Closed]
    """The newest last."""
    count: int
    """How many that were in all."""


class Activity:
    """Takes in every settled exchange; minutes are those of the wall clock at the `fold` before."""

    def __init__(self, clock: Clock, wall_clock: WallClock = time.time) -> None:
        self._clock = clock
        self._now_ms = int(wall_clock() * 1000)
        self._waiting: list[Closed] = []
        self._untold: deque[Closed] = deque(maxlen=MOST_TOLD)
        self._uncounted = 0
        self.recent: deque[Closed] = deque(maxlen=MOST_RECENT)
        """The newest requests, the newest last."""
        self._minutes: deque[_Counts] = deque(maxlen=MOST_MINUTES)
        self._requests = self._errors = self._tokens = 0
        self._totals: deque[tuple[float, int, int, int]] = deque([(clock(), 0, 0, 0)])
        """Requests, errors and tokens in all, as of some moments within the last `RATE_SECONDS`."""

    def __repr__(self) -> str:
        return f"<Activity [recent: {len(self.recent)}, minutes: {len(self._minutes)}]>"

    def add(self, entry: Closed) -> None:
        """Take in an exchange."""
        self._waiting.append(entry)
        if len(self._waiting) >= CHUNK:
            self._work_out()

    def fold(self, now_ms: int) -> Folded:
        """Work out what the exchanges since the last call come to, and tell of them."""
        self._now_ms = now_ms
        self._work_out()
        folded = Folded(tuple(self._untold), self._uncounted)
        self._untold.clear()
        self._uncounted = 0
        self._totals.append((self._clock(), self._requests, self._errors, self._tokens))
        while self._totals[-1][0] - self._totals[1][0] >= RATE_SECONDS:
            self._totals.popleft()
        return folded

    def _work_out(self) -> None:
        batch, self._waiting = self._waiting, []
        if not batch:
            return
        counts = self._counts(self._now_ms)
        errors, tokens = counts.errors, counts.tokens
        for entry in batch:
            counts.add(entry)
        self.recent.extend(batch)
        self._untold.extend(batch)
        self._uncounted += len(batch)
        self._requests += len(batch)
        self._errors += counts.errors - errors
        self._tokens += counts.tokens - tokens

    def rates(self) -> Rates:
        """Return how much ended in a second, over the last ones."""
        then, *before = self._totals[0]
        now, *after = self._totals[-1]
        seconds = max(now - then, 1.0)
        return Rates(*(round((b - a) / seconds, 2) for a, b in zip(before, after, strict=True)))

    def minutes(self, most: int = MOST_MINUTES) -> tuple[Minute, ...]:
        """Return the last minutes in which something ended, the newest last."""
        return tuple(one.minute() for one in list(self._minutes)[-most:])

    def visits(self, now_ms: int) -> Mapping[Place, Visits]:
        """Return what came of attempts within the last hour."""
        since = now_ms - MOST_MINUTES * MINUTE_MS
        return _sum(one.visits for one in self._minutes if one.start_ms >= since)

    def _counts(self, now_ms: int) -> _Counts:
        start_ms = now_ms - now_ms % MINUTE_MS
        # A clock that goes back changes nothing: minutes only come after one another.
        if not self._minutes or start_ms > self._minutes[-1].start_ms:
            self._minutes.append(_Counts(start_ms))
        return self._minutes[-1]


def tokens_of(entry: Closed) -> int:
    """Return the tokens that the upstream counted, of all kinds."""
    usage = entry.usage
    if usage is None:
        return 0
    return usage.prompt + usage.cached + usage.cache_write + usage.completion + usage.reasoning


def _sum(parts: Iterable[Mapping[Place, Visits]]) -> Mapping[Place, Visits]:
    sums: dict[Place, Visits] = {}
    for part in parts:
        for place, visits in part.items():
            sums.setdefault(place, Visits()).add_all(visits)
    return sums


def _middle(size: int) -> int:
    """Return a duration that counts with this size."""
    bits, eighth = size >> 3, size & 7
    if bits <= 3:
        return eighth
    return ((8 + eighth) << (bits - 4)) + ((1 << (bits - 4)) >> 1)
