"""New limits count what was used before they were set, meanwhile, and after: each request once."""

from __future__ import annotations

import asyncio

import pytest

from shareai_cli.errors import LedgerUnavailable
from shareai_cli.gateway.exchange import Exchange
from shareai_cli.gateway.limits import Limiter
from shareai_cli.ledger import PastUse
from shareai_cli.types import Budget, Caller, Limits, LimitUse, Outcome, RateLimit, Subject, Usage
from tests.gateway.limits.making import NOW_MS, Rows, attempt, by_name, end_of, exchange_of

CALLER = Caller(1, "ci", "dev")
KEY = Subject("key", "ci", (1,))
TEAM = Subject("team", "dev")
HIGH = Limits(
    (RateLimit("requests", "minute", 100), RateLimit("tokens", "day", 10**6)),
    (Budget("total", 10**6), Budget("month", 30, soft=True)),
    100,
)
TOKENS, NANO = 7, 11


class Accounts(Rows):
    """Accounts that have what ended, and where more happens while they are asked."""

    def __init__(self) -> None:
        super().__init__()
        self.limiter = Limiter(self, warned=self.warn, wall_clock=lambda: NOW_MS / 1000)
        self.warnings: list[LimitUse] = []
        self.number = 0
        self.under_way: Exchange | None = None
        self.fails = False

    def warn(self, use: LimitUse) -> None:
        self.warnings.append(use)

    def come(self) -> Exchange:
        """Let in a request."""
        self.number += 1
        exchange = exchange_of(self.number, NOW_MS, CALLER)
        self.limiter.stage(lambda one: None)(exchange)  # type: ignore[arg-type, return-value, unused-coroutine]
        return exchange

    def end(self, exchange: Exchange, *, is_moved: bool = True) -> None:
        """Settle a request, and have it in the database or not yet."""
        attempt(exchange, "a/m")
        entry = end_of(exchange, Outcome.OK, Usage(3, completion=4))
        if is_moved:
            self.add(entry)
        self.limiter.settle(entry)

    async def settled(self) -> None:
        await asyncio.sleep(0)
        self.end(self.come())
        if self.under_way is not None:
            self.end(self.under_way)
        self.end(self.come(), is_moved=False)
        refused = self.come()
        entry = end_of(refused, Outcome.REFUSED)
        self.add(entry)
        self.limiter.settle(entry)

    def past_use(self, *arguments: object) -> PastUse:
        if self.fails:
            raise LedgerUnavailable("The database is locked.")
        return super().past_use(*arguments)  # type: ignore[arg-type]

    async def set(self, limits: dict[Subject, Limits]) -> dict[tuple[str, str], LimitUse]:
        await self.limiter.look_back(self.limiter.take_up(limits))
        return by_name(self.limiter.use())


@pytest.mark.parametrize("already", [{}, {TEAM: HIGH}], ids=["off", "on"])
async def test_each_request_is_counted_once(already: dict[Subject, Limits]) -> None:
    """Two ended before, two meanwhile and are in the sums, one is not in them yet, one was refused."""
    accounts = Accounts()
    accounts.limiter.begin(already)
    for _ in range(2):
        accounts.end(accounts.come())
    accounts.under_way = accounts.come()
    uses = await accounts.set({**already, KEY: HIGH})
    for subject in (KEY, *already):
        assert uses[subject.label, "requests_per_minute"].used == 5
        assert uses[subject.label, "tokens_per_day"].used == 5 * TOKENS
        assert uses[subject.label, "budget_total"].used == 5 * NANO
        assert uses[subject.label, "concurrent_requests"].used == 0
    assert all(one.reserved == 0 for one in uses.values())


async def test_a_new_limit_holds_at_once_where_the_accounts_cannot_be_read() -> None:
    """With what comes from now on."""
    accounts = Accounts()
    accounts.under_way = accounts.come()
    accounts.fails = True
    with pytest.raises(LedgerUnavailable):
        await accounts.set({KEY: HIGH})
    assert by_name(accounts.limiter.use())[KEY.label, "requests_per_minute"].used == 3


async def test_a_start_counts_what_was_used_before() -> None:
    """And warns of a soft budget that is used up: whether somebody knows is not for here to say."""
    accounts = Accounts()
    accounts.limiter.begin({})
    for _ in range(3):
        accounts.end(accounts.come())
    again = Limiter(accounts, warned=accounts.warn, wall_clock=lambda: NOW_MS / 1000)
    again.begin({KEY: HIGH})
    uses = by_name(again.use())
    assert uses[KEY.label, "requests_per_minute"].used == 3
    assert uses[KEY.label, "budget_total"].used == 3 * NANO
    assert [(one.subject, one.limit, one.used) for one in accounts.warnings] == [
        ("key/ci", "soft_budget_per_month", 33)
    ]


async def test_a_key_that_is_made_again_under_its_name_begins_at_nothing() -> None:
    """Its limits go by its number; one that is only renamed or changed keeps what it has used."""
    accounts = Accounts()
    accounts.limiter.begin({KEY: HIGH})
    accounts.end(accounts.come())
    accounts.limiter.take_up({Subject("key", "new", (1, 9)): HIGH})
    assert by_name(accounts.limiter.use())["key/new", "requests_per_minute"].used == 1
    accounts.limiter.begin({Subject("key", "ci", (2,)): HIGH})
    assert by_name(accounts.limiter.use())["key/ci", "requests_per_minute"].used == 0


async def test_what_a_broken_attempt_cost_is_known_by_what_the_accounts_know() -> None:
    """The provider of a target that only broke is priced as the accounts have it."""
    accounts = Accounts()
    accounts.limiter.begin({})
    accounts.end(accounts.come())
    again = Limiter(accounts, wall_clock=lambda: NOW_MS / 1000)
    again.begin({KEY: HIGH})
    exchange = exchange_of(99, NOW_MS, CALLER, size=40)
    attempt(exchange, "a/m", "truncated")
    attempt(exchange, "b/m")
    entry = end_of(exchange, Outcome.OK, Usage(3, completion=4))
    accounts.add(entry)
    again.settle(entry)
    assert by_name(again.use())[KEY.label, "budget_total"].used == 2 * NANO + 10
    assert accounts.cost(entry) == (TOKENS, NANO + 10)
