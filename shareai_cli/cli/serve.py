"""`shareai serve`: start the gateway."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.console import note, print_json, print_line
from shareai_cli.cli.invocation import invocation

if TYPE_CHECKING:
    from shareai_cli.config import Settings
    from shareai_cli.gateway.process import Ready

app = new_app()

LLAMA_LINE = "pip install 'shareai-cli[llama]'"


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
    from shareai_cli.gateway.process import Start
    from shareai_cli.gateway.serve import serve as run_gateway
    from shareai_cli.node.models import has_llama

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
        try:
            if as_json:
                _print_json(told)
            else:
                _print_banner(told, llama)
            sys.stdout.flush()
        except OSError as error:
            _notice(f"The gateway serves at {told.base_url}; standard output: {error.strerror}.")

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run_gateway(start, ready))


def _notice(text: str) -> None:
    """Tell something of a running gateway; that nobody can read it does not end the gateway."""
    with suppress(OSError, ValueError):
        note(f"shareai: {text}")


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.Loop


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


def _print_banner(told: Ready, llama: bool) -> None:
    settings = told.settings
    print_line(f"ShareAI serves at  {told.base_url}")
    if told.first_key is not None:
        print_line(f"Your key           {told.first_key.reveal()}")
        print_line("                   Keep it: it is not shown again. 'shareai key create NAME' makes more.")
    elif told.first_key_file is not None:
        print_line(f"Your key           is in {told.first_key_file}")
    for line in _what_is_served(settings, told, llama):
        print_line(line)
    model = _example_model(settings, told)
    if model is not None:
        print_line("\nTry it:\n")
        print_line(_curl(told, model))
    print_line(f"\n{_next_step(settings, told, llama)}\n")


def _what_is_served(settings: Settings, told: Ready, llama: bool) -> list[str]:
    lines = []
    if settings.discovered:
        found = ", ".join(settings.discovered)
        lines.append(f"Providers          {', '.join(settings.providers)}  (found through {found})")
    elif settings.providers:
        lines.append(f"Providers          {', '.join(settings.providers)}")
    if settings.routes:
        lines.append(f"Routes             {', '.join(settings.routes)}")
    if told.models:
        names = ", ".join(model.id for model in told.models)
        demo = "  (the built-in demo model)" if settings.is_empty else ""
        lines.append(f"Local models       {names}{demo}")
    if told.models and not llama:
        lines.append(f"                   They need llama.cpp: {LLAMA_LINE}")
    if not told.models and settings.is_empty:
        lines.append("Nothing to serve   no provider and no model is configured.")
    return lines


def _example_model(settings: Settings, told: Ready) -> str | None:
    """Return a model that answers when it is asked for, as far as that can be known."""
    if settings.routes:
        return next(iter(settings.routes))
    if told.models:
        return told.models[0].id
    provider = next(iter(settings.providers), None)
    return f"{provider}/MODEL" if provider is not None else None


def _curl(told: Ready, model: str) -> str:
    if told.first_key is not None:
        key = told.first_key.reveal()
    elif told.first_key_file is not None:
        key = f"$(cat '{told.first_key_file}')"
    else:
        key = "$SHAREAI_KEY"
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'
    return (
        f'curl {told.base_url}/chat/completions -H "Authorization: Bearer {key}"'
        f" -H 'Content-Type: application/json' -d '{body}'"
    )


def _next_step(settings: Settings, told: Ready, llama: bool) -> str:
    if not settings.providers and not settings.local.models:
        local = "shareai node register MODEL.gguf" if llama else LLAMA_LINE
        return f"Next: shareai provider add openai --key-env OPENAI_API_KEY, or for local models: {local}"
    if not settings.routes and settings.providers:
        provider = next(iter(settings.providers))
        return f"Next: shareai route add chat {provider}/MODEL   (models: GET {told.base_url}/models)"
    return "Next: shareai status, shareai usage --by model"
