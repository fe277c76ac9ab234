from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from shareai_cli.errors import Overloaded
from shareai_cli.ledger import Ledger, usage_report
from shareai_cli.ledger.ledger import MOST_WAITING
from shareai_cli.paths import Paths, find_paths
from shareai_cli.types import Outcome
from tests.ledger.making import (
    check_whole,
    closed,
    locked_by_foreigner,
    open_ledger,
    opened,
    query,
    record,
    recorded,
)
from tests.support.waiting import until


class Switch:
    """A disk that can be switched off."""

    def __init__(self) -> None:
        self.works = True

    def write(self, descriptor: int, data: bytes) -> int:
        if not self.works:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return os.write(descriptor, data)


def fill_up(ledger: Ledger) -> int:
    """Open requests until the next one is refused, and return how many there were."""
    count = 0
    while True:
        try:
            ledger.opened(opened(1_000_000 + count))
        except Overloaded:
            return count
        count += 1


async def test_what_a_disk_refuses_waits_bounded_and_in_order(paths: Paths) -> None:
    """A number of entries waits and is said; then requests are refused; with room again all is written."""
    disk = Switch()
    ledger = open_ledger(paths, write=disk.write)
    record(ledger, range(1, 11))
    disk.works = False
    assert fill_up(ledger) == MOST_WAITING
    state = ledger.state()
    assert (state.waiting, "Read-only" in str(state.problem)) == (MOST_WAITING, True)
    with pytest.raises(Overloaded) as refused:
        ledger.opened(opened(5))
    assert (refused.value.status, refused.value.retry_after) == (503, 5)
    disk.works = True
    await until(lambda: ledger.state().waiting == 0)
    for number in range(MOST_WAITING):
        ledger.closed(closed(1_000_000 + number))
    await ledger.settled()
    assert ledger.state().problem is None
    ledger.close()
    assert len(recorded(paths)) == 10 + MOST_WAITING
    assert query(paths, "SELECT DISTINCT outcome FROM requests") == [(0,)]
    check_whole(paths)


async def test_refusals_do_not_fill_the_memory(paths: Paths) -> None:
    """While the disk refuses, what was sent on is kept beyond the bound, and what never was is counted."""
    disk = Switch()
    ledger = open_ledger(paths, write=disk.write)
    ledger.opened(opened(1))
    disk.works = False
    fill_up(ledger)
    for number in range(500):
        ledger.closed(closed(2_000_000 + number, attempts=(), outcome=Outcome.FAILED, status=503))
    ledger.closed(closed(1))
    assert (ledger.state().waiting, ledger.state().refused) == (MOST_WAITING + 1, 500)
    disk.works = True
    await until(lambda: ledger.state().waiting == 0)
    await ledger.settled()
    assert recorded(paths) == [1]
    ledger.close()


async def test_what_waits_at_the_end_goes_into_the_database(paths: Paths) -> None:
    """Where only the journal's disk refuses, a clean end loses nothing."""
    disk = Switch()
    ledger = open_ledger(paths, write=disk.write)
    disk.works = False
    record(ledger, range(1, 20))
    ledger.close()
    assert recorded(paths) == list(range(1, 20))
    check_whole(paths)


async def test_a_database_that_refuses_leaves_entries_in_the_journal(paths: Paths) -> None:
    """A foreign program holds its lock: that is said, requests go on, and later everything is there."""
    ledger = open_ledger(paths)
    record(ledger, range(1, 5))
    await ledger.settled()
    with locked_by_foreigner(paths):
        record(ledger, range(5, 300))
        await ledger.settled()
        state = ledger.state()
        assert "locked by another program" in str(state.problem)
        assert (state.waiting, state.unmoved_bytes > 295 * 100) == (0, True)
    await until(lambda: ledger.state().problem is None)
    await ledger.settled()
    ledger.close()
    assert recorded(paths) == list(range(1, 300))
    check_whole(paths)


async def test_a_disk_that_is_full_and_has_room_again(small_disk: Path) -> None:
    """On a real file system: neither journal nor database is damaged, and no entry is lost."""
    paths = find_paths({"SHAREAI_HOME": str(small_disk / "home")})
    ledger = open_ledger(paths)
    record(ledger, range(1, 1001))
    await ledger.settled()
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="space"):
        while True:
            file.write(bytes(4096))
    record(ledger, range(1001, 3001))
    await ledger.settled()
    state = ledger.state()
    assert state.problem is not None
    assert state.waiting > 0
    ballast.unlink()
    await until(lambda: ledger.state().waiting == 0)
    await ledger.settled()
    assert usage_report(paths).total.requests == 3000
    ledger.close()
    assert recorded(paths) == list(range(1, 3001))
    check_whole(paths)


async def test_ending_on_a_full_disk_keeps_the_journal(small_disk: Path) -> None:
    """What could not be moved is taken in at the next start."""
    paths = find_paths({"SHAREAI_HOME": str(small_disk / "home")})
    ledger = open_ledger(paths)
    record(ledger, range(1, 101))
    await ledger.settled()
    ballast = small_disk / "ballast"
    room = os.statvfs(small_disk)
    ballast.write_bytes(bytes((room.f_bavail - 20) * room.f_bsize))
    record(ledger, range(101, 301))
    await ledger.settled()
    with ballast.open("ab", buffering=0) as file, pytest.raises(OSError, match="space"):
        while True:
            file.write(bytes(4096))
    ledger.close()
    ballast.unlink()
    open_ledger(paths).close()
    assert recorded(paths) == list(range(1, 301))
    check_whole(paths)
