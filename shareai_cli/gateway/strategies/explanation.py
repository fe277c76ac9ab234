"""Tells where each target of a route comes for a request, or why it is out; done only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from shareai_cli.config.limits import write_limits
from shareai_cli.gateway.health import SERVING, Standing, State
from shareai_cli.gateway.strategies.board import ANSWERING, Board, StandingOf
from shareai_cli.gateway.strategies.candidates import ASSUMED_CONTEXT, MAYBE, NAMES
from shareai_cli.gateway.strategies.costs import expected_usage
from shareai_cli.gateway.strategies.shape import Shape
from shareai_cli.types import Limits, LimitsAsked, RouteExplanation, Subject, Target, TargetPlace

SURELY_NOT = 0.999999
"""A random number by which nothing is explored."""

HeldBy = Callable[[Target], Standing | None]


def nobody(_target: Target) -> None:
    """Tell that nothing is ordered of a target."""


def explain(
    model: str,
    shape: Shape,
    board: Board,
    standing: StandingOf | None,
    now: float,
    limits: Mapping[Subject, Limits],
    held: HeldBy = nobody,
) -> RouteExplanation:
    """Explain what would become of a request; `standing` is None where nobody knows how targets stand.

    `limits` are those of the configuration; `held` tells how those stand that are to get no requests, by a
    person's order.
    """
    route = board.route
    shape = board.shape(shape)
    standings = {
        place: held(one.target) or (SERVING if standing is None else standing(one.target))
        for place, one in enumerate(board.candidates)
    }
    out = _unfit(board, shape)
    for place in board.eligible:
        if place not in out and standings[place].state not in ANSWERING:
            out[place] = _trouble(standings[place], now)
    order = [place for place in _order(board, shape) if place not in out]
    if not order:
        order = _least_bad(board, standings, _unfit(board, shape))
    places = {place: number for number, place in enumerate(order, 1)}
    listed = [*order, *(place for place in range(len(board.candidates)) if place not in places)]
    return RouteExplanation(
        model=model,
        route=route.name,
        strategy=route.strategy,
        prefer=route.prefer,
        private=route.private,
        prompt_tokens=shape.prompt,
        is_live=standing is not None,
        targets=tuple(
            _target(board, shape, place, places.get(place), out.get(place, "")) for place in listed
        ),
        hedge_after=route.hedge.after if route.hedge is not None and len(order) > 1 else None,
        hedge_extra=route.hedge.extra if route.hedge is not None else 0.0,
        limits=_limits(limits, model, [board.candidates[place].target for place in order]),
    )


def _limits(
    limits: Mapping[Subject, Limits], model: str, targets: Sequence[Target]
) -> tuple[LimitsAsked, ...]:
    """Return the limits that a request for a model passes, and those of the targets that it may meet."""
    subjects = [Subject("organization"), Subject("route", model)]
    subjects += [Subject("target", target.name) for target in targets]
    return tuple(LimitsAsked(one.label, write_limits(limits[one])) for one in subjects if one in limits)


def _order(board: Board, shape: Shape) -> Sequence[int]:
    """Return every place in the likely order: where chance or a conversation decides, by weight."""
    if board.route.strategy in ("weighted", "sticky"):
        weights = [one.weight for one in board.candidates]
        return [place for group in board.groups for place in sorted(group, key=lambda place: -weights[place])]
    fit = board.fit(shape)
    places = list(board.order.places(shape, None, lambda: SURELY_NOT))
    if fit is None or not fit.is_mixed:
        return places
    return sorted(places, key=lambda place: fit.grades[place] == MAYBE)


def _unfit(board: Board, shape: Shape) -> dict[int, str]:
    """Return why those are out to whom such a request does not go."""
    fit, eligible = board.fit(shape), frozenset(board.eligible)
    out: dict[int, str] = {}
    for place, one in enumerate(board.candidates):
        if place not in eligible:
            out[place] = "is no machine of your own, and the route is private"
        elif fit is not None and not fit.grades[place]:
            lacks = one.lacks(shape.needs, shape.context)
            out[place] = ", ".join(lacks) or "is not known to have as much context as another one"
    return out


def _least_bad(board: Board, standings: Mapping[int, Standing], unfit: Mapping[int, str]) -> list[int]:
    """Return those that are asked where none stands well: the ejected ones, the first to return first."""
    ejected = (State.EJECTED, State.PROBING)
    left = [at for at in board.eligible if at not in unfit and standings[at].state in ejected]
    return sorted(left, key=lambda place: standings[place].until)


def _trouble(standing: Standing, now: float) -> str:
    left = max(0.0, standing.until - now)
    lasting = f" for {left:.0f} s" if left >= 1 else ""
    return f"is {standing.state}{lasting}" + (f": {standing.reason}" if standing.reason else "")


def _target(board: Board, shape: Shape, place: int, number: int | None, reason: str) -> TargetPlace:
    one, measure = board.candidates[place], board.measures[place]
    kind = board.costs.kind(place)
    cost = board.costs.of(shape, kind)
    notes = [reason] if reason else []
    if number is not None:
        notes += _notes(board, shape, place, cost)
    token = measure.token
    return TargetPlace(
        target=one.target.name,
        place=number,
        reason="; ".join(notes),
        cost_nano=cost,
        answer_tokens=expected_usage(shape, measure.usual_eighths, measure.usual_answer).completion,
        cached_share=measure.cached,
        context=one.context,
        in_flight=measure.in_flight,
        first_token_us=int(measure.first * 1e6) if measure.first is not None else None,
        tokens_per_second=1 / token if token else None,
        weight=one.weight,
    )


def _notes(board: Board, shape: Shape, place: int, cost: int | None) -> list[str]:
    """Say what is not known of a target, where that put it behind others."""
    one, notes = board.candidates[place], []
    strategy, fit = board.route.strategy, board.fit(shape)
    if strategy == "cheapest" and cost is None:
        notes.append("its price is not known")
    if strategy == "fastest" and board.measures[place].seconds is None:
        notes.append("its speed was not measured yet")
    if fit is not None and fit.grades[place] == MAYBE:
        unknown = [name for bit, name in NAMES.items() if shape.needs & ~one.can & bit]
        if unknown:
            notes.append(f"may not do {' and '.join(unknown)}")
        if one.context is None and shape.context > ASSUMED_CONTEXT:
            notes.append("its context is not known")
    return notes
