"""Drills as the screens know them; who opens the dashboard hands in what runs one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from shareai_cli.drill_types import CheckName, DrillRecord, DrillSubjects, FaultKind
from shareai_cli.types import Attempt


class Choice(Struct, frozen=True):
    """What is to be drilled; what names nothing is everything."""

    routes: tuple[str, ...] = ()
    checks: tuple[CheckName, ...] = ()
    faults: tuple[FaultKind, ...] = ()


class Expected(Struct, frozen=True):
    """What a drill comes to, before anything is asked. Money in nano-dollars."""

    cases: int
    requests: int
    """That targets answer."""
    nano: int
    unpriced: int
    """Requests whose price is unknown, which are not in the cost."""
    most_nano: int
    """What it may spend: then it ends."""


class PastAttempt(Struct, frozen=True):
    """One try of one target."""

    target: str
    outcome: str
    key: str | None = None
    status: int | None = None
    duration_us: int = 0

    def as_attempt(self) -> Attempt:
        """Return it as the accounts have it."""
        return Attempt(self.target, self.key or "", self.outcome, self.status or 0, self.duration_us)


class PastRequest(Struct, frozen=True):
    """One request of a drill, as its report has it."""

    id: str | None = None
    model: str = ""
    streamed: bool = False
    status: int | None = None
    target: str | None = None
    error: str | None = None
    seconds: float = 0.0
    cost_nano_usd: int | None = None
    attempts: tuple[PastAttempt, ...] = ()


class Finding(Struct, frozen=True):
    """What one case found, as its report has it."""

    check: str
    subject: str
    case: str
    verdict: str
    """"passed", "failed", "blocked" or "skipped"."""
    expected: str | None = None
    happened: str | None = None
    look_at: str | None = None
    note: str | None = None
    seconds: float = 0.0
    failover_seconds: float | None = None
    requests: tuple[PastRequest, ...] = ()

    @property
    def name(self) -> str:
        """What tells its case from others."""
        return f"{self.check}\n{self.subject}\n{self.case}"

    @property
    def cost_nano(self) -> int:
        """What its requests cost, as far as that is known."""
        return sum(one.cost_nano_usd or 0 for one in self.requests)

    @property
    def has_unknown_cost(self) -> bool:
        """Whether they cost more than that."""
        return any(one.cost_nano_usd is None and one.attempts for one in self.requests)

    @property
    def lasted(self) -> float:
        """Seconds: of a failover what it took, else of the whole case."""
        return self.failover_seconds if self.failover_seconds is not None else self.seconds


class _Report(Struct, frozen=True):
    findings: tuple[Finding, ...] = ()
    requests: int = 0
    cost_nano_usd: int = 0
    has_unknown_cost: bool = False


class Past(Struct, frozen=True):
    """A drill that was run."""

    record: DrillRecord
    report: _Report
    former: Mapping[str, Finding]
    """What its cases had found the last time before, by their names."""

    @property
    def changes(self) -> int:
        """How many of its cases ended otherwise than the last time before."""
        return sum(is_change(one, self.former.get(one.name)) for one in self.report.findings)


class Watcher(Protocol):
    """Who is told how a drill goes on."""

    def began(self, case: str) -> None:
        """Take in that a case is run now."""

    def ended(self, finding: Finding) -> None:
        """Take in what it found."""


class Drilling(Protocol):
    """What runs drills."""

    faults: Mapping[FaultKind, str]
    """Those that can be chosen, in words."""

    def expect(self, subjects: DrillSubjects, choice: Choice) -> Expected:
        """Return what a drill comes to; raises `ShareAIError`."""

    async def run(self, choice: Choice, most_nano: int, watcher: Watcher) -> None:
        """Run a drill to its end, which the accounts keep; cancelled, it ends. Raises `ShareAIError`."""


def is_change(finding: Finding, former: Finding | None) -> bool:
    """Tell whether a case ended otherwise than before."""
    return former is not None and former.verdict != finding.verdict


def history_of(records: Sequence[DrillRecord]) -> list[Past]:
    """Return drills, the newest first as they are given, each with what its cases had found before it."""
    latest: dict[str, Finding] = {}
    found = []
    for record in reversed(records):
        report = _read(record)
        former = {one.name: latest[one.name] for one in report.findings if one.name in latest}
        found.append(Past(record, report, former))
        latest |= {one.name: one for one in report.findings}
    return found[::-1]


def worst_first(findings: Sequence[Finding]) -> list[tuple[int, Finding]]:
    """Return what failed, what could not be run, and the rest in its order, each with its number."""
    places = {"failed": 0, "blocked": 1}
    return sorted(enumerate(findings), key=lambda one: places.get(one[1].verdict, 2))


def _read(record: DrillRecord) -> _Report:
    """Return a report; an empty one where another version of this program wrote it otherwise."""
    try:
        return msgspec.json.decode(record.report, type=_Report)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Report()
