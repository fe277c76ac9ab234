"""`shareai usage`: requests, tokens and costs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.console import note, print_json
from shareai_cli.cli.invocation import invocation
from shareai_cli.cli.progress import Progress
from shareai_cli.cli.usage_table import print_sums
from shareai_cli.errors import UsageError

if TYPE_CHECKING:
    from shareai_cli.types import PromptUse, UsageReport, UsageSums

app = new_app()

MOST_PROMPTS = 20


@command(app, "usage", example="shareai usage --by model --since 7d")
def usage(
    context: typer.Context,
    by: Annotated[
        Literal["model", "route", "target", "provider", "node", "key", "team", "day", "prompt"] | None,
        typer.Option("--by", help="Group by this."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Only from then on: 30m, 24h, 7d, or 2026-11-01."),
    ] = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Report requests, tokens and costs, in all or by model, route, target, provider, key, team, day...

    --by node tells your own machines apart, all others being -. --by prompt lists what cost the most:
    requests with equal prompts together, told by a salted hash; 'shareai explain' tells of their LATEST.

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
        if by == "prompt":
            prompts = admin.dearest_prompts(since_ms, MOST_PROMPTS)
        else:
            report = admin.usage(by, since_ms)
    if by == "prompt":
        _print_prompts(prompts, since_ms, as_json=as_json, as_csv=as_csv)
    elif as_json:
        print_json({"total": report.total, "rows": report.rows, "by": by, "since_ms": since_ms})
    elif as_csv:
        _print_csv(report)
    else:
        _print(report)


def _print_csv(report: UsageReport) -> None:
    from shareai_cli.tabular import usage_csv

    rows = [(row.name, row) for row in report.rows] if report.by else [("total", report.total)]
    sys.stdout.write(usage_csv(report.by or "name", [((name,), row) for name, row in rows]))


def _print(report: UsageReport) -> None:
    if not report.total.requests:
        _note_nothing(report.since_ms)
        return
    rows: list[tuple[Sequence[str], UsageSums]] = [((row.name or "-",), row) for row in report.rows]
    print_sums((report.by or "").upper(), [*rows, (("total",), report.total)])


def _print_prompts(
    prompts: Sequence[PromptUse], since_ms: int | None, *, as_json: bool, as_csv: bool
) -> None:
    from shareai_cli.tabular import usage_csv

    rows = [((one.sums.name, one.route, one.latest), one.sums) for one in prompts]
    if as_json:
        print_json({"prompts": prompts, "by": "prompt", "since_ms": since_ms})
    elif as_csv:
        sys.stdout.write(usage_csv("prompt", rows, ("route", "latest_request")))
    elif not prompts:
        _note_nothing(since_ms)
    else:
        print_sums("PROMPT", rows, ("ROUTE", "LATEST"))


def _note_nothing(since_ms: int | None) -> None:
    note("No requests in that time." if since_ms is not None else "No requests yet.")
