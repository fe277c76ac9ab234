"""Sums of groups, as the database has them: what they are named, within any time, and put together."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from shareai_cli.ledger.sums import DIMENSIONS, HOUR_MS, SUMS, sums_by_name, sums_within_hour
from shareai_cli.types import NODE, Grouping, UsageSums

DIMENSION_OF: Final[Mapping[Grouping, str]] = {
    "model": "target",
    "route": "route",
    "target": "target",
    "provider": "target",
    "node": "target",
    "key": "key",
    "team": "team",
}
"""By which sums each grouping goes; days go by all of them."""

FIRST_MS: Final = -(HOUR_MS << 40)
LAST_MS: Final = HOUR_MS << 40
"""Before and after every request."""

Sums = list[int]
"""The numbers of `SUMS`, in that order."""


def sums_between(
    connection: sqlite3.Connection, dimension: str, start_ms: int, end_ms: int
) -> Iterator[Sequence[int]]:
    """Yield name id and sums from a moment to before another; hours of which it wants a part apart."""
    first, last = -(-start_ms // HOUR_MS), end_ms // HOUR_MS
    if first > last:
        yield from sums_within(connection, dimension, last, start_ms, end_ms)
        return
    if start_ms % HOUR_MS:
        yield from sums_within(connection, dimension, first - 1, start_ms, first * HOUR_MS)
    yield from connection.execute(sums_by_name(dimension), {"first": first, "last": last})
    if end_ms % HOUR_MS:
        yield from sums_within(connection, dimension, last, last * HOUR_MS, end_ms)


def sums_within(
    connection: sqlite3.Connection, dimension: str, hour: int, start_ms: int, end_ms: int
) -> Iterable[Sequence[int]]:
    """Return name id and sums of a part of an hour."""
    part = {"hour": hour, "start": start_ms, "end": end_ms}
    return connection.execute(sums_within_hour(dimension), part)


def group_names(connection: sqlite3.Connection, by: Grouping) -> dict[int, str]:
    """Return what the numbers of a group stand for; of a key made again under its name, both have it."""
    if by in ("route", "team"):
        named = (
            "SELECT id, name FROM names WHERE id IN (SELECT DISTINCT name FROM hourly WHERE dimension = ?)"
        )
        return dict(connection.execute(named, (DIMENSIONS[by],)).fetchall())
    if by == "key":
        return dict(connection.execute("SELECT id, name FROM keys").fetchall())
    targets = connection.execute("SELECT id, name, price_as FROM targets").fetchall()
    return {number: _name_of_target(name, price_as, by) for number, name, price_as in targets}


def by_name(names: Mapping[int, str], rows: Iterable[Sequence[int]]) -> dict[str, Sums]:
    """Add up rows of name id and sums by what the ids stand for."""
    groups: dict[str, Sums] = {}
    for number, *sums in rows:
        add(groups, names.get(number, f"#{number}"), sums)
    return groups


def add(groups: dict[str, Sums], name: str, sums: Sequence[int]) -> None:
    """Add sums to those of a group."""
    former = groups.get(name)
    groups[name] = list(sums) if former is None else [a + b for a, b in zip(former, sums, strict=True)]


def added(parts: Iterable[Sums]) -> Sums:
    """Add sums up."""
    total = [0] * len(SUMS)
    for part in parts:
        total = [a + b for a, b in zip(total, part, strict=True)]
    return total


def as_usage(name: str, sums: Sequence[int]) -> UsageSums:
    """Return sums as reports have them."""
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


def _name_of_target(target: str, price_as: str, by: Grouping) -> str:
    provider, _, model = target.partition("/")
    match by:
        case "model":
            return model
        case "provider":
            return provider
        case "node":
            return provider if NODE in (provider, price_as) else ""
        case _:
            return target


def _average(total: int, count: int) -> int | None:
    return round(total / count) if count else None
