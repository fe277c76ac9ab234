"""What reports add up: sums over hourly sums, and over rows where an hour is only in part asked for.

`hourly` holds the sums of each hour by route, target, key and team, kept in the transaction that writes the
rows, so a report reads some thousand sums instead of a million rows, and parts of an hour from the rows
themselves: `hours` tells which requests are an hour's. The requests of drills are in none of these sums.
"""

from __future__ import annotations

from typing import Final

from shareai_cli.ledger.codes import BASES, OUTCOMES
from shareai_cli.types import CostBasis, Outcome

HOUR_MS: Final = 3_600_000

DIMENSIONS: Final = {"route": 1, "target": 2, "key": 3, "team": 4}
"""What hourly sums are kept by: columns of `requests`, and their numbers in `hourly`."""

SUMS: Final = {
    "requests": "count(*)",
    "failed": f"sum(outcome = {OUTCOMES.index(Outcome.FAILED)})",
    "incomplete": f"sum(outcome = {OUTCOMES.index(Outcome.INCOMPLETE)})",
    "cancelled": f"sum(outcome = {OUTCOMES.index(Outcome.CANCELLED)})",
    "refused": f"sum(outcome = {OUTCOMES.index(Outcome.REFUSED)})",
    "rejected": f"sum(outcome = {OUTCOMES.index(Outcome.REJECTED)})",
    "hit": f"sum(outcome = {OUTCOMES.index(Outcome.HIT)})",
    "joined": f"sum(outcome = {OUTCOMES.index(Outcome.JOINED)})",
    "prompt": "sum(prompt)",
    "cached": "sum(cached)",
    "cache_write": "sum(cache_write)",
    "completion": "sum(completion)",
    "reasoning": "sum(reasoning)",
    "estimated_tokens": "sum(estimated_tokens)",
    "cost_nano": "coalesce(sum(cost_nano), 0)",
    "estimated_cost": f"sum(basis = {BASES.index(CostBasis.ESTIMATED)})",
    "unknown_cost": f"sum(basis = {BASES.index(CostBasis.UNKNOWN)})",
    "first_tokens": "sum(first_token_us > 0)",
    "first_token_us": "sum(first_token_us)",
    "total_us": "sum(total_us)",
}
"""Each sum's column in `hourly`, and what it is over rows; `HourlySums` works out the same."""

_OVER_ROWS = ", ".join(SUMS.values())
_OVER_SUMS = ", ".join(f"sum({name})" for name in SUMS)


def sums_by_name(dimension: str) -> str:
    """Return the query of the sums from `:first` to before `:last`, in whole hours: name id, then `SUMS`."""
    return (
        f"SELECT name, {_OVER_SUMS} FROM hourly WHERE dimension = {DIMENSIONS[dimension]} "  # noqa: S608
        "AND hour >= :first AND hour < :last GROUP BY name"
    )


def sums_by_hour() -> str:
    """Return the query of the sums of each hour from `:first` to before `:last`: hour, then `SUMS`."""
    return (
        f"SELECT hour, {_OVER_SUMS} FROM hourly WHERE dimension = {DIMENSIONS['route']} "  # noqa: S608
        "AND hour >= :first AND hour < :last GROUP BY hour"
    )


def sums_within_hour(dimension: str) -> str:
    """Return the query of the sums over the rows of hour `:hour` from `:start` to before `:end`."""
    return (
        f"SELECT {dimension}, {_OVER_ROWS} FROM requests "  # noqa: S608 - constants
        "WHERE id >= (SELECT first_id FROM hours WHERE hour = :hour) "
        "AND id <= (SELECT last_id FROM hours WHERE hour = :hour) "
        f"AND time_ms >= :start AND time_ms < :end AND drill = 0 GROUP BY {dimension}"
    )


def sums_of_drill(dimension: str) -> str:
    """Return the query of the sums over the rows of drill `:drill`, whose requests all have larger ids."""
    return (
        f"SELECT {dimension}, {_OVER_ROWS} FROM requests "  # noqa: S608 - constants
        f"WHERE id > :drill AND drill = :drill GROUP BY {dimension}"
    )
