"""A report as one page that needs nothing else: no script, no picture, nothing from a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from html import escape

from shareai_cli.drill.outcome import Asked, Finding, Report, Verdict
from shareai_cli.drill.report.words import (
    RESULTS,
    attempts_of,
    ending,
    failure,
    milliseconds,
    money,
    summary,
)
from shareai_cli.drill_types import CHECKS
from shareai_cli.types import Attempt

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 2rem; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.6rem; border-bottom: 1px solid #8884; }
td.number { text-align: right; white-space: nowrap; }
.passed { color: #18794e; } .failed { color: #cd2b31; font-weight: 600; }
.blocked { color: #ad5700; } .skipped { color: #777; }
.line { display: flex; gap: 2px; height: 1rem; margin: 0.2rem 0; }
.line span { min-width: 3px; background: #cd2b31; } .line span.ok { background: #18794e; }
small { color: #777; }
"""


def as_html(report: Report) -> str:
    """Return the whole page; nothing in it that came from outside can be more than text."""
    began = datetime.fromtimestamp(report.began_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>ShareAI smoke test</title>',
        f"<style>{_STYLE}</style></head><body><h1>ShareAI smoke test: {_verdict(report)}</h1>",
        f"<p>{escape(summary(report))}.<br><small>{escape(report.id)}, {began}</small></p>",
    ]
    for check in CHECKS:
        findings = [one for one in report.findings if one.check == check]
        if findings:
            parts += [f"<h2>{check}</h2>", *_table(findings)]
            if check == "cost":
                parts += _side_by_side(findings)
    return "\n".join([*parts, "</body></html>\n"])


def _verdict(report: Report) -> str:
    kind = {"passed": "passed", "failed": "failed", "partly": "blocked"}[report.verdict]
    return f'<span class="{kind}">{report.verdict}</span>'


def _table(findings: Iterable[Finding]) -> Iterator[str]:
    headings = ("Subject", "Case", "Result", "HTTP", "First", "Time", "Tokens", "Tokens/s", "USD", "")
    yield f"<table><tr>{''.join(f'<th>{one}</th>' for one in headings)}</tr>"
    for one in findings:
        numbers = _numbers(one.asked[0]) if one.asked else ["-"] * 6
        cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
        yield (
            f"<tr><td>{escape(one.subject)}</td><td>{escape(one.case)}</td>"
            f'<td class="{one.verdict}">{RESULTS[one.verdict]}</td>{cells}<td>{_more(one)}</td></tr>'
        )
    yield "</table>"


def _numbers(asked: Asked) -> list[str]:
    pace = asked.tokens_per_second
    return [
        str(asked.status or "-"),
        milliseconds(asked.first_seconds),
        milliseconds(asked.seconds),
        _tokens(asked),
        "-" if pace is None else f"{pace:,.0f}",
        money(asked),
    ]


def _more(finding: Finding) -> str:
    said = [escape(line) for line in finding.note.splitlines()]
    if finding.verdict is not Verdict.PASSED:
        said += [f"<b>{word}</b>: {escape(text)}" for word, text in failure(finding)]
    if finding.check == "failover" and (attempts := attempts_of(finding)):
        said.append(_line(attempts))
    return "<br>".join(said)


def _line(attempts: tuple[Attempt, ...]) -> str:
    """Draw attempts as a line of time."""
    spans, words = [], []
    for one in attempts:
        took = milliseconds(one.duration_us / 1e6)
        words.append(f"{escape(one.target)} {escape(ending(one))} {took}")
        kind = ' class="ok"' if one.outcome == "ok" else ""
        spans.append(f'<span{kind} style="flex-grow:{max(one.duration_us, 1)}"></span>')
    return f'<div class="line">{"".join(spans)}</div><small>{" &rarr; ".join(words)}</small>'


def _side_by_side(findings: Iterable[Finding]) -> Iterator[str]:
    yield "<table><tr><th>Target</th><th>Text</th><th>Tokens</th><th>USD</th><th>Time</th></tr>"
    for asked in (asked for one in findings for asked in one.asked):
        yield (
            f"<tr><td>{escape(asked.model)}</td><td>{escape(asked.text)}</td>"
            f'<td class="number">{_tokens(asked)}</td><td class="number">{money(asked)}</td>'
            f'<td class="number">{milliseconds(asked.seconds)}</td></tr>'
        )
    yield "</table>"


def _tokens(asked: Asked) -> str:
    if asked.tokens is None:
        return "-"
    return f"{asked.tokens.prompt_tokens} + {asked.tokens.completion_tokens}"
