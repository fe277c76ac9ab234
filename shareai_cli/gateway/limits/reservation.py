"""What a request holds of its limits until it is settled."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from shareai_cli.gateway.exchange import Exchange
from shareai_cli.gateway.limits.book import NO_GUARD, Guard
from shareai_cli.gateway.limits.estimates import Ask, ask_of
from shareai_cli.gateway.limits.meters import ConcurrencyMeter, Spending
from shareai_cli.types import Target


class Visit(Struct, eq=False):
    """What is held for a target that is being asked: what limits it, and the money of every budget."""

    target: Target
    guard: Guard
    time_ms: int
    tokens: int
    nano: int
    spendings: Sequence[Spending]

    def take(self) -> None:
        """Take it."""
        _count(self, 1)
        for one in self.guard.concurrency:
            one.count += 1
        for spending in self.spendings:
            spending.reserved += self.nano

    def give_back(self) -> None:
        """Give back all but the money."""
        _count(self, -1)
        for one in self.guard.concurrency:
            one.count -= 1

    def release(self) -> None:
        """Give back the money."""
        for spending in self.spendings:
            spending.reserved -= self.nano


class Reservation(Struct, eq=False):
    """All that one request holds."""

    guard: Guard
    time_ms: int
    tokens: int = 0
    concurrency: Sequence[ConcurrencyMeter] = ()
    known: Ask | None = None
    """What it asks for, once somebody wanted to know."""
    visits: Sequence[Visit] = ()
    broken: Sequence[Visit] = ()
    """Attempts that gave no answer, and may have cost something: their money is held."""
    answer_limited: bool = False
    """Whether the length of its answer was set here."""

    def ask(self, exchange: Exchange) -> Ask:
        """Return what the request asks for, worked out once."""
        ask = self.known
        if ask is None:
            ask = self.known = ask_of(exchange.fields, exchange.request.body)
        return ask

    def take(self, tokens: int) -> None:
        """Take what the caller's limits count, right after there was found to be room."""
        guard = self.guard
        self.tokens, self.concurrency = tokens, guard.concurrency
        for rate in guard.requests:
            rate.settled.add_now(1)
        for one in guard.concurrency:
            one.count += 1
        for rate in guard.tokens:
            rate.reserved.add_now(tokens)

    def visit(self, visit: Visit) -> None:
        """Take what a target's limits count, and the money."""
        self.visits = (*self.visits, visit) if self.visits else (visit,)
        visit.take()

    def leave(self, target: Target, *, may_cost: bool) -> None:
        """Give back what was held for a target; the money is kept where the attempt may have cost it."""
        left = [one for one in self.visits if one.target == target]
        self.visits = [one for one in self.visits if one.target != target]
        for visit in left:
            visit.give_back()
            if not may_cost:
                visit.release()
        if may_cost:
            self.broken = (*self.broken, *left)

    def come_by(self, time_ms: int) -> None:
        """Have come then at the latest: the clock was set back."""
        self.time_ms = min(self.time_ms, time_ms)
        for visit in self.visits:
            visit.time_ms = min(visit.time_ms, time_ms)

    def count(self, number: int) -> None:
        """Take what is held of windows once more, or with -1 give it back; what has left them is nothing."""
        _count(self, number)
        for visit in self.visits:
            _count(visit, number)

    def release(self) -> None:
        """Give back everything but the request's own count, as it came; twice does no harm."""
        for one in self.concurrency:
            one.count -= 1
        for rate in self.guard.tokens:
            rate.reserved.add(self.time_ms, -self.tokens)
        self.concurrency, self.tokens = (), 0
        for visit in self.visits:
            if visit.guard is not NO_GUARD:
                visit.give_back()
            visit.release()
        for visit in self.broken:
            visit.release()
        self.visits = self.broken = ()

    def uncount(self) -> None:
        """Give back the request's own count."""
        for rate in self.guard.requests:
            rate.settled.add(self.time_ms, -1)


def _count(one: Visit | Reservation, number: int) -> None:
    guard, time_ms = one.guard, one.time_ms
    for rate in guard.requests:
        rate.settled.add(time_ms, number)
    for rate in guard.tokens:
        rate.reserved.add(time_ms, number * one.tokens)
