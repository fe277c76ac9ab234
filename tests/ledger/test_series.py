"""Courses over time are what adding up the single requests of each hour, or day, gives."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from shareai_cli.errors import UsageError
from shareai_cli.ledger import Closed, usage_series
from shareai_cli.ledger.series import MOST_LINES, MOST_SLOTS
from shareai_cli.paths import Paths
from shareai_cli.types import LATEST_MS, Grouping, SlotLength, UsageLine
from tests.ledger.making import NOW_MS, closed, open_ledger
from tests.ledger.test_report import HOUR_MS, ZONES, keep, name_of, some_entries, summed

BEGIN = 1_792_800_000_000
"""24 October 2026, at midnight of UTC; a day later summer time ends in Europe."""
GROUPINGS: tuple[Grouping, ...] = ("model", "route", "target", "provider", "node", "key", "team")


def slot_of(entry: Closed, slot: SlotLength, zone: ZoneInfo) -> str:
    if slot == "day":
        return f"{datetime.fromtimestamp(entry.time_ms / 1000, zone):%Y-%m-%d}"
    return f"{datetime.fromtimestamp(entry.time_ms // HOUR_MS * HOUR_MS / 1000, zone):%Y-%m-%d %H:%M}"


@pytest.mark.parametrize("slot", ["hour", "day"])
def test_each_slot_is_the_sum_of_its_requests(paths: Paths, slot: SlotLength) -> None:
    """By every grouping, in any zone, across the end of summer time."""
    entries = some_entries(900, days=3)
    keep(paths, entries)
    for zone in map(ZoneInfo, ZONES):
        for by in GROUPINGS:
            series = usage_series(
                paths, by=by, slot=slot, since_ms=BEGIN - HOUR_MS, until_ms=BEGIN + 75 * HOUR_MS, zone=zone
            )
            wanted: dict[tuple[str, str], list[Closed]] = defaultdict(list)
            for entry in entries:
                wanted[name_of(by, zone)(entry), slot_of(entry, slot, zone)].append(entry)
            found: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
            for line in series.lines:
                for name, *numbers in zip(
                    series.slots, line.requests, line.tokens, line.cost_nano, strict=True
                ):
                    if numbers[0]:  # an hour that comes twice has one name
                        place = found[line.name, name]
                        found[line.name, name] = [a + b for a, b in zip(place, numbers, strict=True)]
            expected = {}
            for (name, begins), group in wanted.items():
                sums = summed("", group)
                tokens = sums.prompt_tokens + sums.completion_tokens
                expected[name, begins] = [sums.requests, tokens, sums.cost_nano_usd]
            assert found == expected, (zone, by)


def test_there_is_a_slot_for_each_part_of_the_time(paths: Paths) -> None:
    """Also where nothing came; days are whole ones."""
    open_ledger(paths).close()
    hours = usage_series(paths, by="model", slot="hour", since_ms=BEGIN, until_ms=BEGIN + 3 * HOUR_MS + 1,
                         zone=ZoneInfo("UTC"))  # fmt: skip
    assert hours.slots[0] == "2026-10-24 00:00"
    assert (len(hours.slots), hours.lines) == (4, ())
    days = usage_series(paths, by=None, slot="day", since_ms=BEGIN + 5, until_ms=BEGIN + 24 * HOUR_MS + 1,
                        zone=ZoneInfo("UTC"))  # fmt: skip
    assert days.slots == ("2026-10-24", "2026-10-25")
    assert days.lines == (UsageLine("", (0, 0), (0, 0), (0, 0)),)


def test_what_has_no_line_of_its_own_is_in_the_rest(paths: Paths) -> None:
    """The dearest have their own; nothing is lost."""
    ledger = open_ledger(paths)
    for number in range(1, 2 * MOST_LINES + 1):
        for again in range(number):
            ledger.closed(closed(100 * number + again, time_ms=BEGIN, route=f"route-{number}"))
    ledger.close()
    series = usage_series(paths, by="route", slot="hour", since_ms=BEGIN, until_ms=BEGIN + HOUR_MS)
    own = [f"route-{number}" for number in range(2 * MOST_LINES, MOST_LINES, -1)]
    assert [(line.name, line.is_rest) for line in series.lines] == [
        *((name, False) for name in own),
        ("", True),
    ]
    everything = usage_series(paths, by=None, slot="hour", since_ms=BEGIN, until_ms=BEGIN + HOUR_MS)
    assert sum(line.requests[0] for line in series.lines) == everything.lines[0].requests[0]
    assert series.lines[-1].requests == (sum(range(1, MOST_LINES + 1)),)


@pytest.mark.parametrize(
    ("by", "slot", "since_ms", "until_ms"),
    [
        ("model", "hour", NOW_MS, NOW_MS),
        ("model", "hour", NOW_MS, NOW_MS - 1),
        ("model", "hour", 0, NOW_MS),
        ("model", "day", NOW_MS - (MOST_SLOTS + 1) * 24 * HOUR_MS, NOW_MS),
        ("model", "day", LATEST_MS - HOUR_MS, LATEST_MS),
        ("day", "day", NOW_MS - HOUR_MS, NOW_MS),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    paths: Paths, by: Grouping, slot: SlotLength, since_ms: int, until_ms: int
) -> None:
    """No time, more than a screen has, days by day, and days after the last one that there is."""
    open_ledger(paths).close()
    with pytest.raises(UsageError) as caught:
        usage_series(paths, by=by, slot=slot, since_ms=since_ms, until_ms=until_ms)
    assert caught.value.hint
