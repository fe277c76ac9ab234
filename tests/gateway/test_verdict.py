"""What an upstream's status means for the next step."""

from __future__ import annotations

import pytest

from shareai_cli.gateway.verdict import DEFAULT_RETRY_AFTER, Effect, judge, retry_after

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("status", "effect"),
    [
        (200, Effect.ANSWER),
        (201, Effect.ANSWER),
        (301, Effect.FAILED),
        (400, Effect.REFUSED),
        (401, Effect.SHELVE_KEY),
        (402, Effect.SHELVE_KEY),
        (403, Effect.FORBIDDEN),
        (404, Effect.SHELVE_TARGET),
        (408, Effect.FAILED),
        (409, Effect.FAILED),
        (410, Effect.SHELVE_TARGET),
        (413, Effect.REFUSED),
        (422, Effect.REFUSED),
        (429, Effect.COOL_KEY),
        (500, Effect.FAILED),
        (503, Effect.FAILED),
        (529, Effect.FAILED),
    ],
)
def test_each_status_has_its_effect(status: int, effect: Effect) -> None:
    """The table of the design, line by line."""
    assert judge(status, {}, b"{}", NOW).effect is effect


@pytest.mark.parametrize("status", [429, 400])
def test_a_spent_quota_puts_the_key_aside(status: int) -> None:
    """A 429, or a 4xx, that says insufficient_quota is about the key and not about the moment."""
    body = b'{"error": {"message": "no money", "type": "insufficient_quota", "code": "insufficient_quota"}}'
    assert judge(status, {}, body, NOW).effect is Effect.SHELVE_KEY


def test_the_word_alone_does_not_put_a_key_aside() -> None:
    """A message that mentions insufficient_quota is not an error with that code."""
    body = b'{"error": {"message": "insufficient_quota is not meant", "code": "rate_limit_exceeded"}}'
    assert judge(429, {}, body, NOW).effect is Effect.COOL_KEY


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({b"retry-after": b"7"}, 7.0),
        ({b"retry-after": b"0.5"}, 0.5),
        ({b"retry-after-ms": b"1500"}, 1.5),
        ({b"retry-after": b"99999999"}, 3600.0),
        ({b"retry-after": b"-5"}, 0.0),
        ({b"retry-after": b"inf"}, 3600.0),
        ({b"retry-after": b"nan"}, DEFAULT_RETRY_AFTER),
        ({b"retry-after": b"soon"}, DEFAULT_RETRY_AFTER),
        ({b"retry-after": b"Mon, 21 Sep 2026 14:13:50 GMT"}, 30.0),
        ({b"retry-after": b"Monday, 21-Sep-26 14:13:50 GMT"}, 30.0),
        ({b"retry-after": b"\xff\xfe"}, DEFAULT_RETRY_AFTER),
        ({}, DEFAULT_RETRY_AFTER),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[bytes, bytes], seconds: float) -> None:
    """Seconds, milliseconds and dates are read, capped at an hour; what cannot be read is a default."""
    moment = 1_790_000_000.0  # Mon, 21 Sep 2026 14:13:20 GMT
    assert retry_after(headers, moment) == pytest.approx(seconds)
