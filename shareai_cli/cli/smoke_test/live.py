"""How a drill goes on: drawn on a terminal, and nothing elsewhere."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from types import TracebackType
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from shareai_cli.cli.console import printable
from shareai_cli.drill.case import Case
from shareai_cli.drill.outcome import Finding, Verdict
from shareai_cli.drill.report.words import RESULTS, attempts_of, bar, chain
from shareai_cli.drill_types import CHECKS

LATEST: Final = 5
BAR: Final = 24

STYLES: Final = {
    Verdict.PASSED: "green",
    Verdict.FAILED: "bold red",
    Verdict.BLOCKED: "yellow",
    Verdict.SKIPPED: "dim",
}


class PlainWatcher:
    """Says nothing: the report comes at the end."""

    def began(self, case: Case) -> None:
        """See `Watcher`."""

    def ended(self, finding: Finding) -> None:
        """See `Watcher`."""


class LiveWatcher:
    """Draws what is done, what is run now, and the latest findings, within a `with` block."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._totals = Counter(case.check for case in cases)
        self._done: Counter[str] = Counter()
        self._verdicts: Counter[Verdict] = Counter()
        self._latest: deque[Finding] = deque(maxlen=LATEST)
        self._failed: list[Finding] = []
        self._current = ""
        self._live = Live(console=Console(stderr=True), transient=True, get_renderable=self._draw)

    def __enter__(self) -> LiveWatcher:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def began(self, case: Case) -> None:
        """See `Watcher`."""
        self._current = printable(f"{case.check}  {case.subject}: {case.name}")

    def ended(self, finding: Finding) -> None:
        """See `Watcher`."""
        self._done[finding.check] += 1
        self._verdicts[finding.verdict] += 1
        self._latest.append(finding)
        if finding.verdict is Verdict.FAILED:
            self._failed.append(finding)

    def _draw(self) -> Group:
        checks = Table.grid(padding=(0, 2))
        for check in CHECKS:
            if total := self._totals[check]:
                done = self._done[check]
                progress = ProgressBar(total=total, completed=done, width=BAR, complete_style="green")
                checks.add_row(Text(check), progress, Text(f"{done} of {total}", justify="right"))
        counts = Text("  ").join(
            Text(f"{self._verdicts[verdict]} {word.lower()}", style=STYLES[verdict])
            for verdict, word in RESULTS.items()
        )
        latest = list(self._latest)  # in one step: this is drawn by a thread of its own
        lines = [self._line(one) for one in latest]
        failed = [self._line(one) for one in list(self._failed) if one not in latest]
        return Group(checks, counts, *failed, *lines, Text(self._current, style="bold"))

    def _line(self, finding: Finding) -> Text:
        text = Text(f"{RESULTS[finding.verdict]:17}", style=STYLES[finding.verdict])
        text.append(printable(f"{finding.subject}: {finding.case}"), style="default not bold not dim")
        attempts = attempts_of(finding)
        if finding.check == "failover" and len(attempts) > 1:
            text.append(printable(f"  {bar(attempts, BAR)} {chain(attempts)}"), style="dim not bold")
        text.no_wrap = True
        text.overflow = "ellipsis"
        return text
