"""One smoke test from its gateway to its report."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from shareai_cli.catalog.prices import PriceBook
from shareai_cli.cli.asking import can_ask, confirm
from shareai_cli.cli.console import is_styled, note
from shareai_cli.cli.invocation import Invocation
from shareai_cli.cli.own_gateway import reach_or_start
from shareai_cli.cli.progress import is_animated
from shareai_cli.cli.smoke_test.live import LiveWatcher, PlainWatcher
from shareai_cli.cli.smoke_test.show import show
from shareai_cli.client import HttpAdmin, find_gateway
from shareai_cli.drill.case import Case
from shareai_cli.drill.outcome import Report
from shareai_cli.drill.plan import Estimate, cases_of, chosen, dearest, estimate
from shareai_cli.drill.report import as_record
from shareai_cli.drill.run import run as run_cases
from shareai_cli.drill.session import LONGEST_ANSWER, Options, Session
from shareai_cli.drill.simulated import providers, write_configuration
from shareai_cli.drill_types import CheckName, Deadlines
from shareai_cli.errors import GatewayUnreachable, ShareAIError, UsageError
from shareai_cli.paths import HOME_VARIABLE

SIMULATED_ANSWER = 24
"""Tokens of the demo model's answers, in a simulation."""

SIMULATED_DEADLINES = Deadlines(silence=0.3)
"""Who is simulated is quick."""


class Wanted(Struct, frozen=True):
    """What a smoke test is asked for."""

    routes: tuple[str, ...]
    targets: tuple[str, ...]
    checks: tuple[CheckName, ...]
    """None for all of them."""
    seconds: float
    repeat: int
    most_nano: int
    yes: bool
    simulate: bool
    cause: str
    """What it is started by."""


def drill(run: Invocation, wanted: Wanted, *, shows: bool) -> Report:
    """Run a smoke test and return its report, shown to a person where `shows`; raises `ShareAIError`."""
    with asyncio.Runner() as runner:
        report = runner.run(_drill(run, wanted, shows=shows))
    if shows:
        show(report, is_kept=not wanted.simulate)
    return report


async def _drill(run: Invocation, wanted: Wanted, *, shows: bool) -> Report:
    async with AsyncExitStack() as closing:
        if wanted.simulate:
            run = await closing.enter_async_context(_simulation(run))
        threads = closing.enter_context(ExitStack())
        closing.push_async_callback(asyncio.to_thread, threads.close)
        admin, is_started = await asyncio.to_thread(reach_or_start, run, threads, "smoke test")
        address = find_gateway(run.paths)
        if address is None:
            raise GatewayUnreachable("The gateway has ended just now.", hint="The same command again.")
        subjects = chosen(
            await asyncio.to_thread(admin.drill_subjects, wanted.targets), wanted.routes, wanted.targets
        )
        cases = cases_of(subjects, wanted.checks, PriceBook(), wanted.repeat)
        if not cases:
            raise UsageError(
                "There is nothing to drill: no route, and no model of this machine.",
                hint="'shareai route add' makes a route, --target PROVIDER/MODEL drills a target, and "
                "--simulate shows all of it with simulated providers.",
            )
        longest = SIMULATED_ANSWER if wanted.simulate else LONGEST_ANSWER
        most = dearest(subjects, longest)
        _agree(run, wanted, estimate(cases, subjects), max(most.values(), default=0))
        if is_started and not wanted.simulate:
            note("No gateway was running: one was started for this smoke test.")
        deadlines = SIMULATED_DEADLINES if wanted.simulate else Deadlines()
        options = Options(replace(deadlines, answer=wanted.seconds), wanted.most_nano, most, longest)
        session = Session(admin, f"{address.address}/v1", options)
        closing.push_async_callback(session.close)
        report = await _run(session, cases, wanted.cause, shows=shows)
        if not wanted.simulate:
            await asyncio.to_thread(_keep, admin, report)
        return report


async def _run(session: Session, cases: Sequence[Case], cause: str, *, shows: bool) -> Report:
    if shows and is_animated(sys.stderr) and is_styled(sys.stderr):
        with LiveWatcher(cases) as watcher:
            return await run_cases(session, cases, watcher, cause=cause)
    return await run_cases(session, cases, PlainWatcher(), cause=cause)


def _agree(run: Invocation, wanted: Wanted, expected: Estimate, dearest_nano: int) -> None:
    """Return where what it will spend is agreed to; raises `UsageError`, `typer.Abort` or `typer.Exit`.

    `dearest_nano` is what one request may cost: a drill sends none that its cap may not pay for.
    """
    if expected.is_free or wanted.simulate:
        return
    import typer

    about = f"about {expected.nano / 1e9:.4f} USD"
    if expected.unpriced:
        about += f", and what {expected.unpriced} of its requests cost whose price is unknown"
    told = f"more than --max-cost allows ({wanted.most_nano / 1e9:g} USD)."
    if expected.nano > wanted.most_nano:
        raise UsageError(
            f"{expected.requests} requests would cost {about}: {told}",
            hint="A larger --max-cost, or fewer with --only, --route and --target.",
        )
    if dearest_nano > wanted.most_nano:
        raise UsageError(
            f"One request may cost up to {dearest_nano / 1e9:.4f} USD, where a model thinks for long: {told}",
            hint="A larger --max-cost, or cheaper targets with --route and --target.",
        )
    note(
        f"{expected.requests} requests are sent to targets, for {about}; at most {wanted.most_nano / 1e9:g}."
    )
    if wanted.yes:
        return
    if not can_ask(run):
        raise UsageError(
            "Nothing was sent: this costs money, and nobody can be asked here.", hint="--yes agrees to it."
        )
    if not confirm("Go on?", default=True):
        note("Nothing was sent.")
        raise typer.Exit(1)


def _keep(admin: HttpAdmin, report: Report) -> None:
    """Have the accounts keep the report; where they do not, it is shown all the same."""
    try:
        admin.keep_drill(as_record(report))
    except ShareAIError as error:
        note(f"The history does not have this one: {error.message}")


@asynccontextmanager
async def _simulation(run: Invocation) -> AsyncIterator[Invocation]:
    """Yield a run with simulated providers, the demo model, and a state folder that goes away with it."""
    from shareai_cli.gateway.fleet import demo_model
    from shareai_cli.node.models import has_llama

    async with AsyncExitStack() as closing:
        folder = closing.enter_context(tempfile.TemporaryDirectory(prefix="shareai-smoke-test-"))
        found = [await closing.enter_async_context(one) for one in providers()]
        home = Path(folder)
        simulated = Invocation({**run.environ, HOME_VARIABLE: folder})
        simulated.no_input = True
        demo = Path(demo_model().path) if has_llama() else None
        write_configuration(home / "config.toml", found, demo)
        yield simulated
