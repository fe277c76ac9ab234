"""`shareai provider list`, `test` and `presets`."""

from __future__ import annotations

from typing import Any

import typer

from shareai_cli.cli.commands import JsonOption
from shareai_cli.cli.console import note, print_json, print_table
from shareai_cli.cli.invocation import invocation
from shareai_cli.cli.progress import Progress
from shareai_cli.cli.provider.describing import OnlyArgument, describe, find, place
from shareai_cli.errors import ConfigurationError


def list_(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the providers, and where their keys are kept."""
    run = invocation(context)
    settings = run.settings()
    if as_json:
        print_json(
            {
                "providers": [describe(one) for one in settings.providers.values()],
                "discovered": settings.discovered,
            }
        )
        return
    if not settings.providers:
        note("No providers yet. shareai provider add openai")
        return
    rows = [
        (one.name, one.base_url, " ".join(place(key.name, run.file) for key in one.keys) or "-")
        for one in settings.providers.values()
    ]
    print_table(("NAME", "BASE URL", "KEYS"), rows)
    if settings.discovered:
        note(f"Found through {', '.join(settings.discovered)}; the configuration declares none.")


def test(
    context: typer.Context,
    name: OnlyArgument = None,
    as_json: JsonOption = False,
) -> None:
    """Ask each provider's free call with each of its keys; costs nothing.

    Exits with 3 where no key can be had or there is no provider, 4 where every key is refused, 5 where no
    provider answers as it should, 6 where some work.
    """
    from shareai_cli.cli.provider.check import check_providers, exit_code

    run = invocation(context)
    settings = run.settings()
    chosen = [find(settings, name)] if name is not None else list(settings.providers.values())
    if not chosen:
        raise ConfigurationError("There are no providers to test.", hint="shareai provider add openai")
    total = sum(max(1, len(one.keys)) for one in chosen)
    with Progress("Asking providers", total, "keys") as progress:
        results = check_providers(chosen, run.environ, answered=progress.advance)
    if as_json:
        print_json({"results": results})
    else:
        rows = [
            (one.provider, place(one.key, run.file), one.verdict, "-" if one.models is None else one.models,
             "-" if one.milliseconds is None else f"{one.milliseconds} ms",
             one.detail or ", ".join(map(str, one.limits)))
            for one in results
        ]  # fmt: skip
        print_table(("NAME", "KEY", "RESULT", "MODELS", "TIME", ""), rows)
    raise typer.Exit(exit_code(results))


def presets(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the providers that are known by name, each with its address and the variable of its key.

    Any other that speaks the OpenAI API is added with --base-url.
    """
    from shareai_cli.catalog.presets import PRESETS

    if as_json:
        print_json({"presets": [_facts(one) for one in PRESETS.values()]})
        return
    rows = [
        (one.name, one.title, one.template, one.key_variables[0] if one.key_variables else "-")
        for one in PRESETS.values()
    ]
    print_table(("NAME", "PROVIDER", "BASE URL", "KEY"), rows)


def _facts(preset: Any) -> dict[str, Any]:
    return {
        "name": preset.name,
        "title": preset.title,
        "base_url": preset.template,
        "option": f"--{preset.blank.name}" if preset.blank is not None else None,
        "key_variables": preset.key_variables,
        "key_page": preset.key_page,
        "supports": {
            "stream_usage": preset.stream_usage,
            "responses": preset.responses,
            "embeddings": preset.embeddings,
        },
    }
