"""Which prompts cost the most."""

from __future__ import annotations

from collections import defaultdict

from msgspec.structs import replace

from shareai_cli.ledger import Closed, dearest_prompts, public_id
from shareai_cli.ledger.entries import first_number
from shareai_cli.ledger.prompts import MOST
from shareai_cli.paths import Paths
from shareai_cli.types import LATEST_MS, Usage
from tests.ledger.making import NOW_MS, closed, open_ledger
from tests.ledger.test_report import keep, some_entries, summed

NO_PROMPT = b""


def prompt(number: int) -> bytes:
    return number.to_bytes(8)


def numbered(entries: list[Closed], prompts: int) -> list[Closed]:
    """Return entries with ids of their times and with prompts, the first of which is none."""
    return [
        replace(
            entry,
            request=first_number(entry.time_ms) + place,
            fingerprint=prompt(place % prompts) if place % prompts else NO_PROMPT,
        )
        for place, entry in enumerate(entries)
    ]


def test_a_prompt_has_the_sums_of_its_requests(paths: Paths) -> None:
    """Since any time, the dearest first, told by the latest of them; those without a prompt are in none."""
    entries = numbered(some_entries(800, days=3), 40)
    keep(paths, entries)
    for since_ms in (None, entries[0].time_ms, entries[5].time_ms + 1):
        groups: dict[str, list[Closed]] = defaultdict(list)
        for entry in entries:
            if entry.fingerprint and (since_ms is None or entry.time_ms >= since_ms):
                groups[entry.fingerprint.hex()].append(entry)
        found = dearest_prompts(paths, since_ms=since_ms, limit=MOST)
        assert {one.sums.name: one.sums for one in found} == {
            name: summed(name, group) for name, group in groups.items()
        }
        costs = [one.sums.cost_nano_usd for one in found]
        assert costs == sorted(costs, reverse=True)
        for one in found:
            latest = max(groups[one.sums.name], key=lambda entry: entry.request)
            assert (one.latest, one.route, one.prompt_bytes) == (
                public_id(latest.request), latest.route, latest.prompt_bytes,
            )  # fmt: skip


def test_as_many_as_are_asked_for(paths: Paths) -> None:
    """The dearest of all, and never more than the most; drills are left out."""
    ledger = open_ledger(paths)
    for number in range(1, MOST + 21):
        for again in range(1 + number % 3):
            ledger.closed(closed(10 * number + again, fingerprint=prompt(number)))
    for number in range(9):
        ledger.closed(closed(9_001 + number, fingerprint=prompt(777), drill=9_000))
    ledger.closed(closed(9_999, fingerprint=prompt(555), usage=Usage(10**6, 0, 0, 0, 0)))
    ledger.close()
    for limit, count in ((0, 0), (7, 7), (10**18, MOST), (-3, 0)):
        found = dearest_prompts(paths, since_ms=None, limit=limit)
        assert len(found) == count
        assert [one.sums.requests for one in found[:7]] == [1, 3, 3, 3, 3, 3, 3][: len(found[:7])]
    assert prompt(777).hex() not in {one.sums.name for one in dearest_prompts(paths, since_ms=0, limit=MOST)}


def test_nothing_in_the_time_asked_for(paths: Paths) -> None:
    """At the end of all times too."""
    ledger = open_ledger(paths)
    ledger.closed(closed(first_number(NOW_MS)))
    ledger.close()
    assert len(dearest_prompts(paths, since_ms=NOW_MS, limit=5)) == 1
    assert dearest_prompts(paths, since_ms=NOW_MS + 1, limit=5) == []
    assert dearest_prompts(paths, since_ms=LATEST_MS, limit=5) == []
