"""`shareai serve`: start the gateway."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.console import note, print_json, print_line
from shareai_cli.cli.invocation import invocation
from shareai_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from shareai_cli.config import Settings
    from shareai_cli.gateway.process import Ready

app = new_app()


@command(app, "serve", example="shareai serve")
def serve(
    context: typer.Context,
    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDRESS", help="Listen here (127.0.0.1).")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", metavar="PORT", min=0, max=65535, help="On this port (6161); 0 takes a free one."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="PATH", help="Use this configuration file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Start the gateway: one OpenAI-compatible endpoint over everything that is configured.

    Without a provider and a model of your own, the built-in demo model answers. Ctrl-C ends it; requests
    under way are given time, unless Ctrl-C comes a second time. Each request has a line on standard error.
    """
    import asyncio

    from shareai_cli.cli.banner import banner
    from shareai_cli.gateway.process import Start
    from shareai_cli.gateway.serve import serve as run_gateway
    from shareai_cli.node.models import has_llama
    from shareai_cli.wire.loop import loop_factory

    run = invocation(context)
    if config is not None:
        run.config_file = config
    llama = has_llama()
    start = Start(
        paths=run.paths,
        config_file=run.file,
        load=lambda: run.settings(host=host, port=port),
        environ=run.environ,
        has_llama=llama,
        shows_key=sys.stdout.isatty(),
        lines=sys.stderr,
        notice=_notice,
    )

    def ready(told: Ready) -> None:
        broken = _find_broken(told.settings)
        for name, problem in broken.items():
            _notice(f"node/{name} cannot be served: {problem}")
        try:
            if as_json:
                _print_json(told)
            else:
                for line in banner(told, llama, broken):
                    print_line(line)
            sys.stdout.flush()
        except OSError as error:
            _notice(f"The gateway serves at {told.base_url}; standard output: {error.strerror}.")

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(run_gateway(start, ready))


def _notice(text: str) -> None:
    """Tell something of a running gateway; that nobody can read it does not end the gateway."""
    with suppress(OSError, ValueError):
        note(f"shareai: {text}")


def _print_json(told: Ready) -> None:
    print_json(
        {
            "base_url": told.base_url,
            "pid": os.getpid(),
            "models": [model.id for model in told.models],
            "routes": list(told.settings.routes),
            "providers": list(told.settings.providers),
            "key": told.first_key.reveal() if told.first_key is not None else None,
            "key_file": told.first_key_file,
        }
    )


def _find_broken(settings: Settings) -> dict[str, str]:
    """Return the declared models whose files cannot be read, and why."""
    from shareai_cli.catalog.gguf import inspect

    broken = {}
    for model in settings.local.models:
        try:
            inspect(Path(model.path))
        except ConfigurationError as error:
            broken[model.id] = str(error)
    return broken
