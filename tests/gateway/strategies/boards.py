"""Boards of made-up candidates, and what hypothesis makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from shareai_cli.catalog.facts import KnownModel
from shareai_cli.catalog.listing import ModelFacts
from shareai_cli.config import OwnPrice, RouteSettings, RouteTarget
from shareai_cli.gateway.strategies.board import Board
from shareai_cli.gateway.strategies.candidates import Candidate
from shareai_cli.gateway.strategies.measurements import Measurements
from shareai_cli.gateway.strategies.shape import JSON_SCHEMA, TOOLS, VISION, Shape
from shareai_cli.types import Target, Usage
from tests.support.clock import FakeClock

EVERYTHING = TOOLS | VISION | JSON_SCHEMA

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Waits as long as it takes on a busy machine."""

STRATEGIES = ("priority", "weighted", "cheapest", "fastest", "least-busy", "sticky")


class PriceList:
    """Knows nano-dollars a token of prompts and of answers, by the model's name."""

    def __init__(self, prices: Mapping[str, tuple[int, int]]) -> None:
        self.prices = prices
        self.asked = 0

    def look_up(self, price_as: str, model: str, told: ModelFacts) -> KnownModel:
        return KnownModel()

    def cost_nano(self, price_as: str, model: str, usage: Usage) -> int | None:
        self.asked += 1
        if model not in self.prices:
            return None
        prompt, answer = self.prices[model]
        # What is cached costs a tenth.
        return usage.prompt * prompt + usage.cached * prompt // 10 + usage.completion * answer


PRICES = PriceList({"a": (1, 4), "b": (2, 1), "c": (3, 3)})


def candidate(name: str, model: str = "m", **known: Any) -> Candidate:
    """Return a candidate that can do everything, unless told otherwise."""
    return Candidate(Target(name, model), **{"can": EVERYTHING, "context": 1 << 20, **known})


def board_of(
    candidates: Sequence[Candidate],
    strategy: str = "priority",
    *,
    facts: PriceList = PRICES,
    measurements: Measurements | None = None,
    clock: Callable[[], float] | None = None,
    **route: Any,
) -> Board:
    """Return the board of a route that has these candidates, told of what is measured."""
    clock = clock or FakeClock()
    measured = measurements or Measurements(clock)
    targets = tuple(RouteTarget(one.target, one.weight) for one in candidates)
    settings = RouteSettings("chat", cast(Any, strategy), targets, **{"fit": True, **route})
    board = Board(settings, candidates, facts, measured, clock)
    for one in candidates:
        measured.watch(one.target, board.changed)
    return board


def names(board: Board, places: Sequence[int]) -> str:
    """Return the providers at places, in their order: `"bac"`."""
    return "".join(board.candidates[place].target.provider for place in places)


flags = st.integers(0, EVERYTHING)


@st.composite
def made_up_candidates(draw: st.DrawFn) -> list[Candidate]:
    """Draw candidates of all kinds, known and unknown."""
    made: list[Candidate] = []
    for number in range(draw(st.integers(1, 40))):
        can = draw(flags)
        price = st.builds(OwnPrice, st.integers(0, 9), st.integers(0, 9))
        made.append(
            Candidate(
                Target(f"p{number}", draw(st.sampled_from("abcd"))),
                weight=draw(st.integers(1, 9)),
                is_own=draw(st.booleans()),
                context=draw(st.sampled_from((None, 1_000, 8_192, 100_000))),
                can=can,
                cannot=draw(flags) & ~can,
                price_as=draw(st.sampled_from(("", "known"))),
                price=draw(st.none() | price),
            )
        )
    return made


shapes = st.builds(Shape, st.integers(1, 200_000), st.none() | st.integers(1, 10_000), flags)
