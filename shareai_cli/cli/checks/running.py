"""Runs checks, all at the same time, for a bounded time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence

from shareai_cli.cli.checks.finding import Check, Finding, Subject

SECONDS = 8.0
"""How long all checks together may take."""

Progress = Callable[[int, str], None]
"""Told how many checks are done, and the name of one that is not; an empty name at the end."""


def run_checks(
    checks: Sequence[Check], subject: Subject, progress: Progress, seconds: float = SECONDS
) -> list[Finding]:
    """Return every check's findings, in the order of the checks.

    A name server may be waited for longer than anybody wants to, and nothing ends that wait: so threads are
    left behind, which do not outlive the process.
    """
    done: queue.SimpleQueue[tuple[int, Sequence[Finding]]] = queue.SimpleQueue()

    def work(number: int, check: Check) -> None:
        try:
            done.put((number, check.look(subject)))
        except Exception as error:  # one check's mistake is no reason to see nothing of the others
            text = f"this check failed ({type(error).__name__})"
            done.put((number, [Finding(check.name, "warning", text)]))

    for number, check in enumerate(checks):
        threading.Thread(target=work, args=(number, check), name=check.name, daemon=True).start()
    until = time.monotonic() + seconds
    results: dict[int, Sequence[Finding]] = {}
    while len(results) < len(checks):
        waiting = next(check.name for number, check in enumerate(checks) if number not in results)
        progress(len(results), waiting)
        try:
            number, findings = done.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            break
        results[number] = findings
    progress(len(results), "")
    return [
        finding
        for number, check in enumerate(checks)
        for finding in results.get(
            number, [Finding(check.name, check.late, f"no result within {seconds:g} s")]
        )
    ]
