"""What a request holds of its limits until it is settled."""

from __future__ import annotations

from shareai_cli.gateway.limits.book import Guard
from shareai_cli.gateway.limits.estimates import Ask
from shareai_cli.gateway.limits.meters import Spending


class Visit:
    """What is held for a target that is being asked: what limits it, and the money of every budget."""

    __slots__ = ("guard", "money", "target", "time_ms", "tokens")

    def __init__(self, target: str, guard: Guard, time_ms: int, tokens: int) -> None:
        self.target = target
        self.guard = guard
        self.time_ms = time_ms
        self.tokens = tokens
        self.money: list[tuple[Spending, int]] = []


class Reservation:
    """All that one request holds."""

    __slots__ = ("_concurrency", "_tokens", "answer_limited", "ask", "guard", "money", "time_ms", "visits")

    def __init__(self, guard: Guard, time_ms: int, tokens: int) -> None:
        self.guard = guard
        self.time_ms = time_ms
        self._tokens = tokens
        self._concurrency = guard.concurrency
        self.visits: list[Visit] = []
        self.money: list[tuple[Spending, int]] = []
        """Of attempts that broke: they may have cost something."""
        self.ask: Ask | None = None
        """The most that it asks for, once somebody wanted to know."""
        self.answer_limited = False
        """Whether the length of its answer was set here."""

    def take(self) -> None:
        """Take what the caller's limits count."""
        guard, time_ms = self.guard, self.time_ms
        for rate in guard.requests:
            rate.settled.add(time_ms, 1)
        for one in self._concurrency:
            one.count += 1
        for rate in guard.tokens:
            rate.reserved.add(time_ms, self._tokens)

    def visit(self, target: str, guard: Guard, time_ms: int, tokens: int) -> Visit:
        """Take what a target's limits count."""
        visit = Visit(target, guard, time_ms, tokens)
        self.visits.append(visit)
        for rate in guard.requests:
            rate.settled.add(time_ms, 1)
        for rate in guard.tokens:
            rate.reserved.add(time_ms, tokens)
        for one in guard.concurrency:
            one.count += 1
        return visit

    def leave(self, visit: Visit, *, keep_money: bool) -> None:
        """Give back what was held for a target; the money is kept where the attempt may have cost it."""
        self.visits.remove(visit)
        _give_back(visit)
        if keep_money:
            self.money += visit.money
        else:
            _release(visit.money)

    def release(self) -> None:
        """Give back everything but the request's own count, as it came; twice does no harm."""
        for one in self._concurrency:
            one.count -= 1
        for rate in self.guard.tokens:
            rate.reserved.add(self.time_ms, -self._tokens)
        self._concurrency, self._tokens = (), 0
        for visit in self.visits:
            _give_back(visit)
            _release(visit.money)
        _release(self.money)
        self.visits, self.money = [], []

    def uncount(self) -> None:
        """Give back the request's own count."""
        for rate in self.guard.requests:
            rate.settled.add(self.time_ms, -1)


def _give_back(visit: Visit) -> None:
    for rate in visit.guard.requests:
        rate.settled.add(visit.time_ms, -1)
    for rate in visit.guard.tokens:
        rate.reserved.add(visit.time_ms, -visit.tokens)
    for one in visit.guard.concurrency:
        one.count -= 1


def _release(money: list[tuple[Spending, int]]) -> None:
    for spending, nano in money:
        spending.reserved -= nano
