"""What holds of every choice, whatever the candidates, the request, the measures and chance."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shareai_cli.errors import NoTargetFits
from shareai_cli.gateway.health import SERVING, Standing, State
from shareai_cli.gateway.strategies.board import ANSWERING, MOST_CHOSEN, Board, able, choose
from shareai_cli.gateway.strategies.candidates import CANNOT, MAYBE, Candidate
from shareai_cli.gateway.strategies.measurements import Measurements
from shareai_cli.gateway.strategies.shape import Shape
from shareai_cli.types import Target
from tests.gateway.strategies.boards import STRATEGIES, board_of, made_up_candidates, patient, shapes
from tests.support.clock import FakeClock

STATES = (State.SERVING, State.TRIAL, State.EJECTED, State.COOLING, State.ASIDE, State.PROBING)

any_board = st.builds(
    board_of,
    made_up_candidates(),
    st.sampled_from(STRATEGIES),
    prefer=st.sampled_from((None, "own", "cloud")),
    fit=st.booleans(),
)


def everybody(board: Board, shape: Shape, chance: random.Random) -> list[int]:
    return list(board.order.places(shape, None, chance.random))


@patient
@given(any_board, shapes, st.randoms(use_true_random=False))
def test_every_order_is_of_everybody_once(board: Board, shape: Shape, chance: random.Random) -> None:
    """Nobody is lost, nobody is there twice, whatever orders them."""
    assert sorted(everybody(board, shape, chance)) == list(range(len(board.candidates)))


@patient
@given(any_board, shapes, st.randoms(use_true_random=False), st.data())
def test_a_choice_is_of_those_that_can_serve_and_stand_well(
    board: Board, shape: Shape, chance: random.Random, data: st.DataObject
) -> None:
    """All of them, or as many as a request can try; an empty one means that there is nobody."""
    states = {one.target: data.draw(st.sampled_from(STATES)) for one in board.candidates}
    chosen = choose(shape, board, None, lambda target: Standing(states[target]), chance.random)
    try:
        eligible = able(board, shape)
    except NoTargetFits:
        eligible = []
    good = {place for place in eligible if states[board.candidates[place].target] in ANSWERING}
    assert len(chosen) == len(set(chosen)) == min(len(good), MOST_CHOSEN)
    assert set(chosen) <= good


@patient
@given(any_board, shapes, st.randoms(use_true_random=False))
def test_nobody_is_asked_who_is_known_not_to_be_able(
    board: Board, shape: Shape, chance: random.Random
) -> None:
    """Only where a prompt is too long for everybody are those with the most context left to judge it."""
    if not board.route.fit:
        return
    grades = [one.grade(shape.needs, shape.context) for one in board.candidates]
    chosen = choose(shape, board, None, None, chance.random)
    if any(grades):
        assert all(grades[place] != CANNOT for place in chosen)
    else:
        assert all(board.candidates[place].grade(shape.needs, 0) for place in chosen)


@patient
@given(any_board, shapes, st.randoms(use_true_random=False))
def test_the_unknown_come_after_the_known(board: Board, shape: Shape, chance: random.Random) -> None:
    """They are not out: they are asked once all have failed of whom it is known that they can."""
    fit = board.fit(shape)
    if fit is None or not fit.is_mixed:
        return
    chosen = choose(shape, board, None, None, chance.random)
    unsure = [fit.grades[place] == MAYBE for place in chosen]
    assert unsure == sorted(unsure)


@patient
@given(any_board, shapes, st.randoms(use_true_random=False))
def test_the_preferred_come_first(board: Board, shape: Shape, chance: random.Random) -> None:
    """Own machines or clouds, over every strategy."""
    prefer = board.route.prefer
    if prefer is None:
        return
    order = [board.candidates[place].is_own for place in everybody(board, shape, chance)]
    assert order == sorted(order, reverse=prefer == "own")


@patient
@given(made_up_candidates(), st.sampled_from(STRATEGIES), shapes, st.randoms(use_true_random=False))
def test_a_private_route_never_leaves_own_machines(
    candidates: list[Candidate], strategy: str, shape: Shape, chance: random.Random
) -> None:
    """Whoever cannot serve, and however they stand."""
    one_is_own = [replace(candidates[0], is_own=True), *candidates[1:]]  # else the configuration is refused
    board = board_of(one_is_own, strategy, private=True)
    chosen = choose(shape, board, None, None, chance.random)
    assert all(board.candidates[place].is_own for place in chosen)
    with_trouble = choose(shape, board, None, lambda target: Standing(State.EJECTED), chance.random)
    assert with_trouble == []
    with contextlib.suppress(NoTargetFits):
        assert all(board.candidates[place].is_own for place in able(board, shape))


@patient
@given(made_up_candidates(), shapes, st.data())
def test_the_cheapest_never_has_a_dearer_one_before_it(
    candidates: list[Candidate], shape: Shape, data: st.DataObject
) -> None:
    """By what each is expected to cost for this request, by its price and habits; the unpriced are last."""
    measurements = Measurements(FakeClock())
    board = board_of(candidates, "cheapest", measurements=measurements)
    everybody(board, shape, random.Random(0))
    for one in data.draw(st.lists(st.sampled_from(candidates), max_size=5)):
        measure = measurements.of(one.target)
        measure.usual_eighths = data.draw(st.integers(0, 8))
        measure.usual_answer = data.draw(st.integers(1, 5_000))
        board.changed(one.target)
    costs = [
        board.costs.of(shape, board.costs.kind(place)) for place in everybody(board, shape, random.Random(0))
    ]
    known = [cost for cost in costs if cost is not None]
    assert known == sorted(known)
    assert costs == [*known, *([None] * (len(costs) - len(known)))]


@patient
@given(made_up_candidates(), st.data())
def test_the_least_busy_and_the_fastest_keep_up_with_what_is_measured(
    candidates: list[Candidate], data: st.DataObject
) -> None:
    """After any changes the order is the one that sorting anew gives."""
    measurements = Measurements(FakeClock())
    busy = board_of(candidates, "least-busy", measurements=measurements)
    fast = board_of(candidates, "fastest", measurements=measurements)
    targets = st.sampled_from([one.target for one in candidates])
    for target in data.draw(st.lists(targets, max_size=20)):
        measure = measurements.of(target)
        measure.token = data.draw(st.floats(0.001, 1))
        measurements.moved(None, target)
    shape, never = Shape(10), 0.5

    def load(place: int) -> float:
        return measurements.of(candidates[place].target).in_flight / candidates[place].weight

    def seconds(place: int) -> tuple[bool, float]:
        known = measurements.of(candidates[place].target).seconds
        return known is None, known or 0.0

    places = range(len(candidates))
    assert list(busy.order.places(shape, None, lambda: never)) == sorted(places, key=load)
    assert list(fast.order.places(shape, None, lambda: never)) == sorted(places, key=seconds)


@patient
@given(made_up_candidates(), shapes, st.floats(0, 1, exclude_max=True), st.data())
def test_a_conversation_stays_while_its_target_is_healthy(
    candidates: list[Candidate], shape: Shape, number: float, data: st.DataObject
) -> None:
    """The same one is first every time; where it was comes first; an ill one yields, and returns."""
    board = board_of(candidates, "sticky", fit=False)

    def first(warm: int | None = None, ill: Iterable[Target] = ()) -> int | None:
        standing = (lambda target: Standing(State.EJECTED) if target in ill else SERVING) if ill else None
        return next(iter(choose(shape, board, warm, cast(Any, standing), lambda: number)), None)

    home = first()
    assert home is not None
    assert first() == home
    warm = data.draw(st.integers(0, len(candidates) - 1))
    assert first(warm) == warm
    moved = first(home, {candidates[home].target})
    assert moved != home
    assert first(home) == home


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_request_that_nobody_can_serve_is_refused(strategy: str) -> None:
    """With what it needs, and what to do."""
    board = board_of([Candidate(Target("a", "m"), cannot=2)], strategy)
    assert choose(Shape(10, None, 2), board, None, None, random.random) == []
    with pytest.raises(NoTargetFits, match="No target of 'chat' can do vision"):
        able(board, Shape(10, None, 2))
