"""Errors as replies: the header fields that tell clients how a limit stands."""

from __future__ import annotations

import pytest

from shareai_cli.errors import BeyondLimit, QuotaExhausted, RateLimited, RateState
from shareai_cli.wire.refusal import refusal


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.0, "0ms"), (0.0201, "21ms"), (1.0, "1s"), (59.2, "1m0s"), (360.0, "6m0s"), (90_000.5, "25h0m1s")],
)
def test_a_limit_is_told_as_openai_does(seconds: float, written: str) -> None:
    """Limit, rest and the time until all of it is free, rounded up."""
    error = RateLimited("Too much.", retry_after=seconds, rate=RateState("tokens", 100, 7, seconds))
    fields = dict(refusal(error).headers)
    assert fields[b"x-ratelimit-limit-tokens"] == b"100"
    assert fields[b"x-ratelimit-remaining-tokens"] == b"7"
    assert fields[b"x-ratelimit-reset-tokens"].decode() == written
    assert int(fields[b"retry-after"]) >= max(1, seconds)
    assert b"x-should-retry" not in fields


def test_what_never_has_room_is_not_to_be_tried_again() -> None:
    """No time to come again is named."""
    for error in (BeyondLimit("Too much."), QuotaExhausted("Used up.")):
        fields = dict(refusal(error).headers)
        assert fields[b"x-should-retry"] == b"false"
        assert b"retry-after" not in fields
