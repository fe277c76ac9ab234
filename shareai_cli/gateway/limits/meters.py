"""What each limit has counted: plain integers, changed between two turns of the loop and never waited for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shareai_cli.gateway.limits.slots import PLANS, Slots
from shareai_cli.gateway.limits.truth import Taken
from shareai_cli.ledger import UseQuestion, UseSum
from shareai_cli.ledger.periods import period_at
from shareai_cli.types import Budget, LimitUse, RateLimit, Subject

UNLIMITED: Final = 1 << 62
"""What a meter lets pass until it knows what came before it was made."""

FOREVER: Final = 1 << 62
MOST_PERIODS: Final = 8
"""Periods of a budget that are kept: requests end after the period in which they began."""


class RateMeter:
    """Requests or tokens within a window: those that are settled, and what others may still take."""

    __slots__ = ("_plan", "limit", "most", "reserved", "settled", "subject")

    def __init__(self, subject: Subject, limit: RateLimit) -> None:
        self.subject = subject
        self.limit = limit
        self.most = UNLIMITED
        self._plan = PLANS[limit.window]
        self.settled = Slots(self._plan)
        """Of requests everything that was let in."""
        self.reserved = Slots(self._plan)

    def __repr__(self) -> str:
        return f"<RateMeter {self.subject.label} {self.limit.name} [{self.settled.total}]>"

    def change(self, subject: Subject, limit: RateLimit) -> None:
        """Go by another limit of the same name; one that lets everything pass goes on to."""
        self.subject, self.limit = subject, limit
        if self.most != UNLIMITED:
            self.enforce()

    def enforce(self) -> None:
        """From now on let no more pass than the limit says."""
        self.most = self.limit.most

    def room(self, time_ms: int) -> int:
        """Return how much may still come; negative where estimates were too low."""
        return self.most - self.settled.at(time_ms) - self.reserved.at(time_ms)

    def frees_ms(self, time_ms: int, amount: int) -> int:
        """Return when so much more has room, if nothing else comes."""
        missing = amount - self.room(time_ms)
        settled = self.settled.total
        if missing <= settled:
            return self.settled.frees_ms(missing)
        return max(self.settled.frees_ms(settled), self.reserved.frees_ms(missing - settled))

    def resets_ms(self, time_ms: int) -> int | None:
        """Return when all of it is free again if nothing more comes; None where all of it is."""
        settled, reserved = self.settled.at(time_ms), self.reserved.at(time_ms)
        ends = [slots.frees_ms(total) for slots, total in ((self.settled, settled), (self.reserved, reserved))
                if total > 0]  # fmt: skip
        return max(ends, default=None)

    def use(self, time_ms: int) -> LimitUse:
        """Tell how much is used."""
        return LimitUse(
            self.subject.label,
            self.limit.name,
            self.limit.most,
            self.settled.at(time_ms),
            self.reserved.at(time_ms),
            resets_ms=self.resets_ms(time_ms),
        )

    def take_back(self, time_ms: int, taken: Taken) -> None:
        """Count a request that has ended no longer."""
        self.settled.add(time_ms, -1 if self.limit.measure == "requests" else -taken.tokens)

    def question(self, time_ms: int) -> UseQuestion:
        """Return what to ask the accounts for."""
        return UseQuestion(self.subject, self._plan.begins(time_ms), self._plan.slot_ms)

    def take_in(self, sums: Sequence[UseSum], time_ms: int) -> None:
        """Count what the accounts have."""
        for one in sums:
            amount = one.requests if self.limit.measure == "requests" else one.tokens
            self.settled.add(min(one.begins_ms, time_ms), amount)


class ConcurrencyMeter:
    """Requests under way."""

    __slots__ = ("count", "limit", "most", "subject")

    NAME: Final = "concurrent_requests"

    def __init__(self, subject: Subject, most: int) -> None:
        self.subject = subject
        self.limit = most
        self.most = UNLIMITED
        self.count = 0

    def __repr__(self) -> str:
        return f"<ConcurrencyMeter {self.subject.label} [{self.count}]>"

    def change(self, subject: Subject, limit: int) -> None:
        """Go by another limit of the same name; one that lets everything pass goes on to."""
        self.subject, self.limit = subject, limit
        if self.most != UNLIMITED:
            self.enforce()

    def enforce(self) -> None:
        """From now on let no more pass than the limit says."""
        self.most = self.limit

    def use(self, time_ms: int) -> LimitUse:
        """Tell how much is used."""
        return LimitUse(self.subject.label, self.NAME, self.limit, self.count)

    def take_back(self, time_ms: int, taken: Taken) -> None:
        """Do nothing: what has ended is not under way."""


class Spending:
    """What of a budget is spent in one period, and what requests under way may still spend: nano-dollars."""

    __slots__ = ("begins_ms", "ends_ms", "reserved", "spent", "warned")

    def __init__(self, begins_ms: int, ends_ms: int) -> None:
        self.begins_ms = begins_ms
        self.ends_ms = ends_ms
        self.spent = 0
        self.reserved = 0
        self.warned = False


class BudgetMeter:
    """Money, period by period."""

    __slots__ = ("_latest", "_periods", "limit", "most", "subject")

    def __init__(self, subject: Subject, limit: Budget) -> None:
        self.subject = subject
        self.limit = limit
        self.most = UNLIMITED
        self._latest = Spending(0, 0)
        self._periods: dict[int, Spending] = {}

    def __repr__(self) -> str:
        latest = self._latest
        return f"<BudgetMeter {self.subject.label} {self.limit.name} [{latest.spent} + {latest.reserved}]>"

    def change(self, subject: Subject, limit: Budget) -> None:
        """Go by another limit of the same name; one that lets everything pass goes on to."""
        self.subject, self.limit = subject, limit
        if self.most != UNLIMITED:
            self.enforce()

    def enforce(self) -> None:
        """From now on let no more pass than the limit says."""
        self.most = self.limit.nano

    def at(self, time_ms: int) -> Spending:
        """Return the period of a request that came then."""
        latest = self._latest
        return latest if latest.begins_ms <= time_ms < latest.ends_ms else self._find(time_ms)

    def room(self, time_ms: int) -> int:
        """Return how much may still be spent."""
        now = self.at(time_ms)
        return self.most - now.spent - now.reserved

    def has_to_warn(self, time_ms: int) -> bool:
        """Tell once in a period that a soft budget is used up."""
        now = self.at(time_ms)
        if not self.limit.soft or now.warned or now.spent < self.most:
            return False
        now.warned = True
        return True

    def use(self, time_ms: int) -> LimitUse:
        """Tell how much is used."""
        limit, now = self.limit, self.at(time_ms)
        ends_ms = now.ends_ms if now.ends_ms != FOREVER else None
        return LimitUse(
            self.subject.label, limit.name, limit.nano, now.spent, now.reserved, limit.soft, ends_ms
        )

    def take_back(self, time_ms: int, taken: Taken) -> None:
        """Count a request that has ended no longer."""
        self.at(time_ms).spent -= taken.nano

    def question(self, time_ms: int) -> UseQuestion:
        """Return what to ask the accounts for."""
        return UseQuestion(self.subject, self.at(time_ms).begins_ms)

    def take_in(self, sums: Sequence[UseSum], time_ms: int) -> None:
        """Count what the accounts have."""
        for one in sums:
            self.at(time_ms).spent += one.cost_nano

    def _find(self, time_ms: int) -> Spending:
        period = period_at(self.limit.period, time_ms)
        found = self._periods.get(period.begins_ms)
        if found is None:
            ends_ms = period.ends_ms if period.ends_ms is not None else FOREVER
            found = self._periods[period.begins_ms] = Spending(period.begins_ms, ends_ms)
            if len(self._periods) > MOST_PERIODS:
                del self._periods[min(self._periods)]
        self._latest = found
        return found


Meter = RateMeter | ConcurrencyMeter | BudgetMeter
