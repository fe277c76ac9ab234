"""`shareai audit`: the record of changes, each row of which vouches for the one before it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.console import note, print_json, print_line, print_table
from shareai_cli.cli.invocation import invocation
from shareai_cli.errors import ExitCode, UsageError
from shareai_cli.new_file import new_private_file

if TYPE_CHECKING:
    from shareai_cli.client import Admin
    from shareai_cli.types import AuditFault, AuditRow, AuditVerdict

app = new_app("List, verify and export the record of changes.", example="shareai audit list")

PAGE = 200
"""Rows that an export asks for at once: some hold whole sections of a configuration."""


@command(app, "list", example="shareai audit list --since 7d")
def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="The latest so many.")] = 20,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Only from then on: 30m, 24h, 7d, or 2026-11-01."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List changes of keys, teams, nodes, the cache and the configuration, and refusals, the latest last.

    WHO is the user whose command it was, as that command says. --json tells what was before and after.
    """
    from shareai_cli.cli.state import open_admin
    from shareai_cli.ledger import parse_since

    since_ms = parse_since(since, datetime.now()) if since is not None else None
    with open_admin(invocation(context).paths) as admin:
        rows = admin.audit(limit, since_ms)
    if as_json:
        print_json({"rows": rows})
    elif not rows:
        note("No changes in that time." if since is not None else "No changes yet.")
    else:
        print_table(
            ("ID", "WHEN", "WHO", "FROM", "WHAT", "SUBJECT", "WHICH"),
            [
                (one.id, _moment(one.time_ms), one.actor, one.origin, one.action, one.subject, _which(one))
                for one in rows
            ],
        )


@command(app, "verify", example="shareai audit verify")
def verify(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="An export, of whichever machine; without one, the audit here."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find rows that were changed, removed or inserted, and name each; exits with 1 where there are such.

    Whoever may write the database can write all of it anew. Note down the last hash elsewhere now and then,
    or keep an export there: against these such a forgery is seen too. Of a FILE nothing tells whether rows
    are missing at its end: its last hash has to be that of the same row here, 'shareai audit list --json'.
    """
    verdict = _verify_here(context) if file is None else _verify_file(file)
    if as_json:
        is_whole = not verdict.faults
        print_json({"whole": is_whole, "rows": verdict.rows, "head": verdict.head, "faults": verdict.faults})
    elif not verdict.faults:
        what = "The audit" if file is None else f"{file}"
        print_line(f"{what} is whole: {_count(verdict.rows)}, the last hash is {verdict.head}.")
    else:
        for fault in verdict.faults:
            print_line(f"{_named(fault)}: {fault.text}.")
        note(
            "The audit was tampered with, or the database is damaged. A backup or an export tells what was."
            if file is None
            else f"{file} is not as it was written."
        )
    if verdict.faults:
        raise typer.Exit(ExitCode.FAILURE)


def _which(row: AuditRow) -> str:
    """Say what of the subject was changed, which limit is used up, or why something was refused."""
    before, after = _fields(row.before), _fields(row.after)
    if "reason" in after:
        number = after.get("number")
        return f"{after['reason']}" + (f", {number} times" if number != 1 else "")
    if row.action.endswith(".change"):
        return ", ".join(name for name in {**before, **after} if before.get(name) != after.get(name))
    return str(after.get("limit", ""))


def _fields(text: str | None) -> dict[str, Any]:
    """Return the fields of a JSON object; nothing where it is none: rows may have been tampered with."""
    import msgspec

    try:
        return msgspec.json.decode(text or "", type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return {}


def _verify_here(context: typer.Context) -> AuditVerdict:
    from shareai_cli.cli.state import open_admin

    with open_admin(invocation(context).paths) as admin:
        return admin.verify_audit()


def _verify_file(file: Path) -> AuditVerdict:
    from shareai_cli.ledger import verify_export

    return verify_export(file)


@command(app, "export", example="shareai audit export audit.jsonl")
def export(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to; standard output without one.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write every row with its hash as JSON Lines, so that the chain can be verified elsewhere.

    A row's `hash` is the SHA-256 of the JSON array [id, time_ms, actor, origin, action, subject, before,
    after, previous], in ASCII without spaces; `previous` is the hash of the row before, zeros in the first.
    A file that exists is left as it is. --json tells how many rows went into FILE.
    """
    from shareai_cli.cli.state import open_admin

    if as_json and file is None:
        raise UsageError("--json tells of a file.", hint="shareai audit export audit.jsonl --json")
    with open_admin(invocation(context).paths) as admin:
        if file is None:
            for row in _every(admin):
                sys.stdout.write(_line(row))
            return
        count, head = _write(file, _every(admin))
    if as_json:
        print_json({"file": file, "rows": count, "head": head})
    else:
        print_line(f"{file}: {_count(count)}, the last hash is {head}.")


def _every(admin: Admin) -> Iterator[AuditRow]:
    after = 0
    while rows := admin.audit(PAGE, None, after):
        yield from rows
        after = rows[-1].id


def _write(file: Path, rows: Iterator[AuditRow]) -> tuple[int, str]:
    """Write a new file that its owner alone reads; return how many rows went there, and the last hash."""
    count, head = 0, ""
    with new_private_file(file) as lines:
        for row in rows:
            lines.write(_line(row))
            count, head = count + 1, row.hash
    return count, head


def _line(row: AuditRow) -> str:
    """Return a row as a line of JSON, in ASCII: exact, and harmless on a terminal."""
    import json

    from msgspec.structs import asdict

    return json.dumps(asdict(row)) + "\n"


def _named(fault: AuditFault) -> str:
    if not fault.first and not fault.last:
        return "The end"
    return f"Row {fault.first}" if fault.first == fault.last else f"Rows {fault.first} to {fault.last}"


def _count(rows: int) -> str:
    return f"{rows:,} {'row' if rows == 1 else 'rows'}"


def _moment(milliseconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(milliseconds / 1000))
