"""What was used, and what it cost: sums over the accounts, by model, route, target, key, team or day."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from shareai_cli.ledger.database import connect_reader, understood
from shareai_cli.ledger.store import Store
from shareai_cli.ledger.sums import (
    DIMENSIONS,
    HOUR_MS,
    SUMS,
    sums_by_hour,
    sums_by_name,
    sums_of_drill,
    sums_within_hour,
)
from shareai_cli.paths import Paths
from shareai_cli.types import Grouping, UsageReport, UsageSums

_DIMENSIONS: Final = {"model": "target", "target": "target", "route": "route", "key": "key", "team": "team"}
_FIRST_HOUR: Final = -(1 << 40)
_LAST_HOUR: Final = 1 << 40

_Sums = list[int]
"""The numbers of `SUMS`, in that order."""


def usage_report(
    source: Paths | Store,
    *,
    by: Grouping | None = None,
    since_ms: int | None = None,
    zone: tzinfo | None = None,
) -> UsageReport:
    """Report the requests that came at `since_ms` or later, on a connection of its own that only reads.

    Those of drills are left out.

    Days are those of `zone`, or local ones. Raises `LedgerUnavailable`.
    """
    path = source.path if isinstance(source, Store) else source.database
    with understood(path), closing(connect_reader(path)) as connection:
        connection.execute("BEGIN")  # one state of the accounts for all queries
        if by == "day":
            rows = _by_day(connection, since_ms, zone)
        else:
            rows = _by_name(connection, by or "route", since_ms)
    return _report(rows, by, since_ms)


def drill_report(source: Paths | Store, drill: int) -> UsageReport:
    """Report the requests of one drill by their targets, which no other report holds; as `usage_report`."""
    path = source.path if isinstance(source, Store) else source.database
    groups: dict[str, _Sums] = {}
    with understood(path), closing(connect_reader(path)) as connection:
        connection.execute("BEGIN")
        names = _names(connection, "target")
        for number, *sums in connection.execute(sums_of_drill("target"), {"drill": drill}):
            _add(groups, names.get(number, f"#{number}"), sums)
    return _report(list(groups.items()), "target", None)


def _report(rows: Sequence[tuple[str, _Sums]], by: Grouping | None, since_ms: int | None) -> UsageReport:
    total = _added(sums for _, sums in rows)
    shown = [_usage(name, sums) for name, sums in rows] if by is not None else []
    if by != "day":
        shown.sort(key=lambda row: (-row.cost_nano_usd, -row.requests, row.name))
    return UsageReport(by=by, since_ms=since_ms, total=_usage("", total), rows=tuple(shown))


def _by_name(connection: sqlite3.Connection, by: Grouping, since_ms: int | None) -> list[tuple[str, _Sums]]:
    dimension = _DIMENSIONS[by]
    names = _names(connection, by)
    groups: dict[str, _Sums] = {}
    for number, *sums in _since(connection, dimension, since_ms):
        _add(groups, names.get(number, f"#{number}"), sums)
    return list(groups.items())


def _since(connection: sqlite3.Connection, dimension: str, since_ms: int | None) -> Iterator[Sequence[int]]:
    """Yield name id and sums, the part of an hour with which the time begins apart from the hours."""
    first = _FIRST_HOUR
    if since_ms is not None:
        first = -(-since_ms // HOUR_MS)
        if since_ms % HOUR_MS:
            yield from _within_hour(connection, dimension, first - 1, since_ms, first * HOUR_MS)
    hours = {"first": first, "last": _LAST_HOUR}
    yield from connection.execute(sums_by_name(dimension), hours)


def _within_hour(
    connection: sqlite3.Connection, dimension: str, hour: int, start_ms: int, end_ms: int
) -> Iterable[Sequence[int]]:
    part = {"hour": hour, "start": start_ms, "end": end_ms}
    return connection.execute(sums_within_hour(dimension), part)


def _names(connection: sqlite3.Connection, by: Grouping) -> dict[int, str]:
    """Return what the numbers of a group stand for; of a key made again under its name, both have it."""
    if by in ("route", "team"):
        named = (
            "SELECT id, name FROM names WHERE id IN (SELECT DISTINCT name FROM hourly WHERE dimension = ?)"
        )
        return dict(connection.execute(named, (DIMENSIONS[by],)).fetchall())
    if by == "key":
        return dict(connection.execute("SELECT id, name FROM keys").fetchall())
    names = dict(connection.execute("SELECT id, name FROM targets").fetchall())
    if by == "model":
        return {number: name.partition("/")[2] for number, name in names.items()}
    return names


def _by_day(
    connection: sqlite3.Connection, since_ms: int | None, zone: tzinfo | None
) -> list[tuple[str, _Sums]]:
    first = _FIRST_HOUR if since_ms is None else since_ms // HOUR_MS
    hours = connection.execute(sums_by_hour(), {"first": first, "last": _LAST_HOUR}).fetchall()
    days: dict[str, _Sums] = {}
    for hour, *sums in hours:
        start, end = hour * HOUR_MS, (hour + 1) * HOUR_MS
        begin = start if since_ms is None else max(start, since_ms)
        today, midnight = _day(begin, zone)
        if begin == start and midnight >= end:
            _add(days, today, sums)
            continue
        for part_start, part_end in ((begin, min(midnight, end)), (midnight, end)):
            if part_start < part_end:
                for _, *part in _within_hour(connection, "route", hour, part_start, part_end):
                    _add(days, _day(part_start, zone)[0], part)
    return sorted(days.items())


def _day(moment_ms: int, zone: tzinfo | None) -> tuple[str, int]:
    """Return the day of a moment, and the Unix milliseconds at which the next one begins."""
    today = datetime.fromtimestamp(moment_ms / 1000, zone).date()
    return today.isoformat(), int(_midnight(today + timedelta(days=1), zone).timestamp() * 1000)


def _midnight(day: date, zone: tzinfo | None) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _add(groups: dict[str, _Sums], name: str, sums: Sequence[int]) -> None:
    former = groups.get(name)
    groups[name] = list(sums) if former is None else [a + b for a, b in zip(former, sums, strict=True)]


def _added(parts: Iterable[_Sums]) -> _Sums:
    total = [0] * len(SUMS)
    for part in parts:
        total = [a + b for a, b in zip(total, part, strict=True)]
    return total


def _usage(name: str, sums: _Sums) -> UsageSums:
    of = dict(zip(SUMS, sums, strict=True))
    return UsageSums(
        name=name,
        requests=of["requests"],
        failed=of["failed"],
        incomplete=of["incomplete"],
        cancelled=of["cancelled"],
        refused=of["refused"],
        rejected=of["rejected"],
        hit=of["hit"],
        joined=of["joined"],
        prompt_tokens=of["prompt"] + of["cached"] + of["cache_write"],
        cached_tokens=of["cached"],
        cache_write_tokens=of["cache_write"],
        completion_tokens=of["completion"] + of["reasoning"],
        reasoning_tokens=of["reasoning"],
        estimated_tokens=of["estimated_tokens"],
        cost_nano_usd=of["cost_nano"],
        estimated_cost=of["estimated_cost"],
        unknown_cost=of["unknown_cost"],
        average_first_token_us=_average(of["first_token_us"], of["first_tokens"]),
        average_total_us=_average(of["total_us"], of["requests"]),
    )


def _average(total: int, count: int) -> int | None:
    return round(total / count) if count else None
