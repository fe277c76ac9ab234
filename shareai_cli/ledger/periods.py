"""When the periods of budgets begin and end, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct

from shareai_cli.types import BudgetPeriod

DAY_MS = 86_400_000
_MONDAY = 4
"""The first Monday after 1970-01-01, which was a Thursday, in days."""


class Period(Struct, frozen=True):
    """A stretch of time, Unix milliseconds, its end not in it; None is no end."""

    begins_ms: int
    ends_ms: int | None


def period_at(kind: BudgetPeriod, time_ms: int) -> Period:
    """Return the period in which a moment is."""
    if kind == "total":
        return Period(0, None)
    if kind == "month":
        return _month(time_ms)
    length = DAY_MS if kind == "day" else 7 * DAY_MS
    shift = 0 if kind == "day" else _MONDAY * DAY_MS
    begins_ms = (time_ms - shift) // length * length + shift
    return Period(begins_ms, begins_ms + length)


def _month(time_ms: int) -> Period:
    now = datetime.fromtimestamp(time_ms / 1000, UTC)
    begins = datetime(now.year, now.month, 1, tzinfo=UTC)
    years, month = divmod(now.month, 12)
    ends = datetime(now.year + years, month + 1, 1, tzinfo=UTC)
    return Period(_milliseconds(begins), _milliseconds(ends))


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000
