"""Sums over requests as the table of `shareai usage`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from shareai_cli.cli.console import print_table

if TYPE_CHECKING:
    from shareai_cli.types import UsageSums


def print_sums(
    heading: str, rows: Sequence[tuple[Sequence[str], UsageSums]], further: Sequence[str] = ()
) -> None:
    """Print rows, each with its name and what `further` columns tell of it; columns of zeros are left out."""
    shown = [column for column in _SHOWN if column.always or any(column.value(sums) for _, sums in rows)]
    print_table(
        (heading, *(column.heading for column in shown), *further),
        [(name, *(column.cell(sums) for column in shown), *told) for (name, *told), sums in rows],
    )


def _not_ok(row: UsageSums) -> int:
    return row.failed + row.incomplete + row.refused + row.rejected + row.cancelled


def _money(row: UsageSums) -> str:
    if row.unknown_cost == row.requests:
        return "unknown"
    about = "~" if row.estimated_cost else ""
    return f"{about}{row.cost_nano_usd / 1e9:,.6f}"


def _milliseconds(microseconds: int | None) -> str:
    return "-" if microseconds is None else f"{microseconds / 1000:,.0f} ms"


class _Column(NamedTuple):
    """A column of the table; one that is not shown `always` is left out where it has nothing but zeros."""

    heading: str
    value: Callable[[UsageSums], int]
    cell: Callable[[UsageSums], str]
    always: bool = True


def _counted(heading: str, value: Callable[[UsageSums], int], *, always: bool = True) -> _Column:
    return _Column(heading, value, lambda row: f"{value(row):,}", always)


_SHOWN = (
    _counted("REQUESTS", lambda row: row.requests),
    _counted("NOT OK", _not_ok),
    _counted("FROM CACHE", lambda row: row.hit + row.joined, always=False),
    _counted("PROMPT", lambda row: row.prompt_tokens),
    _counted("CACHED", lambda row: row.cached_tokens, always=False),
    _counted("ANSWER", lambda row: row.completion_tokens),
    _counted("THINKING", lambda row: row.reasoning_tokens, always=False),
    _Column("COST USD", lambda row: row.cost_nano_usd, _money),
    _counted("UNPRICED", lambda row: row.unknown_cost, always=False),
    _Column(
        "FIRST",
        lambda row: row.average_first_token_us or 0,
        lambda row: _milliseconds(row.average_first_token_us),
    ),
    _Column("TIME", lambda row: row.average_total_us or 0, lambda row: _milliseconds(row.average_total_us)),
)
