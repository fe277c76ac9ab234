"""Windows that slide, and the periods of budgets."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shareai_cli.gateway.limits.slots import PLANS, Slots
from shareai_cli.ledger.periods import Period, period_at
from shareai_cli.types import BudgetPeriod

MINUTE = PLANS["minute"]
LENGTH = 60_000
SLOT = 1_000


@given(st.lists(st.tuples(st.integers(0, 100_000), st.integers(1, 5)), max_size=30))
def test_what_counts_is_all_of_a_windows_length_and_at_most_a_slot_more(steps: list[tuple[int, int]]) -> None:
    """Whatever came within the last minute, and nothing that is older than that and a slot."""
    slots, now, came = Slots(MINUTE), 1_000_000, []
    for step, amount in steps:
        now += step
        slots.add(now, amount)
        came.append((now, amount))
        total = slots.at(now)
        assert total >= sum(amount for time, amount in came if time > now - LENGTH)
        assert total <= sum(amount for time, amount in came if time > now - LENGTH - SLOT)


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 5)), min_size=1, max_size=20), st.data())
def test_there_is_room_when_it_is_said_to_be(steps: list[tuple[int, int]], data: st.DataObject) -> None:
    """Then, and not a millisecond before."""
    slots, now = Slots(MINUTE), 1_000_000
    for step, amount in steps:
        now += step
        slots.add(now, amount)
    total = slots.at(now)
    amount = data.draw(st.integers(1, total))
    frees = slots.frees_ms(amount)
    assert slots.at(frees - 1) > total - amount
    assert slots.at(frees) <= total - amount


def test_what_comes_late_counts_in_its_own_slot() -> None:
    """What is settled later than newer requests leaves when its own slot does; older than all is nothing."""
    slots = Slots(MINUTE)
    slots.add(100_000, 1)
    slots.add(70_000, 2)
    slots.add(30_000, 4)
    assert slots.at(100_000) == 3
    assert slots.at(130_999) == 3
    assert slots.at(131_000) == 1
    slots.add(70_000, -2)
    assert slots.at(131_000) == 1


def test_a_clock_that_is_set_back_forgets_nothing_and_holds_nothing_for_good() -> None:
    """What came at times that are to come again counts as of now."""
    slots = Slots(MINUTE)
    slots.add(10_000_000, 5)
    assert slots.at(1_000_000) == 5
    assert slots.at(1_060_999) == 5
    assert slots.at(1_061_000) == 0


@pytest.mark.parametrize(
    ("kind", "moment", "begins", "ends"),
    [
        ("day", "2026-09-21 14:13", "2026-09-21", "2026-09-22"),
        ("day", "2026-09-21 00:00", "2026-09-21", "2026-09-22"),
        ("week", "2026-09-21 00:00", "2026-09-21", "2026-09-28"),
        ("week", "2026-09-20 23:59", "2026-09-14", "2026-09-21"),
        ("week", "1970-01-01 00:00", "1969-12-29", "1970-01-05"),
        ("month", "2026-12-31 23:59", "2026-12-01", "2027-01-01"),
        ("month", "2028-02-29 12:00", "2028-02-01", "2028-03-01"),
        ("total", "2026-09-21 14:13", "1970-01-01", None),
    ],
)
def test_periods_are_those_of_utc(kind: BudgetPeriod, moment: str, begins: str, ends: str | None) -> None:
    """Days, weeks from Monday, months; in all there is no end."""

    def at(text: str) -> int:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)

    assert period_at(kind, at(moment)) == Period(at(begins), at(ends) if ends is not None else None)
