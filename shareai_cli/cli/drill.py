"""`shareai drill`: the smoke tests that were run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.console import note, print_json, print_line, print_table
from shareai_cli.cli.invocation import invocation
from shareai_cli.errors import UsageError

if TYPE_CHECKING:
    from shareai_cli.drill_types import DrillRecord
    from shareai_cli.ledger.drill_changes import Entry

app = new_app("List and show the smoke tests that were run.", example="shareai drill history")

MOST = 500
LATEST = "last"


@command(app, "history", example="shareai drill history --limit 5")
def history(
    context: typer.Context,
    limit: Annotated[
        int, typer.Option("--limit", metavar="NUMBER", min=1, max=MOST, help="So many, the newest first.")
    ] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the smoke tests that were run, the newest first, with the cases that ended otherwise than before.

    --json has their whole reports.
    """
    import msgspec

    from shareai_cli.cli.state import open_admin
    from shareai_cli.ledger.drill_changes import compare

    with open_admin(invocation(context).paths) as admin:
        entries = compare(admin.drill_history(MOST))[:limit]
    if as_json:
        told = [{**one.fields(), "report": msgspec.Raw(one.record.report.encode())} for one in entries]
        print_json({"drills": told})
    elif not entries:
        note("No smoke test was run yet: shareai smoke-test")
    else:
        print_table(("BEGAN", "ID", "CAUSE", "RESULT", "CHANGED"), [_row(one) for one in entries])


@command(app, "show", example="shareai drill show last")
def show(
    context: typer.Context,
    drill: Annotated[
        str, typer.Argument(metavar="ID", help="What 'drill history' lists, or 'last' for the newest.")
    ] = LATEST,
    as_json: JsonOption = False,
) -> None:
    """Show what a smoke test found: each case, and of those that did not pass what was expected.

    --json has the whole report, with every request and its attempts.
    """
    import msgspec

    from shareai_cli.cli.state import open_admin

    with open_admin(invocation(context).paths) as admin:
        record = _named(admin.drill_history(MOST), drill.strip())
    if as_json:
        print_json(msgspec.json.decode(record.report))
        return
    _print(record)


def _named(records: Sequence[DrillRecord], drill: str) -> DrillRecord:
    """Return the drill of that id; raises `UsageError`."""
    found = [one for one in records if drill in (LATEST, one.id)]
    if not found:
        raise UsageError(
            "No smoke test was run yet." if drill == LATEST else f"There is no drill {drill[:40]}.",
            hint="shareai smoke-test runs one, shareai drill history lists them.",
        )
    return found[0]


def _print(record: DrillRecord) -> None:
    from shareai_cli.ledger.drill_changes import findings_of

    findings = findings_of(record)
    print_table(
        ("CHECK", "SUBJECT", "CASE", "RESULT"),
        [(one.check, one.subject, one.case, one.verdict) for one in findings],
    )
    for one in findings:
        if one.verdict != "passed":
            print_line(f"\n{one.verdict}: {one.name}")
            for word, text in (
                ("expected", one.expected),
                ("happened", one.happened),
                ("look at", one.look_at),
            ):
                if text:
                    print_line(f"  {word}: {text}")
    print_line(f"\n{_began(record)}  {record.id}: {record.verdict}")


def _row(entry: Entry) -> tuple[str, ...]:
    record = entry.record
    changed = ", ".join(entry.changes) if len(entry.changes) < 4 else f"{len(entry.changes)} cases"
    return _began(record), record.id, record.cause, record.verdict, changed or "-"


def _began(record: DrillRecord) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.began_ms / 1000))
