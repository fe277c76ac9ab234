"""`shareai dash`: the whole gateway on one screen."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.console import note, print_json, print_line
from shareai_cli.cli.invocation import invocation
from shareai_cli.errors import UsageError

if TYPE_CHECKING:
    from shareai_cli.cli.invocation import Invocation
    from shareai_cli.live import Event
    from shareai_cli.watching import Source

app = new_app()

GatewayOption = Annotated[
    str | None, typer.Option("--gateway", metavar="URL", help="Watch the gateway of another machine.")
]
AllowHttpOption = Annotated[
    bool, typer.Option("--allow-http", help="Let the admin token cross the network unencrypted.")
]


_BROWSER_DRIVER = "textual.drivers.web_driver:WebDriver"
"""What textual-serve sets TEXTUAL_DRIVER to, for a program whose screen is a page."""


@command(app, "dash", example="shareai dash")
def dash(
    context: typer.Context,
    gateway: GatewayOption = None,
    allow_http: AllowHttpOption = False,
    web: Annotated[bool, typer.Option("--web", help="Serve it to browsers of this machine.")] = False,
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="PORT", min=0, max=65535, help="With --web; else any free one."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Watch what the gateway does as it happens: rates, routes with their targets, and each request.

    Without a gateway it shows what the accounts hold. Another machine's gateway wants the admin token of that
    machine in SHAREAI_ADMIN_TOKEN. 'shareai status --watch' shows the overview as plain text; --json prints
    once what the screens begin with.

    Drills that are started there cost what they say before; the playground asks with chat's key, at another
    machine's gateway with the one in SHAREAI_KEY, else with one that ends with the dashboard.

    --web prints an address that opens it in a browser, until Ctrl-C. Whoever has the address can do what the
    dashboard can; it is valid on this machine alone, and another one at each start.
    """
    from shareai_cli.cli.watched import find_source

    run = invocation(context)
    if as_json and web:
        raise UsageError("--json and --web exclude each other.")
    if port is not None and not web:
        raise UsageError("--port is for --web.")
    source = find_source(run, gateway, allow_http=allow_http)
    if as_json:
        _print_json(source)
    elif web:
        _serve(run, gateway, port or 0, allow_http=allow_http)
    else:
        _show(run, source, is_own=gateway is None)


def _show(run: Invocation, source: Source, *, is_own: bool) -> None:
    """Show the dashboard until the person leaves it; raises `UsageError`."""
    in_browser = os.environ.get("TEXTUAL_DRIVER") == _BROWSER_DRIVER
    in_terminal = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if not (in_browser or in_terminal):
        raise UsageError(
            "The dashboard needs a terminal.", hint="In scripts: shareai status --watch, or --json"
        )
    from shareai_cli.cli.dash_drills import DashDrilling
    from shareai_cli.cli.dash_playground import DashTalking, find_keys
    from shareai_cli.dashboard.app import Dashboard
    from shareai_cli.dashboard.tools import Tools

    talking = DashTalking(source, find_keys(run, is_own=is_own), is_own=is_own)
    try:
        Dashboard(source, tools=Tools(DashDrilling(source), talking)).run()
    finally:
        talking.close()


def _serve(run: Invocation, gateway: str | None, port: int, *, allow_http: bool) -> None:
    """Serve it to browsers until Ctrl-C; raises `UsageError` where that is not installed."""
    import asyncio

    try:
        from shareai_cli.cli.dash_web import serve
    except ImportError:
        raise UsageError(
            "--web needs textual-serve, which is not installed.",
            hint="pip install textual-serve, or install shareai-cli with the extra 'web'",
        ) from None
    words = [sys.executable, "-m", "shareai_cli.cli"]
    words += ["--config", str(run.file)] if run.config_file is not None else []
    words += ["dash"] + (["--gateway", gateway] if gateway is not None else [])
    words += ["--allow-http"] if allow_http else []

    def tell(address: str) -> None:
        print_line(address)
        sys.stdout.flush()
        note("Open this address in a browser of this machine; Ctrl-C ends it.")

    asyncio.run(serve(words, port, tell))


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
