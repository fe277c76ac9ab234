"""The targets of one route, ready to be put in an order for a request; and the choice among them.

`choose` is a function of a request's shape, of such a board, of how targets stand, and of chance.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from shareai_cli.config import RouteSettings
from shareai_cli.errors import NoTargetFits
from shareai_cli.gateway.health import Standing, State
from shareai_cli.gateway.strategies.candidates import (
    ASSUMED_CONTEXT,
    CAN,
    CANNOT,
    MAYBE,
    NAMES,
    Candidate,
    Facts,
    bits,
    shape_for,
)
from shareai_cli.gateway.strategies.costs import ExpectedCosts
from shareai_cli.gateway.strategies.measurements import Measurements
from shareai_cli.gateway.strategies.orders import (
    Chance,
    Cheapest,
    Fastest,
    Groups,
    Listed,
    Order,
    Rank,
    Ranked,
    Sticky,
    Weighted,
)
from shareai_cli.gateway.strategies.shape import Shape
from shareai_cli.types import Clock, Preference, Target

MOST_CHOSEN: Final = 16
"""Targets of a choice: no request makes more attempts."""

MOST_FITS: Final = 64

ANSWERING: Final = (State.SERVING, State.TRIAL)

StandingOf = Callable[[Target], Standing]


class Fit(Struct, frozen=True):
    """Which candidates can serve a request, by their places."""

    grades: Sequence[int]
    is_mixed: bool
    """Whether there are both such as can and such as may."""


class Board:
    """One route's candidates, what the route wants of them, and their order."""

    def __init__(
        self,
        route: RouteSettings,
        candidates: Sequence[Candidate],
        facts: Facts,
        measurements: Measurements,
        clock: Clock,
    ) -> None:
        self.route = route
        self.candidates = candidates
        self.costs = ExpectedCosts(candidates, facts, measurements)
        self.measures = [measurements.of(one.target) for one in candidates]
        self.places: Mapping[Target, int] = {one.target: place for place, one in enumerate(candidates)}
        self.groups = _groups(route, candidates, route.prefer)
        self.eligible = tuple(sorted(place for group in self.groups for place in group))
        """The places of those to which the route's requests may go at all."""
        self.order = self._order(self.groups, clock)
        self._clock = clock
        self._orders = {route.prefer: self.order}
        """By whom they prefer, those of keys made once one of them asks."""
        wanted = route.conditions
        self._needs = bits(wanted.tools, wanted.vision, wanted.json_schema, True)
        self._contexts = sorted({one.context for one in candidates if one.context} | {ASSUMED_CONTEXT})
        self._fits: dict[tuple[int, int], Fit | None] = {}

    def __repr__(self) -> str:
        return f"<Board {self.route.name}: {self.route.strategy} of {len(self.candidates)}>"

    def changed(self, target: Target) -> None:
        """Take in that a target's measure has changed."""
        place = self.places.get(target)
        if place is not None:
            for order in self._orders.values():
                order.changed(place)

    def order_for(self, prefer: Preference | None) -> Order:
        """Return the order for a key that prefers own machines, or clouds; None leaves it to the route."""
        if prefer is None:
            return self.order
        order = self._orders.get(prefer)
        if order is None:
            groups = _groups(self.route, self.candidates, prefer)
            order = self._orders[prefer] = self._order(groups, self._clock)
        return order

    def shape(self, shape: Shape) -> Shape:
        """Return a request's shape with what the route takes every request to need."""
        return shape_for(shape, self._needs, self.route.conditions.context)

    def fit(self, shape: Shape) -> Fit | None:
        """Tell who can serve a request; None where all can.

        Where only its length is too much for everybody, those with the most context are left: the length is
        an estimate, and they know better.
        """
        if not self.route.fit:
            return None
        # The same for all lengths between two candidates' contexts.
        key = (shape.needs, bisect_left(self._contexts, shape.context))
        try:
            return self._fits[key]
        except KeyError:
            if len(self._fits) >= MOST_FITS:
                self._fits.clear()
            fit = self._fits[key] = self._judge(shape)
            return fit

    def _judge(self, shape: Shape) -> Fit | None:
        grades = [one.grade(shape.needs, shape.context) for one in self.candidates]
        if not any(grades[place] for place in self.eligible):
            grades = self._roomiest(shape.needs)
        if all(grade == CAN for grade in grades):
            return None
        return Fit(grades, CAN in grades and MAYBE in grades)

    def _roomiest(self, needs: int) -> list[int]:
        able = [one.grade(needs, 0) for one in self.candidates]
        rooms = [one.context or 0 if able[place] else -1 for place, one in enumerate(self.candidates)]
        most = max((rooms[place] for place in self.eligible), default=-1)
        return [grade if rooms[place] == most else CANNOT for place, grade in enumerate(able)]

    def _order(self, groups: Groups, clock: Clock) -> Order:
        weights = [one.weight for one in self.candidates]
        measures = self.measures

        def busy(place: int) -> Rank:
            return (measures[place].in_flight / weights[place],)

        match self.route.strategy:
            case "priority":
                return Listed(groups)
            case "weighted":
                return Weighted(groups, weights)
            case "cheapest":
                return Cheapest(groups, self.costs.kind, self.costs.of, clock)
            case "fastest":
                return Fastest(groups, lambda place: measures[place].seconds)
            case "least-busy":
                return Ranked(groups, busy)
            case "sticky":
                return Sticky(groups, weights)


def choose(
    shape: Shape,
    board: Board,
    warm: int | None,
    standing: StandingOf | None,
    chance: Chance,
    prefer: Preference | None = None,
) -> list[int]:
    """Return the places of the targets to try, in order: of those that can serve the request and stand well.

    `standing` is None where nothing is known against any target; `prefer` is the key's. At most
    `MOST_CHOSEN`; those of whom it is not known whether they can serve the request come after those of whom
    it is. Empty where none stands well.
    """
    fit, candidates = board.fit(shape), board.candidates
    places = board.order_for(prefer).places(shape, warm, chance)
    chosen: list[int] = []
    unsure: list[int] = []
    for place in places:
        if fit is not None and not fit.grades[place]:
            continue
        if standing is not None and standing(candidates[place].target).state not in ANSWERING:
            continue
        if fit is not None and fit.is_mixed and fit.grades[place] == MAYBE:
            unsure.append(place)
            continue
        chosen.append(place)
        if len(chosen) == MOST_CHOSEN:
            return chosen
    return (chosen + unsure)[:MOST_CHOSEN]


def able(board: Board, shape: Shape) -> list[int]:
    """Return the places of those that can serve a request, or may; raises `NoTargetFits` where none does."""
    fit = board.fit(shape)
    places = [place for place in board.eligible if fit is None or fit.grades[place]]
    if not places:
        wanted = " and ".join(name for bit, name in NAMES.items() if shape.needs & bit)
        raise NoTargetFits(
            f"No target of '{board.route.name}' can do {wanted}, which this request needs.",
            hint=f"'shareai route explain {board.route.name}' tells what is known of each; "
            'a target\'s own word counts more: {target = "...", vision = true}',
        )
    return places


def _groups(route: RouteSettings, candidates: Sequence[Candidate], prefer: Preference | None) -> Groups:
    """Return the places of a route's candidates: all of them, or the preferred ones and the others."""
    places = range(len(candidates))
    own = tuple(place for place in places if candidates[place].is_own)
    cloud = tuple(place for place in places if not candidates[place].is_own)
    if route.private:
        groups = [own]
    elif prefer is not None:
        groups = [own, cloud] if prefer == "own" else [cloud, own]
    else:
        groups = [tuple(places)]
    return [group for group in groups if group]
