"""How far budgets are spent, and when they will be used up."""

from __future__ import annotations

import pytest

from shareai_cli.ledger.budgets import budget_use, forecast
from shareai_cli.ledger.use import UseSum
from shareai_cli.paths import Paths
from shareai_cli.types import Budget, BudgetPeriod, Limits, Subject
from tests.ledger.making import NOW_MS, closed, open_ledger

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
TEAM = Subject("team", "dev")


def hours(*spent: tuple[float, int]) -> list[UseSum]:
    """Return sums of hours that began so many days ago."""
    return [UseSum(NOW_MS - int(ago * DAY_MS), 1, 1, nano) for ago, nano in spent]


@pytest.mark.parametrize(
    ("period", "most", "used", "lately", "daily", "days"),
    [
        ("total", 1_000, 300, hours((7, 100), (1, 600)), 100, 7),
        ("total", 1_000, 300, hours((2, 100), (1, 100)), 100, 7),
        ("total", 1_000, 300, hours((3, 0), (0.5, 100)), 200, 3.5),
        ("total", 1_000, 300, hours((0.001, 50)), 1_200, 700 / 1_200),
        ("total", 1_000, 300, [], 0, None),
        ("total", 1_000, 300, hours((5, 0)), 0, None),
        ("total", 1_000, 1_000, [], 0, 0),
        ("month", 1_000, 300, hours((1, 100)), 100, 7),
        ("month", 1_300, 300, hours((1, 100)), 100, None),
        ("day", 1_000, 300, hours((1, 100)), 100, None),
        ("day", 1_000, 2_000, hours((1, 100)), 100, 0),
    ],
)
def test_the_rate_of_late_tells_the_day(
    period: BudgetPeriod, most: int, used: int, lately: list[UseSum], daily: int, days: float | None
) -> None:
    """From the first hour in which something was spent; none where the period ends before."""
    found = forecast(TEAM, Budget(period, most), used, lately, NOW_MS)
    assert (found.subject, found.daily, found.used, found.most) == ("team/dev", daily, used, most)
    if days is None:
        assert found.used_up_ms is None
    else:
        assert found.used_up_ms == pytest.approx(NOW_MS + days * DAY_MS, abs=2)


def test_budgets_of_every_kind_of_subject(paths: Paths) -> None:
    """Each goes by its own requests, in its own period; keys that were minted count for those above."""
    ledger = open_ledger(paths)
    month_ago = NOW_MS - 30 * DAY_MS
    for number, (time_ms, team, key) in enumerate(
        [(NOW_MS - HOUR_MS, "dev", 1), (NOW_MS - 2 * HOUR_MS, "dev", 2), (NOW_MS - HOUR_MS, "ops", 3),
         (month_ago, "dev", 1)], 1,
    ):  # fmt: skip
        ledger.closed(closed(number, time_ms=time_ms, team=team, caller_key=key))
    ledger.close()
    month, ever = Budget("month", 450), Budget("total", 135, soft=True)
    limits = {
        Subject("organization"): Limits(budgets=(month, ever)),
        TEAM: Limits(budgets=(month,), concurrent=5),
        Subject("key", "ci", (1, 2)): Limits(budgets=(ever,)),
        Subject("target", "alpha/m"): Limits(budgets=(month,)),
        Subject("route", "nobody-asked"): Limits(budgets=(month,)),
    }
    found = {(one.subject, one.limit): one for one in budget_use(paths.database, limits, NOW_MS)}
    assert {place: one.used for place, one in found.items()} == {
        ("organization", "budget_per_month"): 135,
        ("organization", "soft_budget_total"): 180,
        ("team/dev", "budget_per_month"): 90,
        ("key/ci", "soft_budget_total"): 135,
        ("target/alpha/m", "budget_per_month"): 135,
        ("route/nobody-asked", "budget_per_month"): 0,
    }
    first = next(iter(found.values()))
    assert (first.used_up_ms, first.soft) == (NOW_MS, True)
    assert [*found][-1] == ("route/nobody-asked", "budget_per_month")


def test_the_rate_of_a_day_is_for_budgets_of_a_day(paths: Paths) -> None:
    """All others go by the last seven days."""
    ledger = open_ledger(paths)
    for number, ago in enumerate((2 * HOUR_MS, 3 * DAY_MS, 8 * DAY_MS), 1):
        ledger.closed(closed(number, time_ms=NOW_MS - ago))
    ledger.close()
    budgets = (Budget("day", 10**9), Budget("week", 10**9), Budget("total", 10**9))
    found = budget_use(paths.database, {Subject("organization"): Limits(budgets=budgets)}, NOW_MS)
    into_hour = NOW_MS % HOUR_MS
    week = 90 * DAY_MS // (3 * DAY_MS + into_hour)
    assert {one.limit: one.daily for one in found} == {
        "budget_per_day": 45 * DAY_MS // (2 * HOUR_MS + into_hour),
        "budget_per_week": week,
        "budget_total": week,
    }


def test_no_budgets(paths: Paths) -> None:
    """Are none to tell of."""
    open_ledger(paths).close()
    assert budget_use(paths.database, {TEAM: Limits(concurrent=3)}, NOW_MS) == []
