"""Which cases a drill runs, and what they are expected to cost before anything is asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from shareai_cli.drill import answers, cache, cost, failover, limits
from shareai_cli.drill.case import Case
from shareai_cli.drill.cost import Prices
from shareai_cli.drill_types import CHECKS, CheckName, DrillSubjects, FaultKind
from shareai_cli.errors import UsageError
from shareai_cli.nearest import nearest

EXPECTED_PROMPT: Final = 40
EXPECTED_ANSWER: Final = 80
"""Tokens of a request, of which some targets think before they answer."""

LONGEST_PROMPT: Final = 100
"""Tokens, whatever a provider adds."""

_MILLION: Final = 10**6


class Estimate(Struct, frozen=True):
    """What a drill is expected to cost."""

    requests: int
    """That targets answer."""
    nano: int
    unpriced: int
    """Requests to targets whose price is unknown, which are not in the cost."""

    @property
    def is_free(self) -> bool:
        """Whether nothing is spent."""
        return not (self.nano or self.unpriced)


def chosen(subjects: DrillSubjects, routes: Collection[str], targets: Collection[str]) -> DrillSubjects:
    """Return the subjects that are named; all of them where none is. Raises `UsageError`."""
    _check_known("route", routes, [route.name for route in subjects.routes])
    _check_known("target", targets, [target.name for target in subjects.targets])
    if not (routes or targets):
        return subjects
    kept = tuple(route for route in subjects.routes if route.name in routes)
    named = {*targets, *(name for route in kept for name in route.targets)}
    return DrillSubjects(kept, tuple(target for target in subjects.targets if target.name in named))


def cases_of(
    subjects: DrillSubjects,
    only: Collection[CheckName],
    prices: Prices,
    repeat: int = 1,
    faults: Collection[FaultKind] = (),
) -> Sequence[Case]:
    """Return the cases of the checks and of the faults that are wanted, all of them where none is named."""
    makers: Mapping[CheckName, Callable[[], Iterator[Case]]] = {
        "answers": lambda: answers.cases(subjects),
        "failover": lambda: failover.cases(subjects),
        "cost": lambda: cost.cases(subjects, prices),
        "cache": lambda: cache.cases(subjects),
        "limits": lambda: limits.cases(subjects),
    }
    wanted = [check for check in CHECKS if not only or check in only]
    return [
        case
        for _ in range(repeat)
        for check in wanted
        for case in makers[check]()
        if not faults or case.fault is None or case.fault in faults
    ]


def dearest(subjects: DrillSubjects, longest: int) -> Mapping[str, int]:
    """Return the nano-dollars that one request may cost at most, as far as is known, by target and route."""
    costs = {
        target.name: (LONGEST_PROMPT * target.prompt_nano + longest * target.completion_nano) // _MILLION
        for target in subjects.targets
        if target.prompt_nano is not None and target.completion_nano is not None
    }
    routes = {
        route.name: max((costs.get(name, 0) for name in route.targets), default=0)
        for route in subjects.routes
    }
    return costs | routes


def estimate(cases: Sequence[Case], subjects: DrillSubjects) -> Estimate:
    """Return what cases are expected to cost, by the prices of the targets that should answer."""
    prices = {target.name: target for target in subjects.targets}
    nano = unpriced = 0
    answering = [name for case in cases for name in case.answers]
    for name in answering:
        target = prices.get(name)
        if target is None or target.prompt_nano is None or target.completion_nano is None:
            unpriced += 1
        else:
            nano += EXPECTED_PROMPT * target.prompt_nano + EXPECTED_ANSWER * target.completion_nano
    return Estimate(len(answering), nano // _MILLION, unpriced)


def _check_known(what: str, names: Collection[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            near = nearest(name, known)
            raise UsageError(
                f"There is no {what} '{name[:100]}' to drill.",
                hint=f"Did you mean '{near}'?" if near else f"There are: {', '.join(known[:10]) or 'none'}.",
            )
