"""What was used, and what it cost: sums over the accounts, grouped as `types.Grouping` says."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import date, datetime, timedelta, tzinfo

from shareai_cli.ledger.database import connect_reader, understood
from shareai_cli.ledger.groups import (
    DIMENSION_OF,
    FIRST_MS,
    LAST_MS,
    Sums,
    add,
    added,
    as_usage,
    by_name,
    group_names,
    sums_between,
    sums_within,
)
from shareai_cli.ledger.store import Store
from shareai_cli.ledger.sums import HOUR_MS, sums_by_hour, sums_of_drill
from shareai_cli.paths import Paths
from shareai_cli.types import Grouping, UsageReport


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
    with understood(path), closing(connect_reader(path)) as connection:
        connection.execute("BEGIN")
        names = group_names(connection, "target")
        groups = by_name(names, connection.execute(sums_of_drill("target"), {"drill": drill}))
    return _report(list(groups.items()), "target", None)


def _report(rows: Sequence[tuple[str, Sums]], by: Grouping | None, since_ms: int | None) -> UsageReport:
    total = added(sums for _, sums in rows)
    shown = [as_usage(name, sums) for name, sums in rows] if by is not None else []
    if by != "day":
        shown.sort(key=lambda row: (-row.cost_nano_usd, -row.requests, row.name))
    return UsageReport(by=by, since_ms=since_ms, total=as_usage("", total), rows=tuple(shown))


def _by_name(connection: sqlite3.Connection, by: Grouping, since_ms: int | None) -> list[tuple[str, Sums]]:
    start_ms = FIRST_MS if since_ms is None else since_ms
    rows = sums_between(connection, DIMENSION_OF[by], start_ms, LAST_MS)
    return list(by_name(group_names(connection, by), rows).items())


def _by_day(
    connection: sqlite3.Connection, since_ms: int | None, zone: tzinfo | None
) -> list[tuple[str, Sums]]:
    start_ms = FIRST_MS if since_ms is None else since_ms
    bounds = {"first": start_ms // HOUR_MS, "last": LAST_MS // HOUR_MS}
    hours = connection.execute(sums_by_hour(), bounds).fetchall()
    days: dict[str, Sums] = {}
    for hour, *sums in hours:
        start, end = hour * HOUR_MS, (hour + 1) * HOUR_MS
        begin = start if since_ms is None else max(start, since_ms)
        today, midnight = _day(begin, zone)
        if begin == start and midnight >= end:
            add(days, today, sums)
            continue
        for part_start, part_end in ((begin, min(midnight, end)), (midnight, end)):
            if part_start < part_end:
                for _, *part in sums_within(connection, "route", hour, part_start, part_end):
                    add(days, _day(part_start, zone)[0], part)
    return sorted(days.items())


def _day(moment_ms: int, zone: tzinfo | None) -> tuple[str, int]:
    """Return the day of a moment, and the Unix milliseconds at which the next one begins."""
    today = datetime.fromtimestamp(moment_ms / 1000, zone).date()
    return today.isoformat(), midnight_ms(today + timedelta(days=1), zone)


def midnight_ms(day: date, zone: tzinfo | None) -> int:
    """Return when a day begins, in a zone or where this process runs, in Unix milliseconds."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)
