"""`shareai dash`: the whole gateway on one screen."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.console import print_json
from shareai_cli.cli.invocation import invocation
from shareai_cli.errors import UsageError

if TYPE_CHECKING:
    from shareai_cli.live import Event
    from shareai_cli.watching import Source

app = new_app()

GatewayOption = Annotated[
    str | None, typer.Option("--gateway", metavar="URL", help="Watch the gateway of another machine.")
]
AllowHttpOption = Annotated[
    bool, typer.Option("--allow-http", help="Let the admin token cross the network unencrypted.")
]


@command(app, "dash", example="shareai dash")
def dash(
    context: typer.Context,
    gateway: GatewayOption = None,
    allow_http: AllowHttpOption = False,
    as_json: JsonOption = False,
) -> None:
    """Watch what the gateway does as it happens: rates, routes with their targets, and each request.

    Without a gateway it shows what the accounts hold. Another machine's gateway wants the admin token of that
    machine in SHAREAI_ADMIN_TOKEN. 'shareai status --watch' shows the overview as plain text; --json prints
    once what the screens begin with.
    """
    from shareai_cli.cli.watched import find_source

    source = find_source(invocation(context), gateway, allow_http=allow_http)
    if as_json:
        _print_json(source)
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb":
        raise UsageError(
            "The dashboard needs a terminal.", hint="In scripts: shareai status --watch, or --json"
        )
    from shareai_cli.dashboard.app import Dashboard

    Dashboard(source).run()


def _print_json(source: Source) -> None:
    """Print a gateway's first event."""
    import asyncio
    from contextlib import aclosing

    from shareai_cli.errors import GatewayUnreachable

    gateway = source.connect()
    if gateway is None:
        raise GatewayUnreachable("No gateway runs here.", hint="Start one: shareai serve")

    async def first() -> Event:
        async with aclosing(gateway.watch()) as events:
            async for event in events:
                return event
        raise GatewayUnreachable("The gateway has ended.")

    import msgspec

    try:
        print_json(msgspec.to_builtins(asyncio.run(first())))
    finally:
        gateway.close()
