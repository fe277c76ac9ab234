from __future__ import annotations

from typing import Any

import pytest

from shareai_cli.ledger.costs import MOST_TOKENS, Costs, PricedTarget, broken_attempts
from shareai_cli.types import Attempt, CostBasis, Outcome, Usage
from tests.ledger.making import FakePrices, closed

FAILED = (Attempt("alpha/m", "aabbccdd", "timeout", 0, 5),)
CASES = [
    # what the entry says, its target and prices: tokens, nano-dollars, basis
    ({}, "alpha/m", "alpha", Usage(10, 20, 5, 7, 3), 45, CostBasis.EXACT),
    # audio has a price of its own, which the counts do not tell apart
    ({"usage": Usage(10, 20, 5, 7, 3, has_audio=True)}, "alpha/m", "alpha",
     Usage(10, 20, 5, 7, 3, has_audio=True), 45, CostBasis.ESTIMATED),
    ({}, "alpha/other", "alpha", Usage(10, 20, 5, 7, 3), None, CostBasis.UNKNOWN),
    ({}, "beta/m", "", Usage(10, 20, 5, 7, 3), None, CostBasis.UNKNOWN),
    ({}, "node/qwen", "node", Usage(10, 20, 5, 7, 3), 0, CostBasis.EXACT),
    ({}, "ollama/llama3.2", "node", Usage(10, 20, 5, 7, 3), 0, CostBasis.EXACT),
    ({}, "node/shareai-demo", "node", Usage(10, 20, 5, 7, 3), 0, CostBasis.EXACT),
    # no counts of the upstream's: four bytes a token, rounded up
    ({"usage": None}, "alpha/m", "alpha", Usage(prompt=100, completion=10), 110, CostBasis.ESTIMATED),
    ({"usage": None, "prompt_bytes": 1, "completion_bytes": 0}, "alpha/m", "alpha",
     Usage(prompt=1), 1, CostBasis.ESTIMATED),
    ({"usage": None}, "alpha/other", "alpha", Usage(prompt=100, completion=10), None, CostBasis.UNKNOWN),
    ({"usage": None}, "node/qwen", "node", Usage(prompt=100, completion=10), 0, CostBasis.EXACT),
    ({"usage": None, "prompt_bytes": 0, "completion_bytes": 0}, "alpha/m", "alpha",
     Usage(), None, CostBasis.UNKNOWN),
    ({"usage": None, "outcome": Outcome.INCOMPLETE, "completion_bytes": 8}, "alpha/m", "alpha",
     Usage(prompt=100, completion=2), 102, CostBasis.ESTIMATED),
    ({"usage": None, "outcome": Outcome.CANCELLED, "completion_bytes": 0}, "alpha/m", "alpha",
     Usage(prompt=100), 100, CostBasis.ESTIMATED),
    ({"outcome": Outcome.INCOMPLETE}, "alpha/m", "alpha", Usage(10, 20, 5, 7, 3), 45, CostBasis.EXACT),
    # nothing was sent, or it was refused
    ({"usage": None, "attempts": (), "outcome": Outcome.REFUSED}, "", "", Usage(), 0, CostBasis.NONE),
    ({"usage": None, "attempts": (), "outcome": Outcome.CANCELLED}, "", "", Usage(), 0, CostBasis.NONE),
    ({"usage": None, "status": 400, "completion_bytes": 0, "outcome": Outcome.REJECTED},
     "alpha/m", "alpha", Usage(), 0, CostBasis.NONE),
    ({"usage": None, "status": 503, "completion_bytes": 0, "outcome": Outcome.FAILED, "attempts": FAILED},
     "alpha/m", "alpha", Usage(), 0, CostBasis.NONE),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "target", "price_as", "usage", "nano", "basis"), CASES)
def test_costs_and_how_exact_they_are(
    changes: dict[str, Any],
    target: str,
    price_as: str,
    usage: Usage,
    nano: int | None,
    basis: CostBasis,
) -> None:
    """An unknown cost is never a zero, and an estimate is told from what the upstream counted."""
    cost = Costs(FakePrices).of(closed(1, **changes), PricedTarget.named(target, 1, price_as))
    assert (cost.usage, cost.nano, cost.basis) == (usage, nano, basis)


BROKEN = Attempt("alpha/m", "aabbccdd", "truncated", 200, 5)
REFUSED = Attempt("beta/m", "eeff0011", "status", 503, 5)
LATER = Attempt("beta/m", "eeff0011", "ok", 200, 5)
HEDGED = Attempt("alpha/m", "aabbccdd", "hedged", 0, 5, "alpha")
LEFT = Attempt("alpha/m", "aabbccdd", "cancelled", 0, 5, "alpha")
REJECTED = Attempt("beta/m", "eeff0011", "status", 400, 5)
FAILING = {"usage": None, "completion_bytes": 0, "outcome": Outcome.FAILED, "status": 503}


@pytest.mark.parametrize(
    ("changes", "attempts", "known", "nano", "basis"),
    [
        (FAILING, (BROKEN,), True, 100, CostBasis.ESTIMATED),
        (FAILING, (BROKEN, REFUSED), True, 100, CostBasis.ESTIMATED),
        (FAILING, (BROKEN, BROKEN), True, 200, CostBasis.ESTIMATED),
        (FAILING, (BROKEN,), False, None, CostBasis.UNKNOWN),
        (FAILING, (REFUSED,), True, 0, CostBasis.NONE),
        ({}, (BROKEN, LATER), True, 145, CostBasis.ESTIMATED),
        ({}, (BROKEN, LATER), False, 45, CostBasis.ESTIMATED),
        ({}, (REFUSED, LATER), True, 45, CostBasis.EXACT),
        ({}, (HEDGED, LATER), True, 145, CostBasis.ESTIMATED),
        ({}, (HEDGED, LATER), False, 45, CostBasis.ESTIMATED),
        ({"outcome": Outcome.CANCELLED, "usage": None, "completion_bytes": 0}, (LEFT, LEFT), True, 200,
         CostBasis.ESTIMATED),
        ({"outcome": Outcome.CANCELLED, "usage": None, "completion_bytes": 0}, (LEFT,), True, 100,
         CostBasis.ESTIMATED),
        (FAILING | {"outcome": Outcome.REJECTED, "status": 400}, (REJECTED,), True, 0, CostBasis.NONE),
        (FAILING | {"outcome": Outcome.REJECTED, "status": 400}, (BROKEN, REJECTED), True, 100,
         CostBasis.ESTIMATED),
        ({"outcome": Outcome.INCOMPLETE}, (BROKEN,), True, 45, CostBasis.EXACT),
    ],
)  # fmt: skip
def test_a_reply_that_broke_may_have_been_billed(
    changes: dict[str, Any], attempts: tuple[Attempt, ...], known: bool, nano: int | None, basis: CostBasis
) -> None:
    """Its prompt is estimated, or unknown, never a silent zero; what was refused costs nothing."""
    entry = closed(1, **changes, attempts=attempts)
    alpha = PricedTarget.named("alpha/m", 1, "alpha")
    broken = [alpha if known else PricedTarget.named("alpha/m", 1, "") for _ in broken_attempts(entry)]
    cost = Costs(FakePrices).of(entry, alpha, broken)
    assert (cost.nano, cost.basis) == (nano, basis)


def test_an_estimate_of_tokens_is_said() -> None:
    """Also where the cost is exact all the same, as own machines' is."""
    costs = Costs(FakePrices)
    own = PricedTarget.named("node/qwen", 1, "node")
    assert costs.of(closed(1, usage=None), own).estimated_tokens
    assert not costs.of(closed(1), own).estimated_tokens


@pytest.mark.parametrize("count", [-1, MOST_TOKENS + 1, 1 << 62])
def test_counts_that_no_model_can_have_used_are_bounded(count: int) -> None:
    """An upstream's nonsense cannot make sums overflow."""
    alpha = PricedTarget.named("alpha/m", 1, "alpha")
    cost = Costs(FakePrices).of(closed(1, usage=Usage(completion=count)), alpha)
    assert cost.usage == Usage(completion=min(max(count, 0), MOST_TOKENS))
