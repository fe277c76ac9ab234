"""How each strategy orders, and what it may cost."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from shareai_cli.gateway.health import SERVING, Standing, State
from shareai_cli.gateway.strategies.board import MOST_CHOSEN, choose
from shareai_cli.gateway.strategies.candidates import Candidate
from shareai_cli.gateway.strategies.measurements import Measurements
from shareai_cli.gateway.strategies.orders import EXPLORED, FRESH_SECONDS
from shareai_cli.gateway.strategies.shape import TOOLS, Shape
from shareai_cli.types import Target
from tests.gateway.strategies.boards import PriceList, board_of, candidate, names
from tests.support.clock import FakeClock

SHORT = Shape(10)


@pytest.mark.parametrize("count", [3, 50])
def test_weighted_draws_by_weight_each_place_anew(count: int) -> None:
    """The first by the weights, the second by those that are left; among few candidates and many."""
    weights = [6, 3, 1] + [1] * (count - 3)
    board = board_of([candidate(f"p{n}", weight=one) for n, one in enumerate(weights)], "weighted")
    chance = random.Random(7).random
    orders = [list(board.order.places(SHORT, None, chance))[:2] for _ in range(8000)]
    firsts = Counter(first for first, _ in orders)
    total = sum(weights)
    for place in range(3):
        assert firsts[place] / 8000 == pytest.approx(weights[place] / total, abs=0.02)
    after_first = Counter(second for first, second in orders if first == 0)
    share = weights[1] / (total - weights[0])
    assert after_first[1] / firsts[0] == pytest.approx(share, abs=0.04)


def test_another_than_the_fastest_is_tried_now_and_then() -> None:
    """One that was never measured while there is one, in its share of requests."""
    measurements = Measurements(FakeClock())
    board = board_of([candidate("a"), candidate("b"), candidate("c")], "fastest", measurements=measurements)
    for name, seconds in (("a", 0.2), ("b", 0.1)):
        measurements.of(Target(name, "m")).token = seconds
        board.changed(Target(name, "m"))
    chance = random.Random(3).random
    chosen = Counter(names(board, choose(SHORT, board, None, None, chance)) for _ in range(4000))
    assert set(chosen) == {"bac", "cba"}
    assert chosen["cba"] / 4000 == pytest.approx(EXPLORED, abs=0.01)
    measurements.of(Target("c", "m")).token = 0.3
    board.changed(Target("c", "m"))
    firsts = Counter(names(board, choose(SHORT, board, None, None, chance))[0] for _ in range(4000))
    assert firsts["a"] == pytest.approx(4000 * EXPLORED / 3, abs=40)


def test_alike_candidates_and_requests_share_one_calculation() -> None:
    """Prices are asked once for a kind of candidate and a length, and again after a while: they change."""
    facts, clock = PriceList({"a": (1, 4), "b": (2, 1)}), FakeClock()
    candidates = [candidate(f"p{n}", "ab"[n % 2], price_as="x") for n in range(500)]
    board = board_of(candidates, "cheapest", facts=facts, clock=clock)
    for tokens in (1_000, 1_001, 1_010):
        choose(Shape(tokens), board, None, None, random.random)
    assert facts.asked == 2
    facts.prices = {"a": (0, 0), "b": (2, 1)}
    clock.forward(FRESH_SECONDS + 1)
    assert choose(SHORT, board, None, None, random.random)[0] == 0
    assert facts.asked == 4


def test_a_busy_target_with_more_room_is_asked_before_a_full_one() -> None:
    """Weights are room: two of four is less than one of one."""
    measurements = Measurements(FakeClock())
    candidates = [candidate("a"), candidate("b", weight=4)]
    board = board_of(candidates, "least-busy", measurements=measurements)
    measurements.moved(None, Target("a", "m"))
    for _ in range(2):
        measurements.moved(None, Target("b", "m"))
    assert names(board, choose(SHORT, board, None, None, random.random)) == "ba"


def test_no_more_are_looked_at_than_can_be_tried() -> None:
    """Of two thousand that all serve, the first sixteen."""
    board = board_of([candidate(f"p{n}") for n in range(2_000)])
    looked_at: list[Target] = []

    def standing(target: Target) -> Standing:
        looked_at.append(target)
        return Standing(State.EJECTED) if len(looked_at) == 1 else SERVING

    chosen = choose(SHORT, board, None, standing, random.random)
    assert chosen == list(range(1, MOST_CHOSEN + 1))
    assert len(looked_at) == MOST_CHOSEN + 1


def test_what_is_unknown_excludes_nobody() -> None:
    """Neither an unknown context, nor unknown abilities; a known lack does."""
    known, unknown = candidate("a", can=TOOLS), Candidate(Target("b", "m"))
    lacking = candidate("c", can=0, cannot=TOOLS, context=100)
    board = board_of([lacking, unknown, known])
    assert names(board, choose(Shape(50), board, None, None, random.random)) == "cba"
    assert names(board, choose(Shape(200), board, None, None, random.random)) == "ba"
    assert names(board, choose(Shape(100_000), board, None, None, random.random)) == "ab"
    assert names(board, choose(Shape(50, None, TOOLS), board, None, None, random.random)) == "ab"
