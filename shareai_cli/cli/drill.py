"""`shareai drill`: the smoke tests that were run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.console import note, print_json, print_table
from shareai_cli.cli.invocation import invocation

if TYPE_CHECKING:
    from shareai_cli.drill.history import Entry

app = new_app("List the smoke tests that were run.", example="shareai drill history")


@command(app, "history", example="shareai drill history --limit 5")
def history(
    context: typer.Context,
    limit: Annotated[
        int, typer.Option("--limit", metavar="NUMBER", min=1, max=500, help="So many, the newest first.")
    ] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the smoke tests that were run, the newest first, with what changed from one to the next.

    --json has their whole reports.
    """
    import msgspec

    from shareai_cli.cli.state import open_admin
    from shareai_cli.drill.history import compare

    with open_admin(invocation(context).paths) as admin:
        records = admin.drill_history(limit)
    entries = compare(records)
    if as_json:
        print_json(
            {"drills": [{**one.fields(), "report": msgspec.Raw(one.record.report)} for one in entries]}
        )
        return
    if not entries:
        note("No smoke test was run yet: shareai smoke-test")
        return
    print_table(("BEGAN", "ID", "CAUSE", "RESULT", "CHANGED"), [_row(one) for one in entries])


def _row(entry: Entry) -> tuple[str, ...]:
    record = entry.record
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.began_ms / 1000))
    return began, record.id, record.cause, record.verdict, ", ".join(entry.changes) or "-"
