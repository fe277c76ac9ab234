"""A report as plain values with names, for `--json` and the history."""

from __future__ import annotations

from typing import Any

import msgspec

from shareai_cli.drill.outcome import Asked, Finding, Report, Verdict, failing
from shareai_cli.drill.report.words import attempts_of
from shareai_cli.drill_types import DrillRecord


def as_fields(report: Report) -> dict[str, Any]:
    """Return a report as plain values; money is in nano-dollars, times are in seconds unless they say so."""
    return {
        "id": report.id,
        "verdict": report.verdict,
        "began_ms": report.began_ms,
        "ended_ms": report.ended_ms,
        "cause": report.cause,
        "counts": {verdict.value: report.count(verdict) for verdict in Verdict},
        "requests": report.requests,
        "cost_nano_usd": report.cost_nano,
        "has_unknown_cost": report.has_unknown_cost,
        "findings": [finding_as_fields(one) for one in report.findings],
    }


def as_record(report: Report) -> DrillRecord:
    """Return a report as the accounts keep it."""
    text = msgspec.json.encode(as_fields(report)).decode()
    return DrillRecord(report.id, report.began_ms, report.ended_ms, report.cause, report.verdict, text)


def finding_as_fields(finding: Finding) -> dict[str, Any]:
    """Return what one case found, as the report has it."""
    return {
        "check": finding.check,
        "subject": finding.subject,
        "case": finding.case,
        "verdict": finding.verdict,
        "expected": finding.expected or None,
        "happened": finding.happened or None,
        "look_at": finding.look_at or None,
        "note": finding.note or None,
        "seconds": finding.seconds,
        "failover_seconds": failing(attempts_of(finding)) if finding.check == "failover" else None,
        "requests": [_asked(one) for one in finding.asked],
    }


def _asked(asked: Asked) -> dict[str, Any]:
    row = asked.row
    return {
        "id": asked.request_id or None,
        "model": asked.model,
        "streamed": asked.streamed,
        "status": asked.status or None,
        "target": asked.target or None,
        "text": asked.text,
        "error": asked.error or None,
        "cache": asked.cache or None,
        "first_token_seconds": asked.first_seconds,
        "seconds": asked.seconds,
        "tokens_per_second": asked.tokens_per_second,
        "tokens": {
            "prompt": asked.tokens.prompt_tokens,
            "completion": asked.tokens.completion_tokens,
        }
        if asked.tokens is not None
        else None,
        "cost_nano_usd": row.cost_nano if row is not None else None,
        "cost_basis": row.basis if row is not None else None,
        "attempts": [
            {
                "target": one.target,
                "key": one.key or None,
                "outcome": one.outcome,
                "status": one.status or None,
                "duration_us": one.duration_us,
            }
            for one in (row.attempts if row is not None else ())
        ],
    }
