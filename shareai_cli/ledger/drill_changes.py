"""Drills of before: what changed from each to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from shareai_cli.drill_types import DrillRecord


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
    """A drill, and which of its cases ended otherwise than they had before."""

    record: DrillRecord
    changes: tuple[str, ...]
    former: str | None = None
    """The verdict of the drill of the same cause before it; None where there is none."""

    @property
    def is_news(self) -> bool:
        """Whether somebody has to be told: it found something else than before, or the first one failed."""
        return bool(self.changes) or self.record.verdict != (self.former or "passed")

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
    latest: dict[str, str] = {}
    ended: dict[str, str] = {}
    entries: list[Entry] = []
    for record in reversed(records):
        verdicts = {one.name: one.verdict for one in findings_of(record)}
        changes = [
            f"{name}: {latest[name]} -> {verdict}"
            for name, verdict in verdicts.items()
            if latest.get(name, verdict) != verdict
        ]
        latest |= verdicts
        entries.append(Entry(record, tuple(changes), ended.get(record.cause)))
        ended[record.cause] = record.verdict
    return entries[::-1]


def findings_of(record: DrillRecord) -> Sequence[PastFinding]:
    """Return what a drill found; nothing where another version of this program wrote it otherwise."""
    try:
        return msgspec.json.decode(record.report, type=_Report).findings
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ()
