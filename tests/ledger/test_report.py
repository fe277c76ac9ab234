from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shareai_cli.ledger import Closed, usage_report
from shareai_cli.ledger.costs import Costs, PricedTarget
from shareai_cli.ledger.database import connect_reader
from shareai_cli.ledger.groups import sums_between
from shareai_cli.paths import Paths
from shareai_cli.types import Attempt, CostBasis, Grouping, Outcome, Usage, UsageSums
from tests.ledger.making import NOW_MS, FakePrices, closed, open_ledger

HOUR_MS = 3_600_000
KEYS = {1: "laptop", 2: "server"}
OWN = ("node", "engine")
ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Pacific/Chatham"]


def some_usage(dice: random.Random) -> Usage:
    prompt, cached, written, completion, reasoning = (dice.randrange(1000) for _ in range(5))
    return Usage(prompt, cached, written, completion, reasoning)


def some_entries(count: int, days: int, seed: int = 3) -> list[Closed]:
    """Return requests of every kind, at any moment of some days across the end of summer time."""
    dice = random.Random(seed)
    begin = 1_792_800_000_000  # 24 October 2026
    return [
        closed(
            number,
            time_ms=begin + dice.randrange(days * 24 * HOUR_MS),
            caller_key=dice.choice((1, 2)),
            team=dice.choice(("default", "red")),
            route=dice.choice(("chat", "fast", "alpha/m")),
            outcome=dice.choice(list(Outcome)),
            status=dice.choice((200, 400, 503)),
            usage=dice.choice((None, some_usage(dice))),
            prompt_bytes=dice.randrange(5000),
            completion_bytes=dice.choice((0, dice.randrange(5000))),
            first_token_us=dice.choice((0, dice.randrange(10**6))),
            total_us=dice.randrange(10**7),
            **dice.choice(
                (
                    {"target": "alpha/m", "price_as": "alpha"},
                    {"target": "beta/m", "price_as": ""},
                    {"target": "node/vendor/q", "price_as": "node"},
                    {"target": "engine/q", "price_as": "node"},
                    {"target": "", "price_as": "", "attempts": ()},
                    {"target": "", "price_as": "", "attempts": (Attempt("beta/m", "k", "reset", 0, 9),)},
                )
            ),
        )
        for number in range(1, count + 1)
    ]


def keep(paths: Paths, entries: list[Closed]) -> None:
    """Bring entries into the accounts of a ledger with two keys."""
    ledger = open_ledger(paths)
    for number, name in KEYS.items():
        assert ledger.store.create_key(name, bytes([number]) * 32).id == number
    for entry in entries:
        ledger.closed(entry)
    ledger.close()


def target_of(entry: Closed) -> str:
    return entry.target or (entry.attempts[-1].target if entry.attempts else "")


def name_of(by: Grouping, zone: tzinfo) -> Callable[[Closed], str]:
    """Return how an entry's group is named."""
    ways: dict[Grouping, Callable[[Closed], str]] = {
        "model": lambda entry: target_of(entry).partition("/")[2],
        "route": lambda entry: entry.route,
        "target": target_of,
        "provider": lambda entry: target_of(entry).partition("/")[0],
        "node": lambda entry: provider if (provider := target_of(entry).partition("/")[0]) in OWN else "",
        "key": lambda entry: KEYS[entry.caller_key],
        "team": lambda entry: entry.team,
        "day": lambda entry: datetime.fromtimestamp(entry.time_ms / 1000, zone).date().isoformat(),
    }
    return ways[by]


def summed(name: str, entries: list[Closed]) -> UsageSums:
    """Add up entries one by one, as the accounts should."""
    targets = [PricedTarget.named(target_of(entry), 0, entry.price_as) for entry in entries]
    costs = [Costs(FakePrices).of(entry, target) for entry, target in zip(entries, targets, strict=True)]
    used = [cost.usage for cost in costs]
    firsts = [entry.first_token_us for entry in entries if entry.first_token_us]
    return UsageSums(
        name=name,
        requests=len(entries),
        failed=sum(entry.outcome == Outcome.FAILED for entry in entries),
        incomplete=sum(entry.outcome == Outcome.INCOMPLETE for entry in entries),
        cancelled=sum(entry.outcome == Outcome.CANCELLED for entry in entries),
        refused=sum(entry.outcome == Outcome.REFUSED for entry in entries),
        rejected=sum(entry.outcome == Outcome.REJECTED for entry in entries),
        hit=sum(entry.outcome == Outcome.HIT for entry in entries),
        joined=sum(entry.outcome == Outcome.JOINED for entry in entries),
        prompt_tokens=sum(one.prompt + one.cached + one.cache_write for one in used),
        cached_tokens=sum(one.cached for one in used),
        cache_write_tokens=sum(one.cache_write for one in used),
        completion_tokens=sum(one.completion + one.reasoning for one in used),
        reasoning_tokens=sum(one.reasoning for one in used),
        estimated_tokens=sum(cost.estimated_tokens for cost in costs),
        cost_nano_usd=sum(cost.nano or 0 for cost in costs),
        estimated_cost=sum(cost.basis == CostBasis.ESTIMATED for cost in costs),
        unknown_cost=sum(cost.basis == CostBasis.UNKNOWN for cost in costs),
        average_first_token_us=round(sum(firsts) / len(firsts)) if firsts else None,
        average_total_us=round(sum(entry.total_us for entry in entries) / len(entries)) if entries else None,
    )


GROUPINGS: list[Grouping] = ["model", "route", "target", "provider", "node", "key", "team", "day"]


def test_reports_are_what_adding_up_the_requests_gives(paths: Paths) -> None:
    """By every grouping, since any moment, in any zone: exactly the sums of the single requests."""
    entries = some_entries(1500, days=4)
    keep(paths, entries)
    dice = random.Random(9)
    moments = [None, entries[0].time_ms, entries[0].time_ms + 1, 1_792_800_000_000 + 30 * HOUR_MS]
    moments += [1_792_800_000_000 + dice.randrange(96 * HOUR_MS) for _ in range(8)]
    for since_ms in moments:
        kept = [entry for entry in entries if since_ms is None or entry.time_ms >= since_ms]
        for by in GROUPINGS:
            for zone in map(ZoneInfo, ZONES if by == "day" else ZONES[:1]):
                groups: dict[str, list[Closed]] = defaultdict(list)
                for entry in kept:
                    groups[name_of(by, zone)(entry)].append(entry)
                report = usage_report(paths, by=by, since_ms=since_ms, zone=zone)
                expected = {name: summed(name, group) for name, group in groups.items()}
                assert {row.name: row for row in report.rows} == expected, (by, since_ms, zone)
                assert report.total == summed("", kept)


def test_any_stretch_of_time_has_the_sums_of_its_requests(paths: Paths) -> None:
    """From a part of an hour to a part of another, or of the same one, and of none at all."""
    entries = some_entries(400, days=1)
    keep(paths, entries)
    dice, begin = random.Random(4), entries[0].time_ms
    with closing(connect_reader(paths.database)) as connection:
        for length in (0, 1, 600_000, HOUR_MS, HOUR_MS + 1, 5 * HOUR_MS, 30 * HOUR_MS):
            for start in [
                begin,
                begin // HOUR_MS * HOUR_MS,
                *(begin + dice.randrange(10**7) for _ in range(5)),
            ]:
                end = start + length
                found = sum(row[1] for row in sums_between(connection, "target", start, end))
                assert found == sum(start <= one.time_ms < end for one in entries), (start, length)


def test_a_total_alone_has_no_rows(paths: Paths) -> None:
    """Without a grouping there is the total."""
    keep(paths, some_entries(50, days=1))
    report = usage_report(paths)
    assert (report.rows, report.by, report.total.requests) == ((), None, 50)


def test_rows_are_ordered(paths: Paths) -> None:
    """The most expensive first; days as they passed."""
    keep(paths, some_entries(500, days=4))
    costs = [row.cost_nano_usd for row in usage_report(paths, by="target").rows]
    assert costs == sorted(costs, reverse=True)
    days = [row.name for row in usage_report(paths, by="day", zone=ZoneInfo("UTC")).rows]
    assert days == ["2026-10-24", "2026-10-25", "2026-10-26", "2026-10-27"]


def test_nothing_in_the_time_asked_for(paths: Paths) -> None:
    """Zeros, and averages that are not there."""
    keep(paths, some_entries(50, days=1))
    report = usage_report(paths, by="key", since_ms=NOW_MS * 2)
    assert (report.rows, report.total) == ((), UsageSums(name=""))


def test_a_key_made_again_under_its_name_is_one_row(paths: Paths) -> None:
    """A person asks for the name; the ids behind it stay apart in the accounts."""
    ledger = open_ledger(paths)
    for number in (1, 2):
        key = ledger.store.create_key("laptop", bytes([number]) * 32)
        ledger.closed(closed(number, caller_key=key.id))
        ledger.store.revoke_key("laptop")
    ledger.close()
    assert [(row.name, row.requests) for row in usage_report(paths, by="key").rows] == [("laptop", 2)]


async def test_a_report_sees_one_state_while_rows_are_written(paths: Paths) -> None:
    """Total and rows agree under load."""
    ledger = open_ledger(paths)
    for number in range(1, 4001):
        ledger.closed(closed(number))
        if not number % 400:
            report = usage_report(ledger.store, by="route")
            assert sum(row.requests for row in report.rows) == report.total.requests
    ledger.close()


@pytest.mark.parametrize("by", GROUPINGS)
def test_empty_accounts(paths: Paths, by: Any) -> None:
    """A report before the first request is empty, not an error."""
    open_ledger(paths).close()
    assert usage_report(paths, by=by).rows == ()
