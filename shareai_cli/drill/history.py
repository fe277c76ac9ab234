"""Drills of before: what changed from each to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from shareai_cli.drill_types import DrillRecord


class _Finding(Struct):
    check: str
    subject: str
    case: str
    verdict: str


class _Report(Struct):
    findings: list[_Finding] = []


class Entry(Struct, frozen=True):
    """A drill, and how its cases ended otherwise than in the one before."""

    record: DrillRecord
    changes: tuple[str, ...]

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
    """Return drills, the newest first as they are given, each with its changes."""
    former = [*records[1:], None]
    return [Entry(one, changes(before, one)) for one, before in zip(records, former, strict=True)]


def changes(before: DrillRecord | None, after: DrillRecord) -> tuple[str, ...]:
    """Return the cases that both drills had and that ended otherwise in the later one, in words."""
    if before is None:
        return ()
    past, now = _verdicts(before), _verdicts(after)
    return tuple(
        f"{name}: {past[name]} -> {verdict}"
        for name, verdict in now.items()
        if name in past and past[name] != verdict
    )


def _verdicts(record: DrillRecord) -> Mapping[str, str]:
    try:
        report = msgspec.json.decode(record.report, type=_Report)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    return {f"{one.check} {one.subject}, {one.case}": one.verdict for one in report.findings}
