from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from shareai_cli.errors import ExitCode, UsageError
from shareai_cli.ledger import parse_since, parse_until

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 24, 12, 30, tzinfo=BERLIN)


def at(*moment: int, zone: ZoneInfo = BERLIN) -> int:
    return int(datetime(*moment, tzinfo=zone).timestamp() * 1000)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24h", at(2026, 11, 23, 12, 30)),
        ("30m", at(2026, 11, 24, 12, 0)),
        ("7d", at(2026, 11, 17, 12, 30)),
        ("2w", at(2026, 11, 10, 12, 30)),
        (" 1h ", at(2026, 11, 24, 11, 30)),
        ("2026-11-01", at(2026, 11, 1)),
        ("2026-11-01T08:15", at(2026, 11, 1, 8, 15)),
        ("2026-11-01 08:15:30", at(2026, 11, 1, 8, 15, 30)),
        ("2026-11-01T08:15:00Z", int(datetime(2026, 11, 1, 8, 15, tzinfo=UTC).timestamp() * 1000)),
        ("2026-11-01T08:15:00+05:30", int(datetime(2026, 11, 1, 2, 45, tzinfo=UTC).timestamp() * 1000)),
        # 60 days ago there was summer time: an age counts hours, a day begins at its midnight
        ("60d", at(2026, 9, 25, 13, 30)),
        ("2026-09-25", at(2026, 9, 25)),
    ],
)
def test_times_that_a_person_gives(text: str, expected: int) -> None:
    """Ages, days and ISO 8601 times, in the zone of the clock on the wall."""
    assert parse_since(text, NOW) == expected


def test_a_clock_without_a_zone_is_the_local_one() -> None:
    """`datetime.now()` does."""
    now = datetime(2026, 11, 24, 12, 30)
    assert parse_since("2026-11-24T12:00", now) == int(datetime(2026, 11, 24, 12).timestamp() * 1000)
    assert parse_since("1h", now) == int(now.timestamp() * 1000) - 3_600_000


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "7", "d", "-7d", "7.5d", "999999w", "2026-13-01", "2026-11-31", "\u0661d", "x" * 9999],
)
def test_what_is_no_time_is_told(text: str) -> None:
    """A line with examples, no traceback, and not the whole of a long text."""
    with pytest.raises(UsageError, match="is no time") as refused:
        parse_since(text, NOW)
    assert refused.value.exit_code is ExitCode.USAGE
    assert "24h" in str(refused.value.hint)
    assert len(refused.value.message) < 100


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12h", at(2026, 11, 25, 0, 30)),
        ("30d", at(2026, 12, 24, 12, 30)),
        ("2027-01-31", at(2027, 1, 31)),
        ("2027-01-31T08:00:00Z", int(datetime(2027, 1, 31, 8, tzinfo=UTC).timestamp() * 1000)),
    ],
)
def test_times_to_come(text: str, expected: int) -> None:
    """How long from now, or a day, in the zone of the clock on the wall."""
    assert parse_until(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "tomorrow", "-7d", "2026-13-01", "9" * 400 + "d", "x" * 9999])
def test_what_is_no_time_to_come_is_told(text: str) -> None:
    """A line with examples, no traceback, and not the whole of a long text."""
    with pytest.raises(UsageError, match="is no time to come") as refused:
        parse_until(text, NOW)
    assert len(refused.value.message) < 100
