"""Who is over a limit is told so in OpenAI's shape, and nobody is asked."""

from __future__ import annotations

from shareai_cli.types import Limits, Outcome, RateLimit, Subject, Window
from tests.support.gateway import CALLER, Gate
from tests.support.upstream import FaultUpstream

ROUTES = {"chat": ["a/m"]}
KEY = Subject("key", CALLER.key_name, (CALLER.key_id,))


def requests(most: int, window: Window = "minute") -> Limits:
    return Limits(rates=(RateLimit("requests", window, most),))


async def test_more_requests_than_a_minute_allows_are_refused() -> None:
    """The 429 names key and limit, says when to come again, and costs the upstream nothing."""
    async with (
        FaultUpstream() as a,
        Gate({"a": a}, routes=ROUTES, limits={KEY: requests(2)}) as gate,
    ):
        assert [(await gate.ask()).status for _ in range(2)] == [200, 200]
        gate.pass_time(20)
        answer = await gate.ask()
        assert answer.status == 429
        assert answer.error["type"] == "rate_limit_error"
        assert answer.error["code"] == "rate_limit_exceeded"
        assert answer.error["message"] == "Key 'laptop' is over requests_per_minute (2). Try again in 41 s."
        assert answer.headers["retry-after"] == "41"
        assert "x-should-retry" not in answer.headers
        assert {name: value for name, value in answer.headers.items() if name.startswith("x-ratelimit-")} == {
            "x-ratelimit-limit-requests": "2",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "41s",
        }
        assert len(a.completions) == 2
        entry = gate.ledger.closed_entries[-1]
        assert (entry.outcome, entry.status, entry.error) == (Outcome.REFUSED, 429, "rate_limit_exceeded")
        assert len(gate.ledger.opened_entries) == 2
        gate.pass_time(40.9)
        assert (await gate.ask()).status == 429
        gate.pass_time(0.2)
        assert (await gate.ask()).status == 200
