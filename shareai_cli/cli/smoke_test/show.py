"""Prints a drill's report for a person."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Final

import typer

from shareai_cli.cli.console import is_styled, note, print_line, print_table, printable
from shareai_cli.cli.program import as_called
from shareai_cli.drill.outcome import Asked, Finding, Report, Verdict, failing
from shareai_cli.drill.report.words import (
    RESULTS,
    attempts_of,
    bar,
    chain,
    failure,
    milliseconds,
    money,
    summary,
)
from shareai_cli.types import Attempt

LINE: Final = 30
"""Characters of a line of time."""

LONGEST_TEXT: Final = 60
"""Characters of an answer that are shown."""

_COLOURS = {Verdict.FAILED: "red", Verdict.BLOCKED: "yellow"}


def show(report: Report, *, is_kept: bool) -> None:
    """Print the table of cases, the failovers, the targets side by side, and what did not pass."""
    print_table(
        ("CHECK", "SUBJECT", "CASE", "RESULT", "HTTP", "FIRST", "TIME", "TOKENS", "TOKENS/S", "USD"),
        [_row(one) for one in report.findings],
    )
    _print_failovers(report.findings)
    _print_costs(report.findings)
    _print_rest(report.findings)
    print_line()
    print_line(f"{report.verdict}: {summary(report)}")
    if is_kept:
        note(f"shareai drill history lists this one, {report.id}, and those before.")


def _row(finding: Finding) -> tuple[object, ...]:
    asked = finding.asked[0] if finding.asked else None
    return (
        finding.check,
        finding.subject,
        finding.case,
        RESULTS[finding.verdict],
        (asked.status or "-") if asked is not None else "-",
        milliseconds(asked.first_seconds) if asked is not None else "-",
        milliseconds(asked.seconds) if asked is not None else "-",
        _tokens(asked) if asked is not None else "-",
        _pace(asked),
        money(asked) if asked is not None else "-",
    )


def _pace(asked: Asked | None) -> str:
    pace = asked.tokens_per_second if asked is not None else None
    return "-" if pace is None else f"{pace:,.0f}"


def _print_failovers(findings: Iterable[Finding]) -> None:
    drawn = [one for one in findings if one.check == "failover" and len(attempts_of(one)) > 1]
    if not drawn:
        return
    print_line()
    print_line("Failovers (x failed, = answered), and the time that each cost")
    width = max(len(f"{one.subject}, {one.case}") for one in drawn)
    for one in drawn:
        attempts, head = attempts_of(one), f"{one.subject}, {one.case}"
        print_line(f"  {head:{width}}  {bar(attempts, LINE):{LINE}}  {_lost(attempts):>8}  {chain(attempts)}")
    for caveat in dict.fromkeys(line for one in drawn for line in one.note.split("\n")[1:]):
        print_line(f"  {caveat}")


def _lost(attempts: Sequence[Attempt]) -> str:
    return milliseconds(failing(attempts))


def _print_costs(findings: Iterable[Finding]) -> None:
    asked = [asked for one in findings if one.check == "cost" for asked in one.asked]
    if not asked:
        return
    print_line()
    print_table(
        ("TARGET", "TOKENS", "USD", "TIME", "TEXT"),
        [(one.model, _tokens(one), money(one), milliseconds(one.seconds), _short(one.text)) for one in asked],
    )


def _tokens(asked: Asked) -> str:
    return "-" if asked.tokens is None else str(asked.tokens.total)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 3]}..."


def _print_rest(findings: Iterable[Finding]) -> None:
    """Print what did not pass, and why; what does not apply in one line for each reason."""
    skipped: dict[str, list[str]] = {}
    for one in findings:
        head = f"{one.check}, {one.subject}, {one.case}"
        if one.verdict is Verdict.SKIPPED:
            skipped.setdefault(one.happened, []).append(head)
        elif one.verdict is not Verdict.PASSED:
            print_line()
            said = printable(f"{RESULTS[one.verdict]}: {head}")
            sys.stdout.write(f"{_coloured(said, one.verdict)}\n")
            for word, text in failure(one):
                print_line(f"  {word}: {as_called(text)}")
    if skipped:
        print_line()
    for reason, heads in skipped.items():
        print_line(f"{RESULTS[Verdict.SKIPPED]}: {'; '.join(heads)}: {as_called(reason)}")


def _coloured(text: str, verdict: Verdict) -> str:
    return typer.style(text, fg=_COLOURS.get(verdict)) if is_styled(sys.stdout) else text
