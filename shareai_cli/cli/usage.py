"""`shareai usage`: requests, tokens and costs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.console import note, print_json, print_table
from shareai_cli.cli.invocation import invocation
from shareai_cli.cli.progress import Progress
from shareai_cli.errors import UsageError

if TYPE_CHECKING:
    from shareai_cli.types import UsageReport, UsageSums

app = new_app()

_COLUMNS = (
    "requests", "failed", "incomplete", "refused", "rejected", "cancelled", "prompt_tokens", "cached_tokens",
    "cache_write_tokens", "completion_tokens", "reasoning_tokens", "estimated_tokens", "cost_nano_usd",
    "estimated_cost", "unknown_cost", "average_first_token_us", "average_total_us",
    "hit", "joined",
)  # fmt: skip


@command(app, "usage", example="shareai usage --by model --since 7d")
def usage(
    context: typer.Context,
    by: Annotated[
        Literal["model", "route", "target", "key", "team", "day"] | None,
        typer.Option("--by", help="Group by this."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Only from then on: 30m, 24h, 7d, or 2026-11-01."),
    ] = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Report requests, tokens and costs, in all or by model, route, target, key, team or day.

    PROMPT, CACHED, ANSWER and THINKING are tokens, FIRST and TIME the mean times to the first token and in
    all. A cost marked ~ holds estimates; requests whose cost is not known are counted as UNPRICED.
    FROM CACHE counts answers that were kept, or that an equal request had asked for.
    """
    from shareai_cli.cli.state import open_admin
    from shareai_cli.ledger import parse_since

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other.")
    since_ms = parse_since(since, datetime.now()) if since is not None else None
    with open_admin(invocation(context).paths) as admin, Progress("Adding up the accounts"):
        report = admin.usage(by, since_ms)
    if as_json:
        print_json({"total": report.total, "rows": report.rows, "by": by, "since_ms": since_ms})
    elif as_csv:
        _print_csv(report)
    else:
        _print(report)


def _print_csv(report: UsageReport) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow((report.by or "name", *_COLUMNS))
    rows = [(row.name, row) for row in report.rows] if report.by else [("total", report.total)]
    for name, row in rows:
        writer.writerow((_safe(name), *(getattr(row, column) for column in _COLUMNS)))


def _safe(name: str) -> str:
    """Return a name that no spreadsheet takes for a formula: clients choose some of them."""
    return f"'{name}" if name[:1] in ("=", "+", "-", "@", "\t", "\r") else name


def _print(report: UsageReport) -> None:
    if not report.total.requests:
        note("No requests in that time." if report.since_ms is not None else "No requests yet.")
        return
    rows: list[tuple[str, UsageSums]] = [(row.name or "-", row) for row in report.rows]
    rows.append(("total", report.total))
    shown = [column for column in _SHOWN if column.always or any(column.value(row) for _, row in rows)]
    print_table(
        ((report.by or "").upper(), *(column.heading for column in shown)),
        [(name, *(column.cell(row) for column in shown)) for name, row in rows],
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
