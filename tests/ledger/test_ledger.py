from __future__ import annotations

import time

import pytest

from shareai_cli.errors import LedgerUnavailable, UsageError
from shareai_cli.ledger import find, public_id, recent, usage_report
from shareai_cli.ledger.frames import frame
from shareai_cli.ledger.journal import file_of
from shareai_cli.paths import Paths
from shareai_cli.types import Attempt, CostBasis, Outcome, Usage
from tests.ledger.making import (
    NOW_MS,
    check_whole,
    closed,
    journal_files,
    open_ledger,
    opened,
    query,
    record,
    recorded,
)
from tests.support.waiting import until


def write_journal(paths: Paths, number: int, *pieces: bytes) -> None:
    """Leave a file as a killed process would have."""
    paths.journal.mkdir(parents=True, exist_ok=True)
    file_of(paths.journal, number).write_bytes(b"".join(pieces))


async def test_a_request_becomes_a_row_with_all_that_is_known_of_it(paths: Paths) -> None:
    """Every column comes back as it was recorded, under the id that the client saw."""
    ledger = open_ledger(paths)
    key = ledger.store.create_key("laptop", b"d" * 32)
    record(ledger, [42], caller_key=key.id)
    await ledger.settled()
    row = find(paths, public_id(42))
    ledger.close()
    assert row is not None
    assert (row.time_ms, row.key, row.team, row.route) == (NOW_MS, "laptop", "default", "chat")
    assert (row.target, row.provider_key, row.status, row.streamed) == ("alpha/m", "aabbccdd", 200, True)
    assert (row.outcome, row.error) == (Outcome.OK, "")
    assert row.attempts == (Attempt("alpha/m", "aabbccdd", "ok", 200, 1500),)
    assert (row.usage, row.estimated_tokens) == (Usage(10, 20, 5, 7, 3), False)
    assert (row.cost_nano, row.basis) == (45, CostBasis.EXACT)
    assert (row.first_token_us, row.total_us) == (900, 2000)
    assert (row.prompt_bytes, row.completion_bytes, row.fingerprint) == (400, 40, b"12345678")


ATTEMPTS = [
    (),
    (Attempt("alpha/m", "aabbccdd", "ok", 200, 0),),
    (Attempt("alpha/m", "aabbccdd", "ok", 201, 5),),
    (Attempt("alpha/m", "other", "ok", 200, 5),),
    (Attempt("alpha/m", "aabbccdd", "timeout", 0, 5),),
    (Attempt("beta/n", "", "refused", 0, 5), Attempt("alpha/m", "aabbccdd", "ok", 200, 7)),
    tuple(Attempt(f"p{number}/m", f"key{number}", "status", 500 + number, number) for number in range(12)),
]


@pytest.mark.parametrize("attempts", ATTEMPTS)
async def test_every_attempt_is_kept(paths: Paths, attempts: tuple[Attempt, ...]) -> None:
    """The short form of the ordinary case and the long one tell the same."""
    ledger = open_ledger(paths)
    record(ledger, [1], attempts=attempts)
    await ledger.settled()
    ledger.close()
    assert recent(paths, 1)[0].attempts == attempts


async def test_what_was_given_up_is_priced_though_it_never_answered(paths: Paths) -> None:
    """A target that always loses to another one beside it has no row of its own that tells its prices."""
    ledger = open_ledger(paths)
    attempts = (
        Attempt("alpha/m", "aabbccdd", "hedged", 0, 9, "alpha"),
        Attempt("node/q", "", "ok", 200, 7),
    )
    record(ledger, [1], attempts=attempts, target="node/q", model="q", price_as="node")
    await ledger.settled()
    ledger.close()
    row = recent(paths, 1)[0]
    assert (row.cost_nano, row.basis) == (100, CostBasis.ESTIMATED)
    assert [one.outcome for one in row.attempts] == ["hedged", "ok"]


async def test_the_latest_requests_come_first(paths: Paths) -> None:
    """`recent` gives the newest ones, as many as were asked for."""
    ledger = open_ledger(paths)
    record(ledger, range(1, 30))
    await ledger.settled()
    ledger.close()
    assert [row.id for row in recent(paths, 3)] == [public_id(29), public_id(28), public_id(27)]
    assert find(paths, public_id(77)) is None
    with pytest.raises(UsageError, match="no request's id"):
        find(paths, "nonsense")


async def test_settled_waits_for_what_was_taken_in_before(paths: Paths) -> None:
    """After `settled`, a report holds every request that was closed before."""
    ledger = open_ledger(paths)
    for begin in range(1, 2001, 500):
        record(ledger, range(begin, begin + 500))
        await ledger.settled()
        assert usage_report(ledger.store).total.requests == begin + 499
    ledger.close()
    check_whole(paths)


async def test_rows_appear_without_anybody_waiting(paths: Paths) -> None:
    """The writer wakes by itself, also after it slept."""
    ledger = open_ledger(paths)
    for number in (1, 2, 3):
        record(ledger, [number])
        await until(lambda number=number: len(recorded(paths)) == number)  # type: ignore[misc]
    ledger.close()


async def test_closing_moves_everything_and_leaves_no_journal(paths: Paths) -> None:
    """A clean end needs no replay at the next start."""
    ledger = open_ledger(paths)
    record(ledger, range(1, 1501))
    ledger.close()
    assert recorded(paths) == list(range(1, 1501))
    assert journal_files(paths) == []
    check_whole(paths)


async def test_closing_settles_what_is_under_way(paths: Paths) -> None:
    """A request that nobody closed before the end is incomplete, not lost."""
    ledger = open_ledger(paths)
    ledger.opened(opened(1))
    ledger.close()
    assert recent(paths, 1)[0].outcome is Outcome.INCOMPLETE


async def test_the_salt_is_made_once(paths: Paths) -> None:
    """Equal prompts have equal fingerprints across restarts, and other installations have others."""
    ledger = open_ledger(paths)
    salt = ledger.salt
    ledger.close()
    ledger = open_ledger(paths)
    assert ledger.salt == salt
    assert len(salt) == 32
    assert salt != bytes(32)
    ledger.close()


async def test_the_newest_request_is_known_at_the_start(paths: Paths) -> None:
    """New ids can begin after it."""
    ledger = open_ledger(paths)
    assert ledger.newest_request == 0
    record(ledger, [5, 1 << 62, 7])
    ledger.close()
    ledger = open_ledger(paths)
    assert ledger.newest_request == 1 << 62
    ledger.close()


def test_a_killed_process_journal_is_taken_in_at_the_start(paths: Paths) -> None:
    """Closed requests become rows; an open one becomes incomplete, once, with an estimated cost."""
    write_journal(paths, 1, frame(opened(1)), frame(closed(1)), frame(opened(2)), b"torn"[:3])
    for _ in range(2):
        ledger = open_ledger(paths)
        ledger.close()
        assert recorded(paths) == [1, 2]
    lone = recent(paths, 1)[0]
    assert (lone.outcome, lone.status, lone.error) == (Outcome.INCOMPLETE, 0, "process_ended")
    assert (lone.target, lone.usage, lone.estimated_tokens) == ("alpha/m", Usage(prompt=100), True)
    assert (lone.cost_nano, lone.basis) == (100, CostBasis.ESTIMATED)
    check_whole(paths)


def test_taking_in_tells_how_far_it_is(paths: Paths) -> None:
    """In bytes, up to all of them."""
    frames = [frame(one) for number in range(1, 5000) for one in (opened(number), closed(number))]
    write_journal(paths, 1, *frames)
    told: list[tuple[int, int]] = []
    open_ledger(paths, taking_in=lambda done, whole: told.append((done, whole))).close()
    assert len(told) > 2
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (sum(map(len, frames)), sum(map(len, frames)))


def test_an_open_request_of_an_unknown_route_has_an_unknown_cost(paths: Paths) -> None:
    """Nothing tells its price, so the cost is not a silent zero."""
    write_journal(paths, 1, frame(opened(1)))
    open_ledger(paths).close()
    assert (recent(paths, 1)[0].cost_nano, recent(paths, 1)[0].target) == (None, "")
    assert usage_report(paths).total.unknown_cost == 1


def test_replaying_the_same_files_again_adds_nothing(paths: Paths) -> None:
    """Files that come back, with entries that have their rows, change neither rows nor sums."""
    entries = [frame(entry) for number in range(1, 60) for entry in (opened(number), closed(number))]
    write_journal(paths, 1, *entries)
    open_ledger(paths).close()
    before = usage_report(paths, by="route")
    write_journal(paths, 90, *entries, frame(opened(60)), frame(closed(60)), frame(closed(60)))
    open_ledger(paths).close()
    assert recorded(paths) == list(range(1, 61))
    assert usage_report(paths, by="route").total.requests == before.total.requests + 1
    check_whole(paths)


def test_several_files_are_replayed_in_order(paths: Paths) -> None:
    """A request that began in one file and ended in a later one is one row."""
    write_journal(paths, 3, frame(opened(1)), frame(opened(2)), frame(opened(3)))
    write_journal(paths, 5, frame(closed(2)))
    write_journal(paths, 6, frame(closed(1)))
    open_ledger(paths).close()
    outcomes = {row.id: row.outcome for row in recent(paths)}
    assert outcomes == {
        public_id(1): Outcome.OK,
        public_id(2): Outcome.OK,
        public_id(3): Outcome.INCOMPLETE,
    }
    assert journal_files(paths) == []


def test_damage_is_reported_and_its_file_kept(paths: Paths) -> None:
    """What stands behind damage is taken in, and a person can look at the file."""
    write_journal(paths, 1, frame(closed(1)), b"\xc1SA" + b"garbage" * 9, bytes(5000), frame(closed(2)))
    ledger = open_ledger(paths)
    assert ledger.state().damaged_bytes == 3 + 63 + 5000
    ledger.close()
    assert recorded(paths) == [1, 2]
    assert journal_files(paths) == ["0000000001.damaged"]


async def test_requests_under_way_survive_the_deletion_of_their_file(paths: Paths) -> None:
    """Files go once they are moved; a long request that began in one is then neither lost nor doubled."""
    ledger = open_ledger(paths, file_bytes=4000)
    ledger.opened(opened(1))
    ledger.opened(opened(2))
    record(ledger, range(3, 200))
    await ledger.settled()
    await until(lambda: len(journal_files(paths)) <= 2)
    assert query(paths, "SELECT id FROM under_way") == [(1,), (2,)]
    ledger.closed(closed(1))
    await ledger.settled()
    assert query(paths, "SELECT id FROM under_way") == [(2,)]
    ledger.close()
    assert recorded(paths) == list(range(1, 200))
    assert find(paths, public_id(1)).outcome is Outcome.OK  # type: ignore[union-attr]
    assert find(paths, public_id(2)).outcome is Outcome.INCOMPLETE  # type: ignore[union-attr]
    check_whole(paths)


async def test_state_tells_that_all_is_well(paths: Paths) -> None:
    """Nothing waits, nothing is unmoved, there is no problem."""
    ledger = open_ledger(paths)
    record(ledger, range(1, 50))
    await ledger.settled()
    state = ledger.state()
    ledger.close()
    assert (state.problem, state.waiting, state.unmoved_bytes, state.damaged_bytes) == (None, 0, 0, 0)


async def test_counts_beyond_belief_do_not_stop_the_accounts(paths: Paths) -> None:
    """An upstream that reports absurd counts gets a row, and reports still add up."""
    ledger = open_ledger(paths)
    record(ledger, range(1, 300), usage=Usage(1 << 62, (1 << 63) - 1, 0, -5, 1 << 40))
    record(ledger, range(300, 310))
    await ledger.settled()
    assert ledger.state().problem is None
    ledger.close()
    assert usage_report(paths).total.requests == 309
    check_whole(paths)


async def test_many_names_that_clients_made_up_are_kept(paths: Paths) -> None:
    """There is no end to model names; each request keeps its own."""
    ledger = open_ledger(paths)
    for number in range(1, 400):
        record(ledger, [number], target=f"alpha/{number}", route=f"alpha/{number}")
    await ledger.settled()
    ledger.close()
    assert {row.target for row in recent(paths, 500)} == {f"alpha/{number}" for number in range(1, 400)}
    assert len(usage_report(paths, by="model").rows) == 399


async def test_a_request_takes_at_most_200_bytes(paths: Paths) -> None:
    """Of the database, when prompts and times all differ."""
    ledger = open_ledger(paths)
    for number in range(1, 5001):
        request = (NOW_MS + number << 21) + number
        ledger.opened(opened(request, time_ms=NOW_MS + number, fingerprint=number.to_bytes(8)))
        changes = {"time_ms": NOW_MS + number, "fingerprint": number.to_bytes(8), "total_us": 10**7 + number}
        ledger.closed(closed(request, **changes))
    ledger.close()
    assert paths.database.stat().st_size / 5000 < 120


async def test_prices_are_made_in_the_writer_when_it_is_idle(paths: Paths) -> None:
    """Nothing waits for the slow import: neither opening nor the event loop."""
    made: list[float] = []

    class Slow:
        def __init__(self) -> None:
            time.sleep(0.2)
            made.append(time.monotonic())

        def cost_nano(self, price_as: str, model: str, usage: Usage, time_ms: int) -> int | None:
            return 1

    from shareai_cli.ledger import Ledger

    ledger = Ledger.open(paths, Slow)
    assert not made
    record(ledger, [1])
    assert not made
    await ledger.settled()
    assert len(made) == 1
    ledger.close()


def test_an_entry_after_closing_raises_nothing(paths: Paths) -> None:
    """A reply that ends late during shutdown does no harm."""
    ledger = open_ledger(paths)
    ledger.close()
    ledger.closed(closed(1))
    assert recorded(paths) == []


def test_reports_without_accounts_say_so(paths: Paths) -> None:
    """There is a line for a person, and no file is made."""
    with pytest.raises(LedgerUnavailable, match="no accounts yet"):
        usage_report(paths)
    assert not paths.database.exists()
