"""Runs drills for `shareai dash`, in its own process, against the gateway that it watches."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Final

import msgspec

from shareai_cli.catalog.prices import PriceBook
from shareai_cli.dashboard.drilling import Choice, Expected, Finding, Watcher
from shareai_cli.drill.case import Case
from shareai_cli.drill.failover import FAULTS
from shareai_cli.drill.outcome import Finding as Found
from shareai_cli.drill.plan import cases_of, chosen, dearest, estimate
from shareai_cli.drill.report import as_record, finding_as_fields
from shareai_cli.drill.run import run as run_cases
from shareai_cli.drill.session import LONGEST_ANSWER, Options, Session
from shareai_cli.drill_types import DrillSubjects, FaultKind
from shareai_cli.errors import GatewayUnreachable
from shareai_cli.types import Usage
from shareai_cli.watching import Source

CAUSE: Final = "dashboard"
"""What the history says."""

LEAST_LIMIT: Final = 50_000_000
"""Nano-dollars that a drill may spend, even where it is expected to cost much less.

It has to be able to pay for the dearest request besides: none is sent that what is left may not pay for.
"""


class DashDrilling:
    """`dashboard.drilling.Drilling`, over connections of its own, as the dashboard's come and go."""

    def __init__(self, source: Source) -> None:
        self.faults: Mapping[FaultKind, str] = {kind: one.words for kind, one in FAULTS.items()}
        self._source = source

    def __repr__(self) -> str:
        return f"<DashDrilling of {self._source.name}>"

    def expect(self, subjects: DrillSubjects, choice: Choice) -> Expected:
        """See `Drilling`."""
        wanted = chosen(subjects, choice.routes, ())
        cases = cases_of(wanted, choice.checks, _NoPrices(), faults=choice.faults)
        expected = estimate(cases, wanted)
        one_request = max(dearest(wanted, LONGEST_ANSWER).values(), default=0)
        most_nano = max(LEAST_LIMIT, 2 * expected.nano, expected.nano + one_request)
        return Expected(len(cases), expected.requests, expected.nano, expected.unpriced, most_nano)

    async def run(self, choice: Choice, most_nano: int, watcher: Watcher) -> None:
        """See `Drilling`."""
        async with AsyncExitStack() as closing:
            gateway = await asyncio.to_thread(self._source.connect)
            if gateway is None:
                raise GatewayUnreachable("No gateway runs.", hint="Start one: shareai serve")
            closing.callback(gateway.close)
            admin = gateway.admin
            wanted = chosen(await asyncio.to_thread(admin.drill_subjects), choice.routes, ())
            prices = await asyncio.to_thread(PriceBook)
            cases = cases_of(wanted, choice.checks, prices, faults=choice.faults)
            session = Session(
                admin,
                f"{gateway.address}/v1",
                Options(most_nano=most_nano, dearest=dearest(wanted, LONGEST_ANSWER)),
            )
            closing.push_async_callback(session.close)
            report = await run_cases(session, cases, _Told(watcher), cause=CAUSE)
            await asyncio.to_thread(admin.keep_drill, as_record(report))


class _Told:
    """`drill.run.Watcher` that tells in the words of the dashboard."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def began(self, case: Case) -> None:
        self._watcher.began(f"{case.check} {case.subject}: {case.name}")

    def ended(self, finding: Found) -> None:
        self._watcher.ended(msgspec.convert(finding_as_fields(finding), Finding))


class _NoPrices:
    """Stands for prices where nothing is asked."""

    def cost_nano(self, price_as: str, model: str, usage: Usage, time_ms: int) -> int | None:
        return None
