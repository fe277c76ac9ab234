"""What a request is expected to cost at a target: its prompt's length, what of it is cached, its answer's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from shareai_cli.config import OwnPrice
from shareai_cli.gateway.strategies.candidates import Candidate, Facts
from shareai_cli.gateway.strategies.measurements import TYPICAL_ANSWER, Measurements
from shareai_cli.gateway.strategies.shape import Shape, rounded
from shareai_cli.types import Usage

EIGHTHS: Final = 8


class CostKind(Struct, frozen=True):
    """All that a candidate's costs depend on beside the request: alike ones cost the same."""

    price: OwnPrice | None
    """What is declared; else own machines cost nothing, and others what the prices of a provider say."""
    is_own: bool
    price_as: str
    model: str
    cached: int
    """Eighths of a prompt that come from the target's cache, as measured."""
    answer: int
    """Tokens of an answer, as measured, rounded."""


class ExpectedCosts:
    """Works out what requests are expected to cost at each of a route's candidates."""

    def __init__(self, candidates: Sequence[Candidate], facts: Facts, measurements: Measurements) -> None:
        self._candidates = candidates
        self._facts = facts
        self._measures = [measurements.of(one.target) for one in candidates]

    def kind(self, place: int) -> CostKind:
        """Return what the costs of a candidate depend on just now."""
        one, measure = self._candidates[place], self._measures[place]
        is_flat = one.is_own or one.price is not None
        return CostKind(
            one.price,
            one.is_own,
            "" if is_flat else one.price_as,
            "" if is_flat else one.target.model,
            round((measure.cached or 0.0) * EIGHTHS),
            rounded(max(1, int(measure.answer if measure.answer is not None else TYPICAL_ANSWER))),
        )

    def of(self, shape: Shape, kind: CostKind) -> int | None:
        """Return nano-dollars that a request is expected to cost; None where no price is known."""
        usage = expected_usage(shape, kind)
        if kind.price is not None:
            prompt = usage.prompt + usage.cached
            return (prompt * kind.price.prompt_nano + usage.completion * kind.price.completion_nano) // 10**6
        if kind.is_own:
            return 0
        return self._facts.cost_nano(kind.price_as, kind.model, usage) if kind.price_as else None


def expected_usage(shape: Shape, kind: CostKind) -> Usage:
    """Return the tokens that a request is expected to take. As they are estimates, they are rounded."""
    prompt, answer = rounded(shape.prompt), kind.answer
    cached = prompt * kind.cached // EIGHTHS
    if shape.longest is not None:
        answer = min(answer, rounded(shape.longest))
    return Usage(prompt - cached, cached, 0, answer)
