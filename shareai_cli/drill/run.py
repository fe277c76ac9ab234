"""Runs cases one after another, and makes their report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from shareai_cli.drill.case import Blocked, Case, Skipped, Unmet
from shareai_cli.drill.outcome import Finding, Report, Verdict
from shareai_cli.drill.session import Session, SpentError
from shareai_cli.drill_types import BY_HAND
from shareai_cli.errors import ShareAIError
from shareai_cli.types import WallClock


class Watcher(Protocol):
    """Who is told how a drill goes on."""

    def began(self, case: Case) -> None:
        """Take in that a case is run now."""

    def ended(self, finding: Finding) -> None:
        """Take in what it found."""


async def run(
    session: Session,
    cases: Sequence[Case],
    watcher: Watcher,
    *,
    cause: str = BY_HAND,
    wall_clock: WallClock = time.time,
) -> Report:
    """Begin a drill, run every case, and return the report; raises `ShareAIError` where none can begin."""
    began_ms = int(wall_clock() * 1000)
    drill = await session.begin()
    findings: list[Finding] = []
    for case in cases:
        watcher.began(case)
        finding = await _find(session, case)
        findings.append(finding)
        watcher.ended(finding)
    return Report(
        id=drill,
        began_ms=began_ms,
        ended_ms=int(wall_clock() * 1000),
        cause=cause,
        findings=tuple(findings),
        cost_nano=session.cost_nano,
        has_unknown_cost=session.has_unknown_cost,
    )


async def _find(session: Session, case: Case) -> Finding:
    session.asked = []
    began = time.monotonic()
    expected = happened = look_at = note = ""
    verdict = Verdict.PASSED
    try:
        note = await case.run(session)
    except Unmet as unmet:
        verdict, expected, happened = Verdict.FAILED, unmet.expected, unmet.happened
        look_at = unmet.look_at
    except Skipped as reason:
        verdict, happened = Verdict.SKIPPED, str(reason)
    except Blocked as reason:
        verdict, happened, look_at = Verdict.BLOCKED, str(reason), "the check answers"
    except SpentError:
        verdict, look_at = Verdict.BLOCKED, "--max-cost"
        happened = f"The drill has spent what it may ({session.cost_nano / 1e9:.4f} USD)."
    except ShareAIError as error:
        verdict, happened, look_at = Verdict.BLOCKED, str(error), "shareai status"
    return Finding(
        case.check,
        case.subject,
        case.name,
        verdict,
        expected,
        happened,
        look_at,
        note,
        time.monotonic() - began,
        tuple(session.asked),
    )
