"""The orders in which strategies ask a route's candidates.

A candidate is named by its place in the route's list. An order yields the places of everybody, the best
first, as lazily as it can: only a few of them are ever asked, and who cannot serve is left out by whoever
takes them. What takes long is prepared, when the configuration or a measure changes. The candidates come in
groups: nobody of a later one is before anybody of an earlier one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain
from math import inf
from typing import Final, Generic, Protocol, TypeVar

from shareai_cli.gateway.strategies.shape import Shape, rounded
from shareai_cli.types import Clock

EXPLORED: Final = 0.05
"""The share of requests by which another target than the fastest is measured."""

FRESH_SECONDS: Final = 60.0
"""How long an order by costs holds: prices may change with the time of day."""
MOST_ORDERS: Final = 256

DRAWS: Final = 64
"""Draws that may repeat earlier ones, beside as many as were new, before what is left is sorted."""

Groups = Sequence[tuple[int, ...]]
Chance = Callable[[], float]
"""A random number in [0, 1)."""
Rank = tuple[float, ...]
"""What a candidate is ranked by; the lowest comes first."""


Kind = TypeVar("Kind", bound=Hashable)
"""What a candidate's costs depend on; candidates of the same kind cost the same."""


class Order(Protocol):
    """Orders the candidates of one route."""

    def places(self, shape: Shape, warm: int | None, chance: Chance) -> Iterable[int]:
        """Yield every place, the best first; `warm` is where the request's conversation was, if known."""

    def changed(self, place: int) -> None:
        """Take in that a candidate's measure has changed."""


class Listed:
    """As they are listed."""

    def __init__(self, groups: Groups) -> None:
        self._places = tuple(chain.from_iterable(groups))

    def places(self, shape: Shape, warm: int | None, chance: Chance) -> Iterable[int]:
        """See `Order`."""
        return self._places

    def changed(self, place: int) -> None:
        """See `Order`."""


class Weighted:
    """At random, each time the next one in proportion to the weights of those that are left."""

    def __init__(self, groups: Groups, weights: Sequence[int]) -> None:
        self._groups = [(group, list(accumulate(weights[place] for place in group))) for group in groups]
        self._weights = weights

    def places(self, shape: Shape, warm: int | None, chance: Chance) -> Iterator[int]:
        """See `Order`."""
        for group, sums in self._groups:
            yield from self._draw(group, sums, chance)

    def changed(self, place: int) -> None:
        """See `Order`."""

    def _draw(self, group: tuple[int, ...], sums: list[int], chance: Chance) -> Iterator[int]:
        drawn: set[int] = set()
        repeated, total = 0, sums[-1]
        while len(drawn) * 2 < len(group) and repeated < DRAWS + len(drawn):
            place = group[bisect_right(sums, chance() * total)]
            if place in drawn:
                repeated += 1
                continue
            drawn.add(place)
            yield place
        # Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006.
        left = [place for place in group if place not in drawn]
        keys = {place: (1.0 - chance()) ** (1.0 / self._weights[place]) for place in left}
        yield from sorted(left, key=keys.__getitem__, reverse=True)


class Ranked:
    """By a rank that changes with what is measured; each change moves one candidate."""

    def __init__(self, groups: Groups, rank: Callable[[int], Rank]) -> None:
        self._rank = rank
        self._group = {place: number for number, group in enumerate(groups) for place in group}
        self._ranks = {place: self._ranked(place) for place in self._group}
        self._sorted = sorted(self._ranks.values())

    def places(self, shape: Shape, warm: int | None, chance: Chance) -> Iterable[int]:
        """See `Order`."""
        return (int(rank[-1]) for rank in self._sorted)

    def changed(self, place: int) -> None:
        """See `Order`."""
        former, rank = self._ranks.get(place), self._ranked(place)
        if former is None or former == rank:
            return
        del self._sorted[bisect_left(self._sorted, former)]
        insort(self._sorted, rank)
        self._ranks[place] = rank

    def _ranked(self, place: int) -> Rank:
        return (self._group.get(place, 0), *self._rank(place), place)


class Fastest(Ranked):
    """By the seconds of a typical answer; now and then another one first, rather one never measured."""

    def __init__(self, groups: Groups, seconds: Callable[[int], float | None]) -> None:
        self._seconds = seconds
        self._first_group = groups[0]
        self._unmeasured = {place: None for place in groups[0] if seconds(place) is None}
        super().__init__(groups, self._speed)

    def places(self, shape: Shape, warm: int | None, chance: Chance) -> Iterable[int]:
        """See `Order`."""
        ranked = super().places(shape, warm, chance)
        if chance() >= EXPLORED:
            return ranked
        among = tuple(self._unmeasured) or self._first_group
        tried = among[int(chance() * len(among))]
        return chain((tried,), (place for place in ranked if place != tried))

    def changed(self, place: int) -> None:
        """See `Order`."""
        if self._seconds(place) is not None:
            self._unmeasured.pop(place, None)
        super().changed(place)

    def _speed(self, place: int) -> Rank:
        seconds = self._seconds(place)
        return (1, 0.0) if seconds is None else (0, seconds)


class Cheapest(Generic[Kind]):
    """By what the request is expected to cost, those without a known price last.

    Candidates are of few kinds, each with its price and its habits; only these are put in order, once for all
    requests of nearly the same length, for a minute, or until a candidate's habits change.
    """

    def __init__(
        self,
        groups: Groups,
        kind: Callable[[int], Kind],
        cost: Callable[[Shape, Kind], int | None],
        clock: Clock,
    ) -> None:
        self._kind = kind
        self._cost = cost
        self._clock = clock
        self._group = {place: number for number, group in enumerate(groups) for place in group}
        self._kinds = {place: kind(place) for place in self._group}
        self._members: list[dict[Kind, list[int]]] = [{} for _ in groups]
        for place, its in self._kinds.items():
            self._members[self._group[place]].setdefault(its, []).append(place)
        self._orders: dict[tuple[int, int | None], list[list[int]]] = {}
        self._until = 0.0

    def places(self, shape: Shape, warm: int | None, chance: Chance) -> Iterable[int]:
        """See `Order`."""
        if self._clock() > self._until or len(self._orders) > MOST_ORDERS:
            self._orders.clear()
            self._until = self._clock() + FRESH_SECONDS
        key = (rounded(shape.prompt), rounded(shape.longest) if shape.longest is not None else None)
        order = self._orders.get(key)
        if order is None:
            order = self._orders[key] = [
                *chain.from_iterable(self._by_cost(one, shape) for one in self._members)
            ]
        return chain.from_iterable(order)

    def changed(self, place: int) -> None:
        """See `Order`."""
        former = self._kinds.get(place)
        if former is None or (kind := self._kind(place)) == former:
            return
        members = self._members[self._group[place]]
        members[former].remove(place)
        if not members[former]:
            del members[former]
        insort(members.setdefault(kind, []), place)
        self._kinds[place] = kind
        self._orders.clear()

    def _by_cost(self, members: Mapping[Kind, list[int]], shape: Shape) -> Iterator[list[int]]:
        """Yield the places of kinds that cost the same together, in the list's order, the cheapest first."""
        alike: dict[float, list[list[int]]] = {}
        for kind, places in members.items():
            cost = self._cost(shape, kind)
            alike.setdefault(inf if cost is None else cost, []).append(places)
        for _, kinds in sorted(alike.items()):
            yield kinds[0] if len(kinds) == 1 else sorted(chain.from_iterable(kinds))


class Sticky:
    """Where the conversation was; a new one where its hash falls, in proportion to the weights."""

    def __init__(self, groups: Groups, weights: Sequence[int]) -> None:
        self._groups = [(group, list(accumulate(weights[place] for place in group))) for group in groups]
        self._group = {place: number for number, group in enumerate(groups) for place in group}

    def places(self, shape: Shape, warm: int | None, chance: Chance) -> Iterator[int]:
        """See `Order`; `chance` is the conversation's own number."""
        home = self._group.get(warm, -1) if warm is not None else -1
        for number, (group, sums) in enumerate(self._groups):
            if warm is not None and number == home:
                yield warm
            start = bisect_right(sums, chance() * sums[-1])
            for place in chain(group[start:], group[:start]):
                if place != warm:
                    yield place

    def changed(self, place: int) -> None:
        """See `Order`."""
