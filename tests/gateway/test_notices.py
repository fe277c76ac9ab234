"""Soft limits are told of once a period, over restarts too, in the log, the audit and the webhook."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from msgspec.structs import replace

from shareai_cli.errors import LedgerUnavailable
from shareai_cli.gateway.audit_queue import MOST_WAITING, AuditQueue
from shareai_cli.gateway.notices import WARNED, Notices, told_before
from shareai_cli.ledger import Store, changes_made, list_audit, verify_audit
from shareai_cli.paths import Paths
from shareai_cli.types import GATEWAY, Actor, LimitUse
from tests.ledger.making import NOW_MS, open_ledger
from tests.support.clock import FakeClock
from tests.support.waiting import until

USE = LimitUse("team/dev", "soft_budget_per_month", 50 * 10**9, 50 * 10**9 + 10**7, soft=True,
               resets_ms=NOW_MS + 1_000_000)  # fmt: skip


class Told:
    """Notices over a database, and what went out."""

    def __init__(self, store: Store) -> None:
        self.clock = FakeClock(NOW_MS / 1000)
        self.log: list[str] = []
        self.sent: list[tuple[str, Mapping[str, object]]] = []
        self.audit = AuditQueue(store.record, self.log.append)
        self.notices = Notices(
            self.audit,
            self.log.append,
            lambda kind, data: self.sent.append((kind, data)),
            wall_clock=self.clock,
        )
        self.notices.recall(told_before(changes_made(store.path, WARNED)))


@asynccontextmanager
async def notices(paths: Paths) -> AsyncIterator[Told]:
    """Give notices as a start of the gateway makes them, and end them."""
    ledger = open_ledger(paths)
    told = Told(ledger.store)
    told.audit.start()
    yield told
    await told.audit.close()
    ledger.close()


async def test_a_soft_limit_is_told_of_everywhere(paths: Paths) -> None:
    """In words for a person, and with all numbers for programs."""
    async with notices(paths) as told:
        told.notices.warned(USE)
        [line] = told.log
        assert line.startswith("team/dev has used up its soft_budget_per_month: 50.01 USD of 50.00 USD.")
        assert "ends 2026-09-21 14:30 UTC" in line
        [(kind, data)] = told.sent
        assert kind == "limit.warn"
        assert (data["subject"], data["used"], data["resets_ms"]) == ("team/dev", USE.used, USE.resets_ms)
    [row] = list_audit(paths.database, 10)
    assert (row.action, row.subject, row.actor) == ("limit.warn", "team/dev", "gateway")
    assert verify_audit(paths.database).faults == ()


async def test_a_small_limit_is_told_in_all_its_digits(paths: Paths) -> None:
    """Of fractions of a cent, too, it is seen which is more."""
    async with notices(paths) as told:
        told.notices.warned(replace(USE, most=10_000, used=189_050))
        assert "0.00018905 USD of 0.00001 USD" in told.log[0]


async def test_it_is_told_once_a_period(paths: Paths) -> None:
    """Also after a restart within it; the next period, another limit and another subject are told of anew."""
    total = replace(USE, limit="soft_budget_total", resets_ms=None)
    async with notices(paths) as told:
        for use in (USE, replace(USE, used=USE.used + 5), total):
            told.notices.warned(use)
        assert len(told.log) == 2
    async with notices(paths) as told:
        told.notices.warned(USE)
        told.notices.warned(total)
        assert (told.log, told.sent) == ([], [])
        told.clock.forward(2000)
        for use in (
            replace(USE, resets_ms=NOW_MS + 9_000_000),
            replace(USE, subject="key/ci", resets_ms=NOW_MS + 9_000_000),
            replace(USE, most=60 * 10**9, resets_ms=NOW_MS + 9_000_000),
        ):
            told.notices.warned(use)
        told.notices.warned(total)
        assert len(told.log) == 3
    assert len(list_audit(paths.database, 10)) == 5


async def test_rows_that_cannot_be_read_are_no_warnings(paths: Paths) -> None:
    """Somebody may have written to the database."""
    async with notices(paths) as told:
        told.audit.add(GATEWAY, WARNED, "team/dev", {"limit": 5})
    async with notices(paths) as told:
        told.notices.warned(USE)
        assert len(told.log) == 1


class Disk:
    """Records rows, or refuses them, as a test says."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.refuses = False
        self.refused = 0

    def record(self, by: Actor, action: str, subject: str, *, after: Any) -> None:
        if self.refuses:
            self.refused += 1
            raise LedgerUnavailable("The disk is full.")
        self.rows.append(subject)


async def test_a_disk_that_refuses_is_told_of_once() -> None:
    """Until it takes rows again; nobody else is held up."""
    disk, log = Disk(), list[str]()
    audit = AuditQueue(disk.record, log.append)
    audit.start()
    disk.refuses = True
    for number in range(3):
        audit.add(GATEWAY, "x", str(number), None)
    await until(lambda: disk.refused == 3)
    disk.refuses = False
    audit.add(GATEWAY, "x", "4", None)
    await until(lambda: disk.rows)
    assert (disk.rows, len(log)) == (["4"], 1)
    await audit.close()


async def test_rows_that_wait_are_bounded_and_written_at_the_end() -> None:
    """What is beyond the bound is not taken, and told of once."""
    disk, log = Disk(), list[str]()
    audit = AuditQueue(disk.record, log.append)
    for number in range(MOST_WAITING + 2):
        audit.add(GATEWAY, "x", str(number), None)
    await asyncio.sleep(0)
    assert disk.rows == []
    await audit.close()
    assert disk.rows == [str(number) for number in range(MOST_WAITING)]
    assert len(log) == 1
