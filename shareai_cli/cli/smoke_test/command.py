"""The command line of `shareai smoke-test`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shareai_cli.cli.asking import YesOption
from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import note, print_json
from shareai_cli.cli.invocation import invocation
from shareai_cli.errors import ExitCode, StateError, UsageError

if TYPE_CHECKING:
    from shareai_cli.drill.outcome import Report
    from shareai_cli.drill_types import CheckName

app = new_app()

CHECKS: Final = ("answers", "failover", "cost", "cache", "limits")
DEFAULT_COST: Final = 0.05


@command(app, "smoke-test", example="shareai smoke-test --simulate")
def smoke_test(
    context: typer.Context,
    routes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ROUTE]...", help="The routes; without any, all of them.", autocompletion=known.routes
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="CHECKS", help=f"Only these, with commas: {','.join(CHECKS)}."),
    ] = None,
    route: Annotated[
        list[str] | None,
        typer.Option("--route", metavar="ROUTE", help="The same as ROUTE.", autocompletion=known.routes),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            metavar="TARGET",
            help="Only this target, provider/model; can be repeated.",
            autocompletion=known.targets,
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", min=1.0, max=600.0, help="Time limit of each reply."),
    ] = 60.0,
    repeat: Annotated[
        int, typer.Option("--repeat", metavar="NUMBER", min=1, max=100, help="Run it so many times.")
    ] = 1,
    max_cost: Annotated[
        float, typer.Option("--max-cost", metavar="USD", min=0.0, help="What it may spend at most.")
    ] = DEFAULT_COST,
    yes: YesOption = False,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Drill simulated providers: needs no key and costs nothing.")
    ] = False,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write a JUnit report, for CI.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page.")] = None,
    cause: Annotated[str, typer.Option("--cause", hidden=True, help="What the history says.")] = "command",
    as_json: JsonOption = False,
) -> None:
    """Prove that routes answer, fail over and cost as they should.

    Small real requests are sent through the gateway that runs, or through one that is started for this long.
    Faults are injected inside the gateway into these requests only: no other client notices any of it, what
    the gateway knows of its targets stays as it is, and reports of usage leave these requests out. A target
    that is made to stall is waited for a second, whatever it is given otherwise, and nothing is hedged.

    In continuous integration: shareai smoke-test --yes --max-cost 0.02 --junit report.xml

    Exits with 0 where everything passed, 1 where something failed, 6 where some of it could not be run.
    """
    from shareai_cli.cli.smoke_test.drilling import Wanted, drill

    run = invocation(context)
    wanted = Wanted(
        routes=tuple(dict.fromkeys([*(routes or ()), *(route or ())])),
        targets=tuple(dict.fromkeys(target or ())),
        checks=_checks(only),
        seconds=timeout,
        repeat=repeat,
        most_nano=round(max_cost * 1e9),
        yes=yes or simulate,
        simulate=simulate,
        cause=cause[:64],
    )
    if simulate and (wanted.routes or wanted.targets):
        raise UsageError("--simulate drills a route of its own.", hint="shareai smoke-test --simulate")
    _check_folders(junit, html)
    report = drill(run, wanted, shows=not as_json)
    if as_json:
        from shareai_cli.drill.report import as_fields

        print_json(as_fields(report))
    _write_files(report, junit, html)
    _end(report)


def _checks(only: str | None) -> tuple[CheckName, ...]:
    """Return the checks that are named; raises `UsageError`."""
    if only is None:
        return ()
    from shareai_cli.nearest import nearest

    named = [word.strip() for word in only.split(",") if word.strip()]
    for word in named:
        if word not in CHECKS:
            near = nearest(word, CHECKS)
            raise UsageError(
                f"There is no check '{word[:40]}'.",
                hint=f"Did you mean '{near}'?" if near else f"There are: {', '.join(CHECKS)}.",
            )
    if not named:
        raise UsageError("--only names no check.", hint=f"There are: {', '.join(CHECKS)}.")
    return tuple(check for check in CHECKS if check in named)


def _check_folders(*files: Path | None) -> None:
    """Raise `UsageError` where a file has no folder, before anything is spent on what goes into it."""
    for file in files:
        if file is not None and not file.absolute().parent.is_dir():
            raise UsageError(f"There is no folder {file.absolute().parent} for {file.name}.")


def _write_files(report: Report, junit: Path | None, html: Path | None) -> None:
    """Write the report's files; raises `StateError`."""
    from shareai_cli.drill.report import as_html, as_junit

    for file, text in ((junit, as_junit), (html, as_html)):
        if file is None:
            continue
        try:
            file.write_text(text(report), encoding="utf-8")
        except OSError as error:
            raise StateError(f"{file} cannot be written: {error.strerror}.") from None
        note(f"Written: {file}")


def _end(report: Report) -> None:
    """End the command as the drill did."""
    codes = {"passed": ExitCode.OK, "failed": ExitCode.FAILURE, "partly": ExitCode.PARTLY}
    if report.verdict != "passed":
        raise typer.Exit(codes[report.verdict])
