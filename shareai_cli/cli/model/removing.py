"""`shareai model remove`: serve a model no longer."""

from __future__ import annotations

from typing import Annotated

import typer

from shareai_cli.cli.asking import YesOption, agree
from shareai_cli.cli.commands import JsonOption
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import print_json, print_line
from shareai_cli.cli.invocation import invocation
from shareai_cli.cli.model.naming import find_declared, target


def remove(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="The model's name.", autocompletion=known.local_models),
    ],
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take a model out of the configuration; its file stays where it is."""
    from shareai_cli.cli.local_models import await_taken_up, record

    run = invocation(context)
    model = find_declared(run, name.removeprefix(target("")))
    agree(run, f"Serve {target(model.id)} no longer? Its file stays.", yes=yes)
    settings = run.editor().remove_local_model(model.id)
    record(run, settings)
    if as_json:
        print_json({"removed": model.id, "path": model.path, "file": settings.source})
    else:
        print_line(f"Model {target(model.id)} is removed; its file stays: {model.path}")
    await_taken_up(run, model.id, served=False)
