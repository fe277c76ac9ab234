"""Moving entries into the database waits while requests rush, and not for ever."""

from __future__ import annotations

from shareai_cli.ledger import usage_report
from shareai_cli.ledger.rush import BEHIND, RUSH, Rush
from shareai_cli.paths import Paths
from tests.ledger.making import open_ledger, record
from tests.support.clock import FakeClock


def test_a_journal_that_grows_fast_is_left_alone() -> None:
    """And taken up once it grows slowly, though as much still waits."""
    clock = FakeClock()
    rush = Rush(clock)
    clock.forward(0.1)
    assert rush.is_on(RUSH // 5)
    clock.forward(0.1)
    assert rush.is_on(2 * RUSH // 5)
    clock.forward(0.1)
    assert not rush.is_on(2 * RUSH // 5 + RUSH // 20)


def test_only_so_much_is_put_off() -> None:
    """However fast it grows: after a kill all of it has to be taken in."""
    clock = FakeClock()
    rush = Rush(clock)
    clock.forward(0.1)
    assert rush.is_on(BEHIND - 1)
    clock.forward(0.1)
    assert not rush.is_on(3 * BEHIND)


def test_growth_counts_from_what_was_left() -> None:
    """What was moved meanwhile does not hide it."""
    clock = FakeClock()
    rush = Rush(clock)
    rush.is_on(4 * RUSH)
    rush.moved(0)
    clock.forward(0.1)
    assert rush.is_on(RUSH // 2)


def test_the_time_of_moving_does_not_make_growth_look_slow() -> None:
    """What grew since the move is compared with the time since the move."""
    clock = FakeClock()
    rush = Rush(clock)
    rush.is_on(0)
    clock.forward(10)
    rush.moved(0)
    clock.forward(0.1)
    assert rush.is_on(RUSH // 5)


async def test_who_waits_for_the_accounts_ends_the_wait(paths: Paths) -> None:
    """A report over thousands of requests that came at once holds them all."""
    ledger = open_ledger(paths)
    record(ledger, range(1, 8001))
    await ledger.settled()
    assert usage_report(paths).total.requests == 8000
    ledger.close()


async def test_collected_entries_are_written_when_the_turn_ends(paths: Paths) -> None:
    """The first of a turn asks for its end; asking for the accounts, or closing, does not lose any."""
    asked: list[bool] = []
    ledger = open_ledger(paths)
    ledger.collect(lambda: asked.append(True))
    record(ledger, [1])
    assert len(asked) == 1
    assert not any(file.stat().st_size for file in paths.journal.iterdir())
    ledger.flush()
    assert any(file.stat().st_size for file in paths.journal.iterdir())
    record(ledger, [2])
    assert len(asked) == 2
    await ledger.settled()
    assert usage_report(paths).total.requests == 2
    record(ledger, [3])
    ledger.close()
    assert usage_report(paths).total.requests == 3
