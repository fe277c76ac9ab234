"""Drills in lines: what one costs, how one goes on, what its cases found, and how that was before."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rich.text import Text

from shareai_cli.dashboard.choosing import Mark
from shareai_cli.dashboard.drilling import Expected, Finding, Past, is_change, worst_first
from shareai_cli.dashboard.running import RunningDrill
from shareai_cli.dashboard.widgets.rows import Row
from shareai_cli.dashboard.words import bar, duration, money, plain, verdict_words

BAR = 16

MOST_LIVE = 200
"""Cases of a drill under way that are shown, the newest."""

_STYLES = {"passed": "green", "failed": "bold red", "blocked": "yellow", "partly": "yellow"}


def findings_of(shown: RunningDrill | Past) -> list[tuple[int, Finding]]:
    """Return cases, each with its number, as they are shown: of a drill under way the newest first."""
    if isinstance(shown, Past):
        return worst_first(shown.report.findings)
    if shown.ending:
        return worst_first(shown.findings)
    return list(enumerate(shown.findings))[: -MOST_LIVE - 1 : -1]


def cost_words(expected: Expected) -> str:
    """Say what a drill costs."""
    about = f"about {money(expected.nano)}" if expected.nano else "no known cost"
    if not expected.unpriced:
        return about if expected.nano else "free"
    return f"{about}, {expected.unpriced} of unknown price"


def in_words(expected: Expected) -> Iterator[str]:
    """Yield what there is to know before a drill is started."""
    yield f"{expected.cases} cases, {expected.requests} requests that targets answer: {cost_words(expected)}."
    if expected.nano or expected.unpriced:
        yield f"It ends once it has spent {money(expected.most_nano)}, as far as prices are known."
    yield "Faults are injected into these requests alone: nobody else notices."


def progress(running: RunningDrill) -> str:
    """Say how a drill goes on."""
    done, cases = len(running.findings), max(running.expected.cases, 1)
    spent = f"{money(running.cost_nano)}{'+?' if running.has_unknown_cost else ''} spent"
    head = f"{done} of {running.expected.cases} {bar(done / cases, BAR)} {spent}"
    ending = f"{running.ending}  h: history" if running.ending else running.case
    return f"{head}\n{plain(ending)}"


def choice_row(mark: Mark) -> Row:
    """Return a line of what can be chosen."""
    box = "[x]" if mark.is_chosen else "[ ]"
    if not mark.name:
        return mark.key, (Text(f"{box} {mark.group.upper()}", style="bold"), "")
    return mark.key, (f"  {box} {plain(mark.name)}", Text(plain(mark.about), style="dim"))


def past_row(past: Past) -> Row:
    """Return the line of a drill of before."""
    record, findings = past.record, past.report.findings
    passed = sum(one.verdict == "passed" for one in findings)
    counts = f" {passed}/{len(findings)}" if findings else ""
    more = "+?" if past.report.has_unknown_cost else ""
    return (
        record.id,
        (
            began_words(record.began_ms),
            _verdict(record.verdict, counts),
            Text(money(past.report.cost_nano_usd) + more, justify="right"),
            Text(str(past.changes or "-"), justify="right"),
            plain(record.cause),
        ),
    )


def finding_row(number: int, finding: Finding, former: Finding | None) -> Row:
    """Return the line of a case."""
    took = Text(duration(round(finding.lasted * 1e6)), justify="right")
    case = f"{finding.check} {plain(finding.subject)}: {plain(finding.case)}"
    return str(number), (_verdict(finding.verdict), took, before_words(finding, former), case)


def before_words(finding: Finding, former: Finding | None) -> Text:
    """Say how a case had ended before, and what it had taken."""
    if former is None:
        return Text("-")
    if is_change(finding, former):
        return Text(f"! {plain(former.verdict)}", style="bold")
    return Text(f"= {duration(round(former.lasted * 1e6))}")


def _verdict(verdict: str, more: str = "") -> Text:
    return Text(verdict_words(verdict) + more, style=_STYLES.get(verdict, "dim"))


def began_words(time_ms: int) -> str:
    """Say when a drill began."""
    return time.strftime("%m-%d %H:%M", time.localtime(time_ms / 1000))
