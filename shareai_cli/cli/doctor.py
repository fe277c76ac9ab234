"""`shareai doctor`: looks at everything that the gateway needs, and says what mends what is wrong."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.console import is_styled, note, print_json, printable
from shareai_cli.cli.invocation import Invocation, invocation
from shareai_cli.cli.program import as_called
from shareai_cli.cli.progress import Progress
from shareai_cli.errors import ConfigurationError, ExitCode

if TYPE_CHECKING:
    from shareai_cli.cli.checks.finding import Check, Finding, Level, Subject

app = new_app()

_LEVEL_WIDTH = 8
_NAME_WIDTH = 16
_INDENT = _LEVEL_WIDTH + 1 + _NAME_WIDTH + 1
_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red", "skipped": None}


@command(app, "doctor", example="shareai doctor")
def doctor(context: typer.Context, as_json: JsonOption = False) -> None:
    """Look at the installation, the files, the network and the gateway, and say what mends what is wrong.

    Changes nothing, sends no key and costs nothing. Exits with 1 where something is broken, with 6 where
    there are warnings alone.
    """
    from shareai_cli.cli.checks.network import compare_clocks
    from shareai_cli.cli.checks.running import run_checks

    subject = _subject(invocation(context))
    checks = _checks(subject)
    with Progress("Looking", len(checks), "things") as progress:
        findings = run_checks(checks, subject, progress.reach)
    findings.append(compare_clocks(findings))
    code = _exit_code(findings)
    if as_json:
        print_json({"ok": code == ExitCode.OK, "findings": findings})
    else:
        _print(findings)
    if code != ExitCode.OK:
        raise typer.Exit(code)


def _subject(run: Invocation) -> Subject:
    from shareai_cli.cli.checks.finding import Finding, Subject
    from shareai_cli.config import Settings

    try:
        settings = run.settings()
    except ConfigurationError as error:
        problem = Finding("configuration", "problem", error.message, error.hint or "shareai config check")
        return Subject(run.paths, run.file, run.environ, Settings(), problem)
    return Subject(run.paths, run.file, run.environ, settings)


def _checks(subject: Subject) -> list[Check]:
    """Return everything that is looked at, in the order in which it is told."""
    from shareai_cli.cli.checks import gateway, installation, network, system
    from shareai_cli.cli.checks.finding import Check

    return [
        Check("program", installation.check_program),
        Check("llama.cpp", installation.check_llama),
        Check("SQLite", installation.check_sqlite),
        Check("keyring", installation.check_keyring),
        Check("permissions", system.check_permissions),
        Check("disk", system.check_disk),
        Check("open files", system.check_open_files),
        Check("configuration", gateway.check_configuration),
        Check("gateway", gateway.check_gateway),
        Check("proxies", network.check_proxies),
        *network.provider_checks(list(subject.settings.providers.values())),
    ]


def _exit_code(findings: Sequence[Finding]) -> ExitCode:
    levels = {one.level for one in findings}
    if "problem" in levels:
        return ExitCode.FAILURE
    return ExitCode.PARTLY if "warning" in levels else ExitCode.OK


def _print(findings: Sequence[Finding]) -> None:
    for one in findings:
        head = f"{_marked(one.level)} {one.name:{_NAME_WIDTH}} "
        _print_lines(head, one.text if one.text.endswith((".", "?")) else f"{one.text}.")
        if one.mend:
            _print_lines(" " * _INDENT, as_called(one.mend))
    counts = {level: sum(one.level == level for one in findings) for level in ("problem", "warning")}
    said = [f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts.items() if count]
    note(f"\n{' and '.join(said)}." if said else "\nNothing is wrong.")


def _print_lines(head: str, text: str) -> None:
    """Print a text behind a head: on a terminal in lines that fit it, elsewhere in one."""
    lines = [printable(text)]
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - _INDENT
        # What can be pasted stays in one piece wherever it has no spaces.
        lines = textwrap.wrap(lines[0], max(width, 20), break_long_words=False, break_on_hyphens=False)
    for line in lines:
        sys.stdout.write(f"{head}{line}\n")
        head = " " * _INDENT


def _marked(level: Level) -> str:
    """Return a level's column, in its colour on a terminal that has some."""
    text = f"{level:{_LEVEL_WIDTH}}"
    if not is_styled(sys.stdout):
        return text
    return typer.style(text, fg=_COLOURS[level])
