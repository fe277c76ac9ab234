"""A route that is drilled, and what can be said of the attempts of requests to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from shareai_cli.drill.case import Blocked, Skipped, expect_row
from shareai_cli.drill.outcome import Asked
from shareai_cli.drill_types import DrillRoute, DrillTarget
from shareai_cli.types import Attempt

ORDERED: Final = ("priority", "cheapest", "least-busy")
"""Strategies whose order is known before the first request."""

MOST_TRIED: Final = 10
"""Targets of a route that are tried for one request for sure: the gateway bounds its attempts."""


class DrilledRoute:
    """A route, and the targets of it that take a drill's request, as they are tried."""

    def __init__(self, route: DrillRoute, known: Mapping[str, DrillTarget]) -> None:
        """`known` are the targets by their names."""
        self.name = route.name
        self.targets = route.targets
        self.is_listed = route.is_plain and route.strategy == "priority"
        """Whether the configuration alone tells who is asked, and in which order."""
        self.is_ordered = route.strategy in ORDERED
        self.is_constant = route.strategy == "priority"
        """Whether the order is the same for each request, whatever was measured."""
        self.tried: tuple[str, ...] | None = route.targets if self.is_listed else None
        self._known = known

    @property
    def order(self) -> tuple[str, ...]:
        """The targets that take a request; `Skipped` where there is but one, `Blocked` where nobody knows."""
        if self.tried is None:
            raise Blocked("It is not known which targets take such a request: see 'every target fails'.")
        if len(self.tried) < 2:
            raise Skipped(f"Only {''.join(self.tried)} takes such a request: nothing can take its place.")
        return self.tried

    def check_size(self, most: int) -> None:
        """Raise `Skipped` where there are more targets, so that nobody knows which of them are asked."""
        if len(self.order) > most:
            raise Skipped(f"Of more than {most} targets in no known order, not all are asked.")

    def others(self, *targets: str) -> tuple[str, ...]:
        """Return all targets but these."""
        return tuple(one for one in self.targets if one not in targets)

    def patience(self, target: str, *, streamed: bool) -> float | None:
        """Return the seconds that a silent target is given outside a drill."""
        found = self._known.get(target)
        if found is None:
            return None
        return found.head_seconds if streamed else found.total_seconds


def attempts_of(asked: Asked) -> Sequence[Attempt]:
    """Return a request's attempts; raises `Unmet` where the accounts have no row of it."""
    expect_row(asked)
    return asked.row.attempts if asked.row is not None else ()


def tried(asked: Asked) -> tuple[str, ...]:
    """Return the targets that were asked, each once, in their order."""
    return tuple(dict.fromkeys(one.target for one in attempts_of(asked)))


def in_words(asked: Asked) -> str:
    """Tell a request's attempts in a few words."""
    attempts = attempts_of(asked)
    return ", ".join(f"{one.target} {one.status or one.outcome}" for one in attempts) or "no attempts"


def check_others(others: Sequence[str], asked: Asked) -> None:
    """Raise `Blocked` where every other target was tried and failed without a fault of the drill's."""
    if asked.status != 200 and {*others} <= {*tried(asked)}:
        raise Blocked(f"No other target answers by itself: {in_words(asked)}.")
