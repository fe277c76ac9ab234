"""How far budgets are spent, and the day on which each will be used up at the rate of late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from shareai_cli.ledger.periods import DAY_MS, period_at
from shareai_cli.ledger.sums import HOUR_MS
from shareai_cli.ledger.use import UseQuestion, UseSum, past_use
from shareai_cli.types import Budget, BudgetUse, Limits, Subject

RATE_DAYS: Final = 7
"""Days over which the rate of spending is taken; of a budget per day it is one."""


def budget_use(path: Path, limits: Mapping[Subject, Limits], now_ms: int) -> list[BudgetUse]:
    """Return every budget, the one that is used up the soonest first; raises `LedgerUnavailable`."""
    budgets = [(subject, budget) for subject, of in limits.items() for budget in of.budgets]
    asked = {pair: _questions(*pair, now_ms) for pair in budgets}
    past = past_use(path, [one for both in asked.values() for one in both], tuple)
    found = [
        forecast(subject, budget, sum(one.cost_nano for one in past.sums[used]), past.sums[lately], now_ms)
        for (subject, budget), (used, lately) in asked.items()
    ]
    return sorted(found, key=_urgency)


def forecast(subject: Subject, budget: Budget, used: int, lately: Sequence[UseSum], now_ms: int) -> BudgetUse:
    """Tell when a budget will be used up; `lately` are sums of hours.

    The rate is over the time since the first hour in which something was spent lately: a key that is new is
    not taken to have been idle for days.
    """
    spending = [one for one in lately if one.cost_nano]
    daily = 0
    if spending:
        lasted_ms = max(now_ms - min(one.begins_ms for one in spending), HOUR_MS)
        daily = sum(one.cost_nano for one in spending) * DAY_MS // lasted_ms
    resets_ms = period_at(budget.period, now_ms).ends_ms
    used_up_ms: int | None = None
    if used >= budget.nano:
        used_up_ms = now_ms
    elif daily:
        used_up_ms = now_ms + (budget.nano - used) * DAY_MS // daily
        if resets_ms is not None and used_up_ms >= resets_ms:
            used_up_ms = None
    return BudgetUse(subject.label, budget.name, budget.nano, used, daily, budget.soft, resets_ms, used_up_ms)


def _questions(subject: Subject, budget: Budget, now_ms: int) -> tuple[UseQuestion, UseQuestion]:
    """Return what is to be known of a budget: its sum, and the hours of late."""
    days = 1 if budget.period == "day" else RATE_DAYS
    since_ms = (now_ms - days * DAY_MS) // HOUR_MS * HOUR_MS
    return (
        UseQuestion(subject, period_at(budget.period, now_ms).begins_ms),
        UseQuestion(subject, since_ms, HOUR_MS),
    )


def _urgency(one: BudgetUse) -> tuple[float, float, str, str]:
    until = one.used_up_ms if one.used_up_ms is not None else float("inf")
    return until, -one.used / one.most, one.subject, one.limit
