"""Checks run at the same time and come in order; none of them can hold up or end the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from shareai_cli.cli.checks.finding import Check, Finding, Subject
from shareai_cli.cli.checks.running import run_checks
from tests.cli.checks.subjects import said, subject


def fine(name: str) -> Check:
    return Check(name, lambda subject: [Finding(name, "ok", "fine")])


def test_findings_come_in_the_order_of_the_checks(tmp_path: Path) -> None:
    """Whichever is done first."""
    second_is_done = threading.Event()

    def first(_: Subject) -> Sequence[Finding]:
        assert second_is_done.wait(20)
        return [Finding("first", "ok", "a"), Finding("first", "warning", "b")]

    def second(_: Subject) -> Sequence[Finding]:
        second_is_done.set()
        return [Finding("second", "ok", "c")]

    told: list[tuple[int, str]] = []
    checks = [Check("first", first), Check("second", second), Check("none", lambda _: [])]
    findings = run_checks(checks, subject(tmp_path), lambda *what: told.append(what), 20)
    assert said(findings) == [("first", "ok"), ("first", "warning"), ("second", "ok")]
    assert told[0] == (0, "first")
    assert [done for done, _ in told] == [0, 1, 2, 3]
    assert told[-1] == (3, "")


def test_a_check_that_takes_too_long_is_left_behind(tmp_path: Path) -> None:
    """What that means is the check's own to say; the others are told."""
    ends = threading.Event()

    def slow(_: Subject) -> Sequence[Finding]:
        ends.wait(20)
        return []

    began = time.monotonic()
    checks = [Check("slow", slow), Check("dead", slow, late="problem"), fine("well")]
    findings = run_checks(checks, subject(tmp_path), lambda *_: None, 0.3)
    ends.set()
    assert said(findings) == [("slow", "warning"), ("dead", "problem"), ("well", "ok")]
    assert findings[0].text == "no result within 0.3 s"
    assert time.monotonic() - began < 5


def test_a_check_that_fails_is_a_finding(tmp_path: Path) -> None:
    """Its message may hold anything, so that only its kind is told."""

    def broken(_: Subject) -> Sequence[Finding]:
        raise ValueError("sk-secret")

    findings = run_checks([Check("broken", broken), fine("well")], subject(tmp_path), lambda *_: None, 20)
    assert said(findings) == [("broken", "warning"), ("well", "ok")]
    assert findings[0].text == "this check failed (ValueError)"
