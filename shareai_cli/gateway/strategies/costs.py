"""What a request is expected to cost at a target: its prompt's length, what of it is cached, its answer's."""

from __future__ import annotations

from collections.abc import Sequence

from shareai_cli.gateway.strategies.candidates import Candidate, Facts
from shareai_cli.gateway.strategies.measurements import TYPICAL_ANSWER, Measurements
from shareai_cli.gateway.strategies.shape import Shape, rounded
from shareai_cli.types import Usage

EIGHTHS = 8


def expected_usage(shape: Shape, cached: float | None, answer: float | None) -> Usage:
    """Return the tokens that a request is expected to take where so much is cached and answers are so long.

    All of them are rounded, as they are estimates: what is alike costs the same.
    """
    prompt = rounded(shape.prompt)
    from_cache = prompt * round((cached or 0.0) * EIGHTHS) // EIGHTHS
    tokens = rounded(max(1, int(answer if answer is not None else TYPICAL_ANSWER)))
    if shape.longest is not None:
        tokens = min(tokens, rounded(shape.longest))
    return Usage(prompt - from_cache, from_cache, 0, tokens)


class ExpectedCosts:
    """Works out what requests are expected to cost at each of a route's candidates."""

    def __init__(self, candidates: Sequence[Candidate], facts: Facts, measurements: Measurements) -> None:
        self._candidates = candidates
        self._facts = facts
        self._measures = [measurements.of(one.target) for one in candidates]

    def habit(self, place: int) -> tuple[int, int]:
        """Return what the costs of a candidate depend on beside the request, as coarsely as they do."""
        measure = self._measures[place]
        answer = measure.answer if measure.answer is not None else TYPICAL_ANSWER
        return round((measure.cached or 0.0) * EIGHTHS), rounded(max(1, int(answer)))

    def of(self, shape: Shape) -> list[int | None]:
        """Return nano-dollars for each candidate, None where no price is known."""
        known: dict[tuple[object, ...], int | None] = {}
        costs: list[int | None] = []
        for one, measure in zip(self._candidates, self._measures, strict=True):
            usage = expected_usage(shape, measure.cached, measure.answer)
            if one.price is not None or one.is_own:
                costs.append(one.cost(usage, self._facts))
                continue
            key = (one.price_as, one.target.model, usage)
            if key not in known:
                known[key] = one.cost(usage, self._facts)
            costs.append(known[key])
        return costs
