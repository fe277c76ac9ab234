"""`shareai model set`: how a model of this machine is loaded."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from shareai_cli.cli.commands import JsonOption
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import print_json, print_line
from shareai_cli.cli.invocation import invocation
from shareai_cli.cli.model.naming import fields, find_declared, target
from shareai_cli.errors import UsageError

AUTO: Final = "auto"


def set_(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The model's name.", autocompletion=known.local_models)
    ],
    settings: Annotated[
        list[str], typer.Argument(metavar="SETTING=VALUE...", help="What is to be otherwise; auto unsets it.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Set how a model is loaded, instead of having it chosen for this machine; a running gateway takes it up.

    context: tokens of cache. threads: that compute. gpu_layers: that GPUs hold, -1 for all. slots: replies
    at a time. flash_attention: true or false. idle: 1h or never, until it is unloaded without a request.
    """
    run = invocation(context)
    changes = dict(map(_parse, settings))
    model = find_declared(run, name.removeprefix(target("")))
    changed = run.editor().set_local_model(model.id, changes)
    [now] = [one for one in changed.local.models if one.id == model.id]
    if as_json:
        print_json({"model": fields(now), "file": changed.source})
        return
    said = ", ".join(f"{key} {_written(value)}" for key, value in fields(now).items() if key in changes)
    print_line(f"Model {target(model.id)}: {said}")


def _written(value: object) -> str:
    return AUTO if value is None else str(value).lower()


def _parse(text: str) -> tuple[str, int | bool | str | None]:
    """Read `slots=4`; whether the value can be is for the configuration to say. Raises `UsageError`."""
    from shareai_cli.config.local import LOADING
    from shareai_cli.config.reading import shown
    from shareai_cli.nearest import suggestion

    key, is_one, value = text.partition("=")
    if not is_one:
        raise UsageError(f"{shown(text)} is not of the form SETTING=VALUE.", hint="slots=4")
    if key not in LOADING:
        raise UsageError(f"{shown(key)} is not known.", hint=suggestion(key, LOADING))
    if value == AUTO:
        return key, None
    if value in ("true", "false"):
        return key, value == "true"
    return key, int(value) if value.removeprefix("-").isdecimal() else value
