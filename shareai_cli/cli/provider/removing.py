"""`shareai provider remove`."""

from __future__ import annotations

import typer

from shareai_cli.cli.asking import YesOption, agree
from shareai_cli.cli.commands import JsonOption
from shareai_cli.cli.console import print_json, print_line
from shareai_cli.cli.invocation import invocation
from shareai_cli.cli.provider.describing import NameArgument, find_declared
from shareai_cli.cli.provider.keeping import forget_unused, key_store


def remove(
    context: typer.Context,
    name: NameArgument,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take a provider out of the configuration file, and delete the keys kept for it. Asks first.

    Keys in variables and in files of your own stay where they are.
    """
    run = invocation(context)
    provider = find_declared(run.settings(), name)
    store = key_store(run)
    kept = [key.name for key in provider.keys if store.keeps(key)]
    and_keys = f", and delete {', '.join(kept)}" if kept else ""
    agree(run, f"Remove the provider {name}{and_keys}?", yes=yes)
    settings = run.editor().remove_provider(name)
    forget_unused(run, provider.keys, settings)
    if as_json:
        print_json({"removed": name, "file": settings.source})
    else:
        print_line(f"Provider {name} is removed.")
