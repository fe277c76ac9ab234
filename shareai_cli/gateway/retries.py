"""A bound on retries, so that an outage is not made worse by those who ask again."""

from __future__ import annotations

from collections import deque

from shareai_cli.types import Clock

SHARE = 0.2
LEAST = 10
WINDOW = 10.0
"""Retries stay within this share of the requests of the last seconds, and are never fewer than `LEAST`."""


class RetryBudget:
    """Counts requests and retries second by second over the window."""

    __slots__ = ("_clock", "_requests", "_retries", "_seconds", "_this")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seconds: deque[tuple[int, int, int]] = deque()
        self._this = int(clock())
        self._requests = 0
        self._retries = 0

    def count_request(self) -> None:
        """Count one request that is sent upstream."""
        if int(self._clock()) != self._this:
            self._turn()
        self._requests += 1

    def take(self) -> bool:
        """Take one retry out of the budget; False, and nothing taken, where it is spent."""
        self._turn()
        requests = self._requests + sum(second[1] for second in self._seconds)
        retries = self._retries + sum(second[2] for second in self._seconds)
        if retries >= max(LEAST, int(requests * SHARE)):
            return False
        self._retries += 1
        return True

    def _turn(self) -> None:
        now = int(self._clock())
        if now == self._this:
            return
        self._seconds.append((self._this, self._requests, self._retries))
        self._this, self._requests, self._retries = now, 0, 0
        while self._seconds and self._seconds[0][0] < now - WINDOW:
            self._seconds.popleft()
