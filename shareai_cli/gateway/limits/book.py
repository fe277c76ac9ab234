"""Which meters a request passes: those of its key, team, organization and route, and of the target asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from shareai_cli.gateway.limits.meters import (
    UNLIMITED,
    BudgetMeter,
    ConcurrencyMeter,
    Meter,
    RateMeter,
)
from shareai_cli.gateway.limits.truth import target_of
from shareai_cli.ledger import Closed
from shareai_cli.types import Budget, Caller, Limits, LimitScope, Outcome, RateLimit, Subject, Target

_Identity = tuple[LimitScope, str | int]
"""What a subject stays, whatever becomes of its limits: a key is its number, as names are given anew."""

_ORDER: Final[Mapping[LimitScope, int]] = {"organization": 0, "team": 1, "key": 2, "route": 3, "target": 4}

_NOT_ASKED: Final = (Outcome.REFUSED, Outcome.HIT, Outcome.JOINED)


class Guard:
    """Meters that are passed together; found once, and kept until the limits change."""

    __slots__ = (
        "_slots",
        "_turned_ms",
        "_turns_ms",
        "budgets",
        "concurrency",
        "counts_costs",
        "hard",
        "is_stale",
        "least_tokens",
        "requests",
        "route",
        "tokens",
    )

    def __init__(self, meters: Iterable[Meter], route: str = "") -> None:
        """`route` is the one that is among those whom they limit."""
        meters = list(meters)
        self.route = route
        self.is_stale = not meters
        """Whether something else limits these requests by now, or nothing was known of what does."""
        rates = [one for one in meters if isinstance(one, RateMeter)]
        self.requests = tuple(one for one in rates if one.limit.measure == "requests")
        self.tokens = tuple(one for one in rates if one.limit.measure == "tokens")
        self.concurrency = tuple(one for one in meters if isinstance(one, ConcurrencyMeter))
        self.budgets = tuple(one for one in meters if isinstance(one, BudgetMeter))
        self.hard = tuple(one for one in self.budgets if not one.limit.soft)
        self.least_tokens = min((one.limit.most for one in self.tokens), default=UNLIMITED)
        """The most tokens that a single request can have."""
        self.counts_costs = bool(self.tokens or self.budgets)
        """Whether it has to be known what requests took."""
        self._slots = [slots for one in rates for slots in (one.settled, one.reserved)]
        self._turned_ms = self._turns_ms = 0
        """From when to when each window stays at the slot at which it is."""

    def __repr__(self) -> str:
        return f"<Guard {[*self]}>"

    def __iter__(self) -> Iterator[Meter]:
        yield from self.requests
        yield from self.tokens
        yield from self.concurrency
        yield from self.budgets

    def has_room(self, time_ms: int, tokens: int) -> bool:
        """Tell whether another request of so many tokens may come; money aside."""
        if not self._turned_ms <= time_ms < self._turns_ms:
            self._turn(time_ms)
        for rate in self.requests:
            if rate.settled.total >= rate.most:
                return False
        for rate in self.tokens:
            if rate.settled.total + rate.reserved.total + tokens > rate.most:
                return False
        for one in self.concurrency:  # noqa: SIM110 - every request goes this way
            if one.count >= one.most:
                return False
        return True

    def _turn(self, time_ms: int) -> None:
        for slots in self._slots:
            slots.at(time_ms)
        self._turned_ms = time_ms
        self._turns_ms = min((slots.turns_ms for slots in self._slots), default=UNLIMITED)


NO_GUARD: Final = Guard(())


class Book:
    """The meters of every limit that is set."""

    def __init__(self) -> None:
        self._meters: dict[_Identity, dict[str, Meter]] = {}
        self._of_keys: dict[int, list[_Identity]] = {}
        self._ancestors: dict[int, tuple[int, ...]] = {}
        """From which keys others were minted, as their requests said."""
        self._guards: dict[tuple[int, str, str], Guard] = {}
        self._routes: set[str] = set()
        self._targets: dict[str, Guard] = {}

    def __repr__(self) -> str:
        return f"<Book of {len(self._meters)} subjects>"

    def __iter__(self) -> Iterator[Meter]:
        """Every meter, subject by subject."""
        for meters in self._meters.values():
            yield from meters.values()

    @property
    def limits_targets(self) -> bool:
        """Whether something limits targets, or keeps a hard budget before each of them."""
        return bool(self._targets) or any(isinstance(one, BudgetMeter) and not one.limit.soft for one in self)

    def take_up(self, limits: Mapping[Subject, Limits]) -> list[Meter]:
        """Go by these limits, those that stay with what they have counted; returns the new meters."""
        former, self._meters, self._of_keys = self._meters, {}, {}
        fresh: list[Meter] = []
        for subject in sorted(limits, key=lambda one: (_ORDER[one.scope], one.name)):
            identity = _identity(subject)
            kept = former.get(identity, {})
            meters = {name: _meter(kept.get(name), subject, limit, fresh)
                      for name, limit in _named(limits[subject])}  # fmt: skip
            if meters:
                self._meters[identity] = meters
                for key in subject.keys:
                    self._of_keys.setdefault(key, []).append(identity)
        self._routes = {str(name) for scope, name in self._meters if scope == "route"}
        self._targets = {
            str(name): Guard(meters.values())
            for (scope, name), meters in self._meters.items()
            if scope == "target"
        }
        self.forget_callers()
        return fresh

    def forget_callers(self) -> None:
        """Look anew for what limits each caller."""
        for guard in self._guards.values():
            guard.is_stale = True
        self._guards = {}

    def of_caller(self, caller: Caller, model: str) -> Guard:
        """Return what a caller passes that asks for a model."""
        route = model if model in self._routes else ""
        place = (caller.key_id, caller.team, route)
        guard = self._guards.get(place)
        if guard is None:
            self._ancestors[caller.key_id] = caller.ancestors
            guard = self._guards[place] = self._guard(*place)
        return guard

    def of_row(self, entry: Closed) -> Guard:
        """Return what a request passes that has such a row in the accounts."""
        key, team, route = entry.caller_key, entry.team, entry.route
        route = route if route in self._routes else ""
        return self._guards.get((key, team, route)) or self._guard(key, team, route)

    def of_target(self, target: Target) -> Guard:
        """Return what limits a target."""
        return self._targets.get(target.name, NO_GUARD) if self._targets else NO_GUARD

    def asked_in(self, entry: Closed) -> Guard:
        """Return what limits the target in a request's row, where it was asked something."""
        if not self._targets or entry.outcome in _NOT_ASKED:
            return NO_GUARD
        return self._targets.get(target_of(entry), NO_GUARD)

    def _guard(self, key: int, team: str, route: str) -> Guard:
        identities: list[_Identity] = [
            *self._of_keys.get(key, ()),
            *(("key", ancestor) for ancestor in self._ancestors.get(key, ())),
            ("team", team),
            ("organization", ""),
            ("route", route),
        ]
        found = (self._meters.get(one, {}) for one in dict.fromkeys(identities))
        all_meters = [meter for meters in found for meter in meters.values()]
        return Guard(all_meters, route) if all_meters else NO_GUARD


def _identity(subject: Subject) -> _Identity:
    return (subject.scope, subject.keys[0] if subject.keys else subject.name)


def _named(limits: Limits) -> Iterator[tuple[str, RateLimit | Budget | int]]:
    for rate in limits.rates:
        yield rate.name, rate
    if limits.concurrent is not None:
        yield ConcurrencyMeter.NAME, limits.concurrent
    for budget in limits.budgets:
        yield budget.name, budget


def _meter(
    former: Meter | None, subject: Subject, limit: RateLimit | Budget | int, fresh: list[Meter]
) -> Meter:
    """Return the meter of a limit: the former one, changed, or a new one."""
    made: Meter
    match limit:
        case RateLimit():
            made = former if isinstance(former, RateMeter) else RateMeter(subject, limit)
            made.change(subject, limit)
        case Budget():
            made = former if isinstance(former, BudgetMeter) else BudgetMeter(subject, limit)
            made.change(subject, limit)
        case number:
            made = former if isinstance(former, ConcurrencyMeter) else ConcurrencyMeter(subject, number)
            made.change(subject, number)
    if made is not former:
        fresh.append(made)
    return made
