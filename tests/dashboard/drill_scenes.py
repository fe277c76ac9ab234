"""Drills of before, and one that goes on as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from shareai_cli.dashboard.drilling import Choice, Expected, Finding, Watcher
from shareai_cli.drill_types import DrillRecord, DrillRoute, DrillSubjects, DrillTarget, FaultKind
from tests.dashboard.scenes import NOW_MS

SUBJECTS = DrillSubjects(
    (
        DrillRoute("chat", "priority", ("groq/llama-3.3-70b", "openai/gpt-5-mini"), True, False, True),
        DrillRoute("evil\x1b[2J\u202ename", "cheapest", ("p1/m1",), False, False, True),
    ),
    (DrillTarget("groq/llama-3.3-70b", ("k1",), "groq", 590_000_000, 790_000_000),),
)

FAULTS: Mapping[FaultKind, str] = {"refused": "connection refused", "error": "HTTP 500"}


def attempts(*ways: tuple[str, str, int, int]) -> list[dict[str, Any]]:
    """Return attempts as reports have them: target, outcome, status and microseconds."""
    return [
        {"target": target, "key": None, "outcome": outcome, "status": status or None, "duration_us": lasted}
        for target, outcome, status, lasted in ways
    ]


def finding(case: str, verdict: str, seconds: float, **more: Any) -> dict[str, Any]:
    """Return what a case found, as reports have it."""
    request = {
        "id": "req_00000000000000d1",
        "model": "chat",
        "streamed": True,
        "status": 200,
        "target": "openai/gpt-5-mini",
        "text": "pong",
        "error": None,
        "seconds": seconds,
        "cost_nano_usd": 120_000,
        "attempts": attempts(
            ("groq/llama-3.3-70b", "status", 500, 40_000), ("openai/gpt-5-mini", "ok", 200, 310_000)
        ),
    }
    return {
        "check": "failover",
        "subject": "chat",
        "case": case,
        "verdict": verdict,
        "expected": None,
        "happened": None,
        "look_at": None,
        "note": "openai/gpt-5-mini answered; the failover took 40 ms" if verdict == "passed" else None,
        "seconds": seconds,
        "failover_seconds": seconds / 8,
        "requests": [request],
        **more,
    }


def record(number: int, verdict: str, *findings: dict[str, Any], cause: str = "command") -> DrillRecord:
    """Return a drill as the accounts keep it."""
    began_ms = NOW_MS - 86_400_000 * (10 - number)
    report = {
        "id": f"drl_{number:016x}",
        "verdict": verdict,
        "requests": len(findings),
        "cost_nano_usd": 120_000 * len(findings),
        "has_unknown_cost": number == 2,
        "findings": findings,
    }
    text = msgspec.json.encode(report).decode()
    return DrillRecord(f"drl_{number:016x}", began_ms, began_ms + 9_000, cause, verdict, text)


FAILED = {"expected": "another target answers", "happened": "HTTP 503", "look_at": "shareai explain req_1"}

HISTORY = (
    record(
        3,
        "failed",
        finding("first: connection refused (whole)", "passed", 0.36),
        finding("first: HTTP 500 (whole)", "failed", 0.52, **FAILED),
        finding("first: HTTP 500 (streamed)", "blocked", 0.1, happened="No other target answers by itself."),
        finding("rests as told by Retry-After", "skipped", 0.0, happened="one target", requests=[]),
        cause="nightly\x1b[31m",
    ),
    record(
        2,
        "passed",
        finding("first: connection refused (whole)", "passed", 0.31),
        finding("first: HTTP 500 (whole)", "passed", 0.44),
    ),
    DrillRecord("drl_1", NOW_MS - 900_000_000, NOW_MS - 899_000_000, "command", "partly", "no report"),
)
"""The newest first, as the accounts tell."""


class DrillAdmin:
    """The admin interface, as far as drills go."""

    def drill_subjects(self) -> DrillSubjects:
        return SUBJECTS

    def drill_history(self, limit: int) -> tuple[DrillRecord, ...]:
        return HISTORY[:limit]


class ScriptedDrilling:
    """Finds what a test says, one thing at each `step`; ends once there is nothing more."""

    def __init__(self, *findings: dict[str, Any], problem: Exception | None = None) -> None:
        self.faults = FAULTS
        self.choices: list[Choice] = []
        self.is_running = False
        self._findings = findings
        self._problem = problem
        self._steps = asyncio.Semaphore(0)

    def step(self) -> None:
        self._steps.release()

    def expect(self, subjects: DrillSubjects, choice: Choice) -> Expected:
        routes = len(choice.routes or subjects.routes)
        cases = routes * len(choice.checks or range(5)) * len(choice.faults or self.faults)
        return Expected(cases, 2 * cases, 1_200_000 * cases, cases // 4, 50_000_000)

    async def run(self, choice: Choice, most_nano: int, watcher: Watcher) -> None:
        self.choices.append(choice)
        self.is_running = True
        try:
            for one in self._findings:
                found = msgspec.convert(one, Finding)
                watcher.began(f"{found.check} {found.subject}: {found.case}")
                await self._steps.acquire()
                watcher.ended(found)
            if self._problem is not None:
                raise self._problem
        finally:
            await asyncio.sleep(0.05)  # as one tells the gateway that it has ended
            self.is_running = False
