"""What was used over time: sums of each hour, or of each day, by group."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Final

from shareai_cli.errors import UsageError
from shareai_cli.ledger.database import connect_reader, understood
from shareai_cli.ledger.groups import DIMENSION_OF, Sums, added, as_usage, by_name, group_names, sums_between
from shareai_cli.ledger.report import midnight_ms
from shareai_cli.ledger.store import Store
from shareai_cli.ledger.sums import HOUR_MS, SUMS
from shareai_cli.paths import Paths
from shareai_cli.types import Grouping, SlotLength, UsageLine, UsageSeries

MOST_SLOTS: Final = 400
MOST_LINES: Final = 8
"""Groups with a line of their own."""

_COST: Final = list(SUMS).index("cost_nano")
_REQUESTS: Final = list(SUMS).index("requests")
_NOTHING: Final[Sums] = [0] * len(SUMS)


def usage_series(
    source: Paths | Store,
    *,
    by: Grouping | None,
    slot: SlotLength,
    since_ms: int,
    until_ms: int,
    zone: tzinfo | None = None,
) -> UsageSeries:
    """Report the hours, or the days of `zone` (or local ones), of which the time wants any part, in full.

    Drills are left out. Raises `UsageError` for too many slots and for days by day, and `LedgerUnavailable`.
    """
    if by == "day":
        raise UsageError("A course over time is by hour or day already.", hint="Group by model, or by route.")
    try:
        edges = _edges(slot, since_ms, until_ms, zone)
    except (ValueError, OverflowError, OSError):
        raise UsageError("That time is beyond every calendar.", hint="Ask for a time up to now.") from None
    path = source.path if isinstance(source, Store) else source.database
    grouping = by or "route"
    with understood(path), closing(connect_reader(path)) as connection:
        connection.execute("BEGIN")  # one state of the accounts for all queries
        names = group_names(connection, grouping) if by is not None else {}
        parts = [
            by_name(names, sums_between(connection, DIMENSION_OF[grouping], start, end))
            for start, end in pairwise(edges)
        ]
    if by is None:
        parts = [{"": added(part.values())} for part in parts]
    return UsageSeries(by, tuple(_name(slot, edge, zone) for edge in edges[:-1]), tuple(_lines(parts)))


def _edges(slot: SlotLength, since_ms: int, until_ms: int, zone: tzinfo | None) -> list[int]:
    """Return when each slot begins, and when the last one ends."""
    length = HOUR_MS if slot == "hour" else 24 * HOUR_MS
    if until_ms <= since_ms or (until_ms - since_ms) // length > MOST_SLOTS:
        raise UsageError(
            f"A course over time has from 1 to {MOST_SLOTS} {slot}s.", hint="Ask for a shorter time, or days."
        )
    if slot == "hour":
        first, last = since_ms // HOUR_MS, -(-until_ms // HOUR_MS)
        return [hour * HOUR_MS for hour in range(first, last + 1)]
    edges: list[int] = []
    day = datetime.fromtimestamp(since_ms / 1000, zone).date()
    while not edges or edges[-1] < until_ms:
        edges.append(midnight_ms(day, zone))
        day += timedelta(days=1)
    return edges


def _name(slot: SlotLength, begins_ms: int, zone: tzinfo | None) -> str:
    moment = datetime.fromtimestamp(begins_ms / 1000, zone)
    return f"{moment:%Y-%m-%d}" if slot == "day" else f"{moment:%Y-%m-%d %H:%M}"


def _lines(parts: Sequence[dict[str, Sums]]) -> list[UsageLine]:
    names = list(dict.fromkeys(name for part in parts for name in part))
    courses = {name: [part.get(name, _NOTHING) for part in parts] for name in names}
    totals = {name: added(course) for name, course in courses.items()}
    names.sort(key=lambda name: (-totals[name][_COST], -totals[name][_REQUESTS], name))
    lines = [_line(name, courses[name]) for name in names[:MOST_LINES]]
    rest = [courses[name] for name in names[MOST_LINES:]]
    if rest:
        lines.append(_line("", [added(slot) for slot in zip(*rest, strict=True)], is_rest=True))
    return lines


def _line(name: str, course: Sequence[Sums], *, is_rest: bool = False) -> UsageLine:
    sums = [as_usage(name, part) for part in course]
    return UsageLine(
        name,
        tuple(one.requests for one in sums),
        tuple(one.prompt_tokens + one.completion_tokens for one in sums),
        tuple(one.cost_nano_usd for one in sums),
        is_rest,
    )
