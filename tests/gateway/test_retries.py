"""The bound on retries."""

from __future__ import annotations

from shareai_cli.gateway.retries import LEAST, RetryBudget
from tests.support.clock import FakeClock


def take(budget: RetryBudget, times: int) -> int:
    return sum(budget.take() for _ in range(times))


def test_a_quiet_gateway_may_retry_a_few_times() -> None:
    """Never fewer than ten in ten seconds, however few the requests."""
    clock = FakeClock()
    budget = RetryBudget(clock)
    budget.count_request()
    assert take(budget, 100) == LEAST
    clock.forward(11)
    assert take(budget, 100) == LEAST


def test_retries_stay_within_a_share_of_requests() -> None:
    """A fifth of the requests of the last ten seconds."""
    clock = FakeClock()
    budget = RetryBudget(clock)
    for _ in range(10):
        for _ in range(100):
            budget.count_request()
        clock.forward(1)
    assert take(budget, 1000) == 200
