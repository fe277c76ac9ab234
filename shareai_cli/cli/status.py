"""`shareai status`: what the gateway does, and how its targets stand."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.console import note, print_json, print_line, print_table
from shareai_cli.cli.dash import AllowHttpOption, GatewayOption
from shareai_cli.cli.invocation import invocation
from shareai_cli.cli.times import day
from shareai_cli.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from shareai_cli.client import Status
    from shareai_cli.overrides import Overrides
    from shareai_cli.paths import Paths
    from shareai_cli.types import LimitUse

app = new_app()

_DOLLAR: Final = 10**9
"""In nano-dollars."""


@command(app, "status", example="shareai status")
def status(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Show the overview again and again.")] = False,
    every: Annotated[
        float, typer.Option("--every", metavar="SECONDS", min=0.1, help="How often, with --watch (2).")
    ] = 2.0,
    gateway: GatewayOption = None,
    allow_http: AllowHttpOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what the running gateway does, which targets are left alone, and how much of limits is used.

    Exits with 1 where no gateway runs, with 6 where it runs with problems. With --watch, until Ctrl-C, the
    overview of 'shareai dash' as plain text, of another machine's gateway too (see 'shareai dash --help').
    """
    if watch:
        _watch(context, every, gateway, allow_http=allow_http, as_json=as_json)
        return
    if gateway is not None:
        raise UsageError("--gateway is for --watch.", hint="shareai status --watch --gateway URL")
    found = find_status(invocation(context).paths)
    if found is None:
        if as_json:
            print_json({"running": False})
        else:
            note("No gateway runs here. Start one: shareai serve")
        raise typer.Exit(ExitCode.FAILURE)
    if as_json:
        import msgspec

        print_json({"running": True, **msgspec.to_builtins(found)})
    else:
        print_status(found)
    broken = any(model.problem for model in found.local_models)
    problems = (found.config_problem, found.node_problem, found.ledger_problem, found.webhook_problem)
    if broken or any(problems):
        raise typer.Exit(ExitCode.PARTLY)


def _watch(
    context: typer.Context, every: float, gateway: str | None, *, allow_http: bool, as_json: bool
) -> None:
    import asyncio

    from shareai_cli.cli.status_watch import watch_status
    from shareai_cli.cli.watched import find_source

    if as_json:
        raise UsageError("--watch prints text.", hint="shareai dash --json prints all of it once.")
    source = find_source(invocation(context), gateway, allow_http=allow_http)
    is_redrawn = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    with suppress(KeyboardInterrupt):
        asyncio.run(watch_status(source, every, is_redrawn=is_redrawn))


def find_status(paths: Paths) -> Status | None:
    """Return what the running gateway says; None where none runs, `StateError` where one does not answer."""
    from shareai_cli.cli.state import find_running

    gateway = find_running(paths)
    if gateway is None:
        return None
    try:
        return gateway.status()
    finally:
        gateway.close()


def print_status(found: Status) -> None:
    """Print what the gateway says, for a person."""
    print_line(f"Gateway       {found.base_url}  (version {found.version}, process {found.pid})")
    print_line(
        f"Requests      {found.requests} since its start {_age(found.uptime_seconds)} ago, "
        f"{found.in_flight} under way, {found.connections} connections"
    )
    if found.refused_keys:
        print_line(f"Refused       {found.refused_keys} requests without a valid key")
    print_line(f"Configuration {found.config_file}")
    print_line(f"Providers     {', '.join(found.providers) or '-'}")
    print_line(f"Routes        {', '.join(found.routes) or '-'}")
    for model in found.local_models:
        why = f"  {model.problem}" if model.problem else ""
        state = "not loaded" if model.state == "unloaded" else model.state
        print_line(f"Local model   {model.id}  {state}{why}")
    for name, problem in (
        ("configuration", found.config_problem),
        ("node agent", found.node_problem),
        ("accounts", found.ledger_problem),
        ("webhook", found.webhook_problem),
    ):
        if problem:
            print_line(f"Problem       {name}: {problem}")
    if found.ledger_waiting:
        print_line(f"              {found.ledger_waiting} entries wait in memory for the disk")
    if found.troubles:
        print_line()
        print_table(
            ("TARGET", "KEY", "STATE", "FOR", "WHY"),
            [
                (one.target, one.key or "-", one.state, _age(one.seconds) if one.seconds else "-", one.reason)
                for one in found.troubles
            ],
        )
    elif not found.overrides.targets and not found.overrides.nodes:
        print_line("Targets       all serve")
    if found.overrides.targets or found.overrides.nodes:
        print_line()
        print_table(("BY HAND", "ROUTE", "STATE", "WEIGHT", "BY", "SINCE"), [*_orders(found.overrides)])
    if found.limits:
        print_line()
        print_table(
            ("LIMIT OF", "LIMIT", "USED", "OF", "UNDER WAY", "FREE AGAIN"),
            [_use(one) for one in found.limits],
        )


def _orders(overrides: Overrides) -> Iterator[tuple[str, ...]]:
    for node in overrides.nodes:
        yield node.node, "-", node.state, "-", node.by, day(node.since_ms)
    for one in overrides.targets:
        weight = "-" if one.weight is None else str(one.weight)
        yield one.target, one.route, one.state, weight, one.by, day(one.since_ms)


def _use(one: LimitUse) -> tuple[str, ...]:
    return (
        one.subject,
        one.limit,
        _amount(one, one.used),
        _amount(one, one.most),
        _amount(one, one.reserved) if one.reserved else "-",
        day(one.resets_ms),
    )


def _amount(one: LimitUse, number: int) -> str:
    """Return a number of requests or tokens, or dollars: of a budget below a dollar all digits."""
    if "budget" not in one.limit:
        return f"{number:,}"
    dollars = number / _DOLLAR
    return f"${dollars:,.4f}" if one.most >= _DOLLAR else f"${dollars:.9f}".rstrip("0").rstrip(".")


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"
