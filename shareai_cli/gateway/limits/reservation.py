"""What a request holds of its limits until it is settled."""

from __future__ import annotations

from collections.abc import Sequence

from shareai_cli.gateway.exchange import Exchange
from shareai_cli.gateway.limits.book import NO_GUARD, Guard
from shareai_cli.gateway.limits.estimates import Ask, ask_of
from shareai_cli.gateway.limits.meters import ConcurrencyMeter, Spending


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

    __slots__ = ("_ask", "_concurrency", "_tokens", "answer_limited", "guard", "money", "time_ms", "visits")

    def __init__(self, guard: Guard, time_ms: int) -> None:
        self.guard = guard
        self.time_ms = time_ms
        self._tokens = 0
        self._concurrency: Sequence[ConcurrencyMeter] = ()
        self._ask: Ask | None = None
        self.visits: list[Visit] = []
        self.money: list[tuple[Spending, int]] = []
        """Of attempts that broke: they may have cost something."""
        self.answer_limited = False
        """Whether the length of its answer was set here."""

    @property
    def is_current(self) -> bool:
        """Whether what let it in is what limits it now."""
        return self.guard is not NO_GUARD and not self.guard.is_stale

    def ask(self, exchange: Exchange) -> Ask:
        """Return what the request asks for, worked out once."""
        if self._ask is None:
            self._ask = ask_of(exchange.fields, exchange.request.body)
        return self._ask

    def take(self, tokens: int) -> None:
        """Take what the caller's limits count."""
        guard, time_ms = self.guard, self.time_ms
        self._tokens, self._concurrency = tokens, guard.concurrency
        for rate in guard.requests:
            rate.settled.add(time_ms, 1)
        for one in guard.concurrency:
            one.count += 1
        for rate in guard.tokens:
            rate.reserved.add(time_ms, tokens)

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
        if self.visits:
            for visit in self.visits:
                _give_back(visit)
                _release(visit.money)
            self.visits = []
        if self.money:
            _release(self.money)
            self.money = []

    def uncount(self) -> None:
        """Give back the request's own count."""
        for rate in self.guard.requests:
            rate.settled.add(self.time_ms, -1)


def _give_back(visit: Visit) -> None:
    guard = visit.guard
    if guard is NO_GUARD:
        return
    for rate in guard.requests:
        rate.settled.add(visit.time_ms, -1)
    for rate in guard.tokens:
        rate.reserved.add(visit.time_ms, -visit.tokens)
    for one in guard.concurrency:
        one.count -= 1


def _release(money: list[tuple[Spending, int]]) -> None:
    for spending, nano in money:
        spending.reserved -= nano
