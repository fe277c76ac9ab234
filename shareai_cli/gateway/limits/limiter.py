"""Limits on requests, tokens, concurrency and money: reserved before, settled with what the accounts have.

Everything goes by the time of the request's row. A request is let in or refused as a whole by the limits of
its key, team, organization and route; money and the limits of targets are reserved before each attempt, so
that a kept reply costs no budget. A reservation that is never settled ends after an hour.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Protocol

from shareai_cli.gateway.exchange import Exchange, Handler, Replying
from shareai_cli.gateway.limits.book import NO_GUARD, Book, Guard
from shareai_cli.gateway.limits.meters import BudgetMeter, ConcurrencyMeter, Meter, RateMeter
from shareai_cli.gateway.limits.refusals import refusal_of
from shareai_cli.gateway.limits.reservation import Reservation
from shareai_cli.gateway.limits.truth import Taken, Truth
from shareai_cli.ledger import Closed, Costs, PastUse, UseQuestion
from shareai_cli.types import Limits, LimitUse, Outcome, Subject, Target, WallClock

EXPIRY_MS = 3_600_000
"""How long a reservation lasts whose request is not settled."""
FORGOTTEN_MS = 26 * 3_600_000
"""When nothing remembers a request any more that was never settled: no window is longer."""
SWEEP_MS = 1_000

LATE_MS = 60_000
"""How long a request may have had to wait before it came here; more, and the clock was set back."""

SETTLED_SECONDS = 5.0
"""How long to wait for the accounts to have what has ended."""

Warned = Callable[[LimitUse], None]
"""Told once in a period of a soft budget that is used up, also at a start that finds one so."""


class Past(Protocol):
    """The accounts, as far as limits need them."""

    @property
    def costs(self) -> Costs:
        """By which the rows' costs are worked out."""

    def past_use(self, questions: Collection[UseQuestion], ended: Callable[[], Collection[int]]) -> PastUse:
        """Look up what was used; raises `LedgerUnavailable`."""

    async def settled(self) -> None:
        """Return when everything that has ended is in there."""


class Limiter:
    """All limits, what they have counted, and what requests under way hold of them."""

    def __init__(
        self, past: Past, *, warned: Warned | None = None, wall_clock: WallClock = time.time
    ) -> None:
        self._past = past
        self._warned = warned or (lambda use: None)
        self._wall_clock = wall_clock
        self._book = Book()
        self._truth = Truth(past.costs)
        self._under_way: dict[int, Reservation] = {}
        self._expired: dict[int, Reservation] = {}
        """Reservations that have ended, and whose requests have not."""
        self._newest = 0
        """The latest time at which a request came here."""
        self._swept_ms = 0
        self._followers: list[list[Closed]] = []
        """Those who look back are told what ends meanwhile."""

    def __repr__(self) -> str:
        return f"<Limiter {self._book!r}, under way: {len(self._under_way)}>"

    @property
    def is_on(self) -> bool:
        """Whether anything is limited."""
        return any(True for _ in self._book)

    @property
    def limits_attempts(self) -> bool:
        """Whether it has to be asked before each attempt."""
        return self._book.limits_targets

    # -- which limits there are

    def begin(self, limits: Mapping[Subject, Limits]) -> None:
        """Go by these limits before any request comes, with what the accounts say; it may wait for the disk.

        Raises `LedgerUnavailable`.
        """
        fresh = self._book.take_up(limits)
        if fresh:
            self._prepare(fresh)
            questions = self._questions(fresh)
            self._take_in(questions, self._past.past_use(questions.values(), tuple))
        self._enforce(fresh)

    def take_up(self, limits: Mapping[Subject, Limits]) -> list[Meter]:
        """Go by changed limits. The new ones are returned: they count, and hold after `look_back`."""
        fresh = self._book.take_up(limits)
        if not self.is_on:
            self._under_way, self._expired = {}, {}
        return fresh

    async def look_back(self, fresh: Sequence[Meter]) -> None:
        """Have new limits hold, once it is known what was used before; to be called right after `take_up`.

        Raises `LedgerUnavailable`; then they hold all the same, and what came before is not in them.
        """
        if not fresh:
            return
        ended: list[Closed] = []
        self._followers.append(ended)
        try:
            await asyncio.to_thread(self._prepare, fresh)
            with contextlib.suppress(TimeoutError):  # a disk that takes nothing is no reason to wait on
                await asyncio.wait_for(self._past.settled(), SETTLED_SECONDS)
            questions = self._questions(fresh)
            past = await asyncio.to_thread(
                self._past.past_use, questions.values(), lambda: [one.request for one in list(ended)]
            )
            self._take_in(questions, past)
            for entry in ended:
                if entry.request in past.counted and entry.outcome is not Outcome.REFUSED:
                    self._take_back(entry, fresh)
        finally:
            self._followers.remove(ended)
            self._enforce(fresh)

    def forget_callers(self) -> None:
        """Look anew for what limits each caller: keys have changed."""
        self._book.forget_callers()

    def use(self) -> list[LimitUse]:
        """Tell how much of each limit is used now."""
        now_ms = self._now(int(self._wall_clock() * 1000))
        self._sweep(now_ms)
        return [meter.use(now_ms) for meter in self._book]

    def _questions(self, fresh: Iterable[Meter]) -> dict[Meter, UseQuestion]:
        now_ms = self._now(int(self._wall_clock() * 1000))
        return {one: one.question(now_ms) for one in fresh if not isinstance(one, ConcurrencyMeter)}

    def _enforce(self, fresh: Iterable[Meter]) -> None:
        for meter in fresh:
            meter.enforce()
            if isinstance(meter, BudgetMeter):
                self._warn(meter, self._newest)

    def _prepare(self, fresh: Iterable[Meter]) -> None:
        """Load the prices where something counts by the accounts' costs: later, it would hold up requests."""
        if any(isinstance(one, BudgetMeter) or _counts_tokens(one) for one in fresh):
            self._past.costs.prepare()

    def _take_in(self, questions: Mapping[Meter, UseQuestion], past: PastUse) -> None:
        """Count what the accounts say."""
        self._truth.know(past.targets)
        for meter, question in questions.items():
            if not isinstance(meter, ConcurrencyMeter):
                meter.take_in(past.sums.get(question, ()), self._newest)

    # -- the stage

    def stage(self, inner: Handler) -> Handler:
        """Stage: let in what no limit forbids; raises `LimitReached`."""
        admit = self._admit

        def handle(exchange: Exchange) -> Replying:
            admit(exchange)
            return inner(exchange)

        return handle

    def _now(self, time_ms: int) -> int:
        """Return the time at which something counts that came then: the latest one that was seen.

        A clock that was set back is followed.
        """
        if time_ms > self._newest:
            self._newest = time_ms
        elif self._newest - time_ms > LATE_MS:
            self._follow_back(time_ms)
        return self._newest

    def _follow_back(self, now_ms: int) -> None:
        """Have everything that seems to be to come count as of now, to be given back there."""
        reservations = (*self._under_way.values(), *self._expired.values())
        for held in reservations:
            held.count(-1)
        self._newest = now_ms
        for meter in self._book:
            if isinstance(meter, RateMeter):
                meter.room(now_ms)
        for held in reservations:
            held.come_by(now_ms)
            held.count(1)

    def _admit(self, exchange: Exchange) -> None:
        time_ms = exchange.time_ms
        if time_ms < self._newest:
            # It had to wait on its way: it counts as of now, here and in the accounts: time only grows.
            exchange.time_ms = time_ms = self._now(time_ms)
        self._newest = time_ms
        if not 0 <= time_ms - self._swept_ms < SWEEP_MS:
            self._sweep(time_ms)
        caller = exchange.caller
        guard = self._book.of_caller(caller, exchange.model) if caller is not None else NO_GUARD
        if guard is NO_GUARD:
            return
        held = Reservation(guard, time_ms)
        tokens = held.ask(exchange).tokens(guard.least_tokens) if guard.tokens else 0
        if not guard.has_room(time_ms, tokens):
            raise refusal_of(guard, time_ms, tokens)
        if guard.route:
            exchange.route = guard.route
        self._under_way[exchange.identity] = held
        held.take(tokens)

    # -- what attempts ask

    @property
    def newest_ms(self) -> int:
        """When the latest request came: attempts count as of then, however old their own request is."""
        return self._newest

    def held_by(self, exchange: Exchange) -> Reservation | None:
        """Return what a request holds; None where it was let in before there were limits, or has none."""
        number = exchange.identity
        return self._under_way.get(number) or (self._expired.get(number) if self._expired else None)

    def guard_of(self, exchange: Exchange, held: Reservation | None) -> Guard:
        """Return what limits a request now, whatever it was let in by."""
        if held is not None and not held.guard.is_stale:
            return held.guard
        caller = exchange.caller
        return self._book.of_caller(caller, exchange.model) if caller is not None else NO_GUARD

    def guard_of_target(self, target: Target) -> Guard:
        """Return what limits a target."""
        return self._book.of_target(target)

    def hold(self, exchange: Exchange) -> Reservation:
        """Return what a request holds from now on that held nothing."""
        held = self._under_way[exchange.identity] = Reservation(NO_GUARD, exchange.time_ms)
        return held

    # -- the end

    def settle(self, entry: Closed) -> None:
        """Put what a request took in the place of what was held for it; a refused one has not come."""
        held = self._under_way.pop(entry.request, None)
        if held is None and self._expired:
            held = self._expired.pop(entry.request, None)
        is_refused = entry.outcome is Outcome.REFUSED
        is_counted = False
        if held is not None:
            held.release()
            is_counted = not (is_refused or held.guard.is_stale)
            if not is_counted:
                held.uncount()
        elif not self._newest:
            self._newest = entry.time_ms
        for ended in self._followers:
            ended.append(entry)
        if is_refused:
            return
        if held is not None and is_counted:
            self._count(entry, held.guard)
        else:
            guard = self._book.of_row(entry)
            self._count_request(entry, guard)
            self._count(entry, guard)

    def _count_request(self, entry: Closed, guard: Guard) -> None:
        time_ms = min(entry.time_ms, self._newest)
        for rate in guard.requests:
            rate.settled.add(time_ms, 1)

    def _count(self, entry: Closed, guard: Guard) -> None:
        """Count what a request took, the request itself only at its target."""
        target = self._book.asked_in(entry)
        if target is not NO_GUARD:
            self._count_request(entry, target)
        if guard.counts_costs or target.counts_costs:
            taken = self._truth.of(entry)
            self._count_costs(entry, guard, taken)
            if target is not NO_GUARD:
                self._count_costs(entry, target, taken)

    def _count_costs(self, entry: Closed, guard: Guard, taken: Taken) -> None:
        time_ms = entry.time_ms
        for rate in guard.tokens:
            rate.settled.add(time_ms if time_ms < self._newest else self._newest, taken.tokens)
        for budget in guard.budgets:
            budget.at(time_ms).spent += taken.nano
            if budget.limit.soft:
                self._warn(budget, time_ms)

    def _take_back(self, entry: Closed, fresh: Collection[Meter]) -> None:
        """Count a request no longer that is in what the accounts said too."""
        taken = self._truth.of(entry)
        for meter in (*self._book.of_row(entry), *self._book.asked_in(entry)):
            if meter in fresh:
                meter.take_back(entry.time_ms, taken)

    def _warn(self, budget: BudgetMeter, time_ms: int) -> None:
        if budget.has_to_warn(time_ms):
            self._warned(budget.use(time_ms))

    def _sweep(self, now_ms: int) -> None:
        """Give back what is held too long; requests' own counts stay until they have left every window."""
        self._swept_ms = now_ms
        for number, held in _older(self._under_way, now_ms - EXPIRY_MS):
            del self._under_way[number]
            held.release()
            self._expired[number] = held
        for number, held in _older(self._expired, now_ms - FORGOTTEN_MS):
            del self._expired[number]
            held.release()


def _older(held: Mapping[int, Reservation], time_ms: int) -> list[tuple[int, Reservation]]:
    """Return the first ones, which are the oldest, up to a time."""
    return list(takewhile(lambda item: item[1].time_ms <= time_ms, held.items()))


def _counts_tokens(meter: Meter) -> bool:
    return isinstance(meter, RateMeter) and meter.limit.measure == "tokens"
