"""Drills of before: what changed from each to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from shareai_cli.drill_types import BY_HAND, DrillRecord


class PastFinding(Struct, frozen=True):
    """What one case of a drill of before found."""

    check: str
    subject: str
    case: str
    verdict: str
    expected: str | None = None
    happened: str | None = None
    look_at: str | None = None
    note: str | None = None

    @property
    def name(self) -> str:
        """What tells the case from others."""
        return f"{self.check} {self.subject}, {self.case}"


class _Report(Struct):
    findings: tuple[PastFinding, ...] = ()


class Entry(Struct, frozen=True):
    """A drill, and which of its cases ended otherwise than they had before.

    Before is the last drill of any cause for one that was started by hand, of the same schedule for others.
    """

    record: DrillRecord
    changes: tuple[str, ...]
    former: str | None = None
    """The verdict of the drill of the same cause before it; None where there is none."""

    @property
    def is_news(self) -> bool:
        """Whether somebody has to be told: it found something else than before, or the first one failed.

        Who starts a drill by hand sees what it finds.
        """
        is_other = bool(self.changes) or self.record.verdict != (self.former or "passed")
        return is_other and self.record.cause != BY_HAND

    def fields(self) -> dict[str, Any]:
        """Return what there is to tell beside the report."""
        record = self.record
        return {
            "id": record.id,
            "began_ms": record.began_ms,
            "ended_ms": record.ended_ms,
            "cause": record.cause,
            "verdict": record.verdict,
            "changes": self.changes,
        }


def compare(records: Sequence[DrillRecord]) -> list[Entry]:
    """Return drills, the newest first as they are given, each with what changed since a case was last run."""
    by_any: dict[str, str] = {}
    by_cause: dict[str, dict[str, str]] = {BY_HAND: by_any}
    ended: dict[str, str] = {}
    entries: list[Entry] = []
    for record in reversed(records):
        latest = by_cause.setdefault(record.cause, {})
        verdicts = _verdicts(findings_of(record))
        changes = [
            f"{name}: {latest[name]} -> {verdict}"
            for name, verdict in verdicts.items()
            if latest.get(name, verdict) != verdict
        ]
        latest |= verdicts
        by_any |= verdicts
        entries.append(Entry(record, tuple(changes), ended.get(record.cause)))
        ended[record.cause] = record.verdict
    return entries[::-1]


def _verdicts(findings: Sequence[PastFinding]) -> dict[str, str]:
    """Return how each case ended: of one that was run several times, the worst."""
    verdicts: dict[str, str] = {}
    for one in findings:
        former = verdicts.get(one.name, one.verdict)
        verdicts[one.name] = min(former, one.verdict, key=_worst_first)
    return verdicts


def _worst_first(verdict: str) -> int:
    return _WORST.index(verdict) if verdict in _WORST else len(_WORST)


_WORST: Final = ("failed", "blocked", "skipped", "passed")


def findings_of(record: DrillRecord) -> Sequence[PastFinding]:
    """Return what a drill found; nothing where another version of this program wrote it otherwise."""
    try:
        return msgspec.json.decode(record.report, type=_Report).findings
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ()
