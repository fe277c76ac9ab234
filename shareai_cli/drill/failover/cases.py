"""The cases of the check `failover`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from shareai_cli.drill.case import Case, Skipped
from shareai_cli.drill.failover import faults, recovery
from shareai_cli.drill.failover.route import DrilledRoute
from shareai_cli.drill.session import Session
from shareai_cli.drill_types import DrillSubjects, FaultKind

RunRoute = Callable[[DrilledRoute, Session], Awaitable[str]]
"""Runs a case about a route; see `shareai_cli.drill.case.Run`."""


def cases(subjects: DrillSubjects) -> Iterator[Case]:
    """Yield the cases of each route, in the order in which they have to be run."""
    known = {target.name: target for target in subjects.targets}
    for route in subjects.routes:
        drilled = DrilledRoute(route, known)
        yield _case(drilled, "every target fails", faults.all_fail)
        if len(route.targets) == 1:
            yield _case(drilled, _first("cut", streamed=True), faults.stream_is_cut, fault="cut")
            yield _case(drilled, "another target takes over", _nobody_else)
            continue
        first, second, last = route.targets[0], route.targets[1], route.targets[-1]
        for kind in faults.FAULTS:
            for streamed in (False, True):
                if kind == "cut" and streamed:
                    yield _case(drilled, _first(kind, streamed=streamed), faults.stream_is_cut, fault=kind)
                else:
                    run = partial(faults.first_fails, kind, streamed)
                    yield _case(drilled, _first(kind, streamed=streamed), run, second, fault=kind)
        yield _case(drilled, "all but the last fail", faults.all_but_last_fail, last, fault="error")
        yield _case(drilled, "rests as told by Retry-After", recovery.rests, second, fault="rate-limited")
        yield _case(drilled, "comes back after its probe", recovery.comes_back, second, first, fault="error")


def _first(kind: FaultKind, *, streamed: bool) -> str:
    return f"first: {faults.FAULTS[kind].words} ({'streamed' if streamed else 'whole'})"


async def _nobody_else(drilled: DrilledRoute, session: Session) -> str:
    raise Skipped(f"'{drilled.name}' has one target: nothing can take its place.")


def _case(
    drilled: DrilledRoute, name: str, run: RunRoute, *answers: str, fault: FaultKind | None = None
) -> Case:
    return Case("failover", drilled.name, name, partial(run, drilled), answers, fault)
