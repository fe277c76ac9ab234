"""Keeps the connection to a gateway: finds it, takes in its events, and finds it again when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Final, TypeVar

from shareai_cli.client import Admin
from shareai_cli.dashboard.state import Connection, LiveState
from shareai_cli.dashboard.words import plain, time_of_day
from shareai_cli.errors import AuthenticationFailed, GatewayUnreachable, LedgerUnavailable, ShareAIError
from shareai_cli.live import LiveRoute, LiveTarget, Settled, Today
from shareai_cli.types import Outcome, RequestRow, UsageSums, WallClock
from shareai_cli.watching import Source, WatchedGateway

RETRY_SECONDS: Final = (0.3, 0.5, 1.0, 2.0)
"""Between two attempts to find a gateway; the last one for good."""

ACCOUNTS_SECONDS: Final = 10.0
"""Between two looks into the accounts while no gateway runs."""

SHOWN_REQUESTS: Final = 200
"""Of the accounts, while no gateway runs."""

Answer = TypeVar("Answer")


class Link:
    """Feeds a `LiveState` for as long as `run` runs; `changed` is called after each change."""

    def __init__(
        self, source: Source, state: LiveState, changed: Callable[[], None], wall_clock: WallClock
    ) -> None:
        self.connection = Connection.SEEKING
        self.since_ms = 0
        """When this became so."""
        self.problem = ""
        self.address = source.name
        self._source = source
        self._state = state
        self._changed = changed
        self._wall_clock = wall_clock
        self._gateway: WatchedGateway | None = None
        self._looked_at = 0.0

    def __repr__(self) -> str:
        return f"<Link to {self.address}: {self.connection}>"

    @property
    def standing(self) -> str:
        """Whether what is shown is live, with a symbol and in words."""
        match self.connection:
            case Connection.LIVE:
                words = f"● live  {self.address}"
            case Connection.SEEKING:
                words = f"… {self.problem or f'looking for {self.address}'}"
            case Connection.ABSENT:
                words = f"○ No gateway runs: this is what the accounts hold. {self.problem}"
            case Connection.REFUSED:
                words = f"✕ {self.problem}"
            case Connection.LOST:
                since = time_of_day(self.since_ms)
                words = f"◌ Lost at {since}: these are the last values; trying again. {self.problem}"
        return plain(words).rstrip()

    async def run(self) -> None:
        """Watch until cancelled."""
        failures = 0
        while True:
            try:
                gateway = await asyncio.to_thread(self._source.connect)
                if gateway is None:
                    await self._show_accounts()
                elif await self._follow(gateway):
                    failures = 0
                    self._become(Connection.LOST, "The gateway has ended.")
            except AuthenticationFailed as error:
                self._become(Connection.REFUSED, str(error))
            except ShareAIError as error:
                self._become(Connection.LOST if self._state.events else Connection.SEEKING, str(error))
            await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
            failures += 1

    async def ask(self, call: Callable[[Admin], Answer]) -> Answer:
        """Ask the gateway, or the accounts where none runs, in a thread; raises `ShareAIError`."""
        gateway = self._gateway
        if gateway is not None:
            return await asyncio.to_thread(call, gateway.admin)

        def offline() -> Answer:
            with self._source.accounts() as admin:
                return call(admin)

        return await asyncio.to_thread(offline)

    async def ask_gateway(self, call: Callable[[WatchedGateway], Answer]) -> Answer:
        """Ask what only a running gateway can tell or do; raises `ShareAIError`."""
        gateway = self._gateway
        if gateway is None:
            raise GatewayUnreachable("No gateway runs.", hint="Start one: shareai serve")
        return await asyncio.to_thread(call, gateway)

    async def _follow(self, gateway: WatchedGateway) -> bool:
        """Take in a gateway's events to the end of its stream; returns whether there were any."""
        has_told = False
        try:
            async with aclosing(gateway.watch()) as events:
                async for event in events:
                    if not has_told:
                        has_told = True
                        self._gateway = gateway
                        self.address = gateway.address
                        self._become(Connection.LIVE, "")
                    self._state.apply(event)
                    self._changed()
        except GatewayUnreachable:
            if not has_told:
                raise
        finally:
            self._gateway = None
            gateway.close()
        return has_told

    async def _show_accounts(self) -> None:
        now = self._wall_clock()
        if self.connection is Connection.ABSENT and now - self._looked_at < ACCOUNTS_SECONDS:
            return
        self._looked_at = now
        if self.connection is Connection.LIVE or self._state.events:
            self._become(Connection.LOST, "No gateway runs any more.")
            return
        midnight_ms = int(now // 86_400 * 86_400_000)
        self._become(Connection.ABSENT, "")
        try:
            today, targets, requests = await self.ask(
                lambda admin: (
                    admin.usage(None, midnight_ms).total,
                    admin.usage("target", midnight_ms).rows,
                    admin.recent(SHOWN_REQUESTS),
                )
            )
        except LedgerUnavailable as error:
            self.problem = str(error)
            return
        if self.connection is Connection.ABSENT:
            _fill(self._state, today, targets, requests)
        self._changed()

    def _become(self, connection: Connection, problem: str) -> None:
        if connection is not self.connection:
            self.connection, self.since_ms = connection, int(self._wall_clock() * 1000)
        self.problem = problem
        self._changed()


def _fill(
    state: LiveState, today: UsageSums, targets: Sequence[UsageSums], requests: Sequence[RequestRow]
) -> None:
    """Show what the accounts hold."""
    state.clear()
    state.today = Today(
        requests=today.requests,
        kept=today.hit + today.joined,
        tokens=today.prompt_tokens + today.completion_tokens,
        own_tokens=0,
        cost_nano=today.cost_nano_usd,
        estimated_cost=today.estimated_cost,
        unknown_cost=today.unknown_cost,
    )
    rows = tuple(
        LiveTarget(
            one.name,
            "offline",
            asked=one.requests,
            failed=one.failed + one.incomplete,
            first_token_us=one.average_first_token_us or one.average_total_us,
        )
        for one in targets
        if one.name
    )
    state.routes = (LiveRoute("today", "accounts", rows),) if rows else ()
    state.recent.extend(_settled(one, one.outcome) for one in reversed(requests) if one.outcome is not None)


def _settled(row: RequestRow, outcome: Outcome) -> Settled:
    """Return a request of the accounts as the stream tells of one."""
    usage = row.usage
    return Settled(
        row.id,
        row.time_ms,
        row.key,
        row.route,
        row.target,
        row.status,
        outcome,
        row.error,
        row.streamed,
        tuple(one.target for one in row.attempts),
        usage.prompt + usage.cached + usage.cache_write + usage.completion + usage.reasoning,
        row.first_token_us,
        row.total_us,
    )
