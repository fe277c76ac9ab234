"""The words in which every form of a report says the same."""

from __future__ import annotations

from shareai_cli.drill.outcome import Asked, Finding, Report, Verdict
from shareai_cli.types import Attempt

RESULTS = {
    Verdict.PASSED: "passed",
    Verdict.FAILED: "FAILED",
    Verdict.BLOCKED: "could not be run",
    Verdict.SKIPPED: "does not apply",
}


def summary(report: Report) -> str:
    """Say in one line how a drill ended."""
    counts = [f"{report.count(verdict)} {word.lower()}" for verdict, word in RESULTS.items()]
    seconds = (report.ended_ms - report.began_ms) / 1000
    return f"{', '.join(counts)}; {report.requests} requests, {cost(report)}, {seconds:.1f} s"


def cost(report: Report) -> str:
    """Say what a drill cost."""
    more = " and what has no known price" if report.has_unknown_cost else ""
    return f"{report.cost_nano / 1e9:.6f} USD{more}"


def money(asked: Asked) -> str:
    """Say what a request cost."""
    row = asked.row
    if row is None or row.cost_nano is None:
        return "unknown"
    return f"{'~' if row.basis == 'estimated' else ''}{row.cost_nano / 1e9:.6f}"


def milliseconds(seconds: float | None) -> str:
    """Write a duration."""
    return "-" if seconds is None else f"{seconds * 1000:,.0f} ms"


def ending(attempt: Attempt) -> str:
    """Say how an attempt ended."""
    return f"HTTP {attempt.status}" if attempt.outcome == "status" else attempt.outcome


def attempts_of(finding: Finding) -> tuple[Attempt, ...]:
    """Return the attempts of a case's first request: its timeline."""
    row = finding.asked[0].row if finding.asked else None
    return row.attempts if row is not None else ()


def chain(attempts: tuple[Attempt, ...]) -> str:
    """Tell attempts in their order, with the time that each took."""
    return " -> ".join(
        f"{one.target} {ending(one)} {milliseconds(one.duration_us / 1e6)}" for one in attempts
    )


def bar(attempts: tuple[Attempt, ...], width: int) -> str:
    """Draw attempts as a line of time: `x` failed, `=` answered; each is seen, however short it was."""
    total = sum(one.duration_us for one in attempts) or 1
    room = max(width - 2 * len(attempts) - 1, 0)
    parts = ("x="[one.outcome == "ok"] * (1 + int(room * one.duration_us / total)) for one in attempts)
    return f"|{'|'.join(parts)}|"


def failure(finding: Finding) -> list[tuple[str, str]]:
    """Return what there is to say of a case that did not pass: each word and what follows it."""
    said = (("expected", finding.expected), ("happened", finding.happened), ("look at", finding.look_at))
    return [(word, text) for word, text in said if text]
