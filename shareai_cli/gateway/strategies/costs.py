"""What a request is expected to cost at a target: its prompt's length, what of it is cached, its answer's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from shareai_cli.config import OwnPrice
from shareai_cli.gateway.strategies.candidates import Candidate, Facts
from shareai_cli.gateway.strategies.measurements import EIGHTHS, TYPICAL_ANSWER, Measurements
from shareai_cli.gateway.strategies.shape import Shape, rounded
from shareai_cli.types import Usage


class CostKind(Struct, frozen=True):
    """All that a candidate's costs depend on beside the request: alike ones cost the same."""

    price: OwnPrice | None
    """What is declared; None goes by what `model` costs at the provider `price_as` of the price list."""
    price_as: str
    model: str
    cached: int
    """Eighths of a prompt that come from the target's cache, as measured."""
    answer: int
    """Tokens of an answer, as measured, rounded."""


FREE: Final = CostKind(OwnPrice(0, 0), "", "", 0, TYPICAL_ANSWER)
"""Own machines, unless they have a price."""


class ExpectedCosts:
    """Works out what requests are expected to cost at each of a route's candidates."""

    def __init__(self, candidates: Sequence[Candidate], facts: Facts, measurements: Measurements) -> None:
        self._candidates = candidates
        self._facts = facts
        self._measures = [measurements.of(one.target) for one in candidates]

    def kind(self, place: int) -> CostKind:
        """Return what the costs of a candidate depend on just now."""
        one, measure = self._candidates[place], self._measures[place]
        if one.is_own and one.price is None:
            return FREE
        is_declared = one.price is not None
        return CostKind(
            one.price,
            "" if is_declared else one.price_as,
            "" if is_declared else one.target.model,
            measure.usual_eighths,
            rounded(measure.usual_answer),
        )

    def of(self, shape: Shape, kind: CostKind) -> int | None:
        """Return nano-dollars that a request is expected to cost; None where no price is known."""
        usage = expected_usage(shape, kind.cached, kind.answer)
        if kind.price is not None:
            prompt = usage.prompt + usage.cached
            return (prompt * kind.price.prompt_nano + usage.completion * kind.price.completion_nano) // 10**6
        return self._facts.cost_nano(kind.price_as, kind.model, usage) if kind.price_as else None


def expected_usage(shape: Shape, eighths: int, answer: int) -> Usage:
    """Return the tokens that a request is expected to take. As they are estimates, they are rounded.

    `eighths` of its prompt are expected to be cached, its answer to have `answer` tokens if it may.
    """
    prompt = rounded(shape.prompt)
    cached = prompt * eighths // EIGHTHS
    if shape.longest is not None:
        answer = min(answer, rounded(shape.longest))
    return Usage(prompt - cached, cached, 0, answer)
