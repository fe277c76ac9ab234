"""`shareai model`: which models this machine serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from shareai_cli.cli.asking import YesOption, agree
from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import note, print_json, print_line
from shareai_cli.cli.invocation import Invocation, invocation
from shareai_cli.errors import UsageError

if TYPE_CHECKING:
    from shareai_cli.catalog.gguf import ModelFile
    from shareai_cli.types import LocalModel

app = new_app(
    "Add, list and remove models of this machine.", example="shareai model add ~/models/qwen3-8b-q4.gguf"
)


@command(app, "add", example="shareai model add ~/models/qwen3-8b-q4.gguf")
def add(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="PATH|NAME", help="A GGUF file, or a model that another program keeps on this machine."
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="What it is asked for by, as node/NAME; else its file's name."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Declare a model that this machine serves; a running gateway takes it up.

    The file stays where it is. A name is looked for among the files of LM Studio, the Hugging Face cache,
    llama.cpp and Ollama; nothing is downloaded. Doing it again does no harm.
    """
    from msgspec.structs import replace

    from shareai_cli.cli.local_models import declare, find, record

    run = invocation(context)
    [declared], settings = declare(run, [replace(find(run, what), name=name)])
    record(run, settings)
    if as_json:
        print_json(
            {
                "model": {**_fields(declared.model), "architecture": declared.file.architecture},
                "size": declared.file.size,
                "added": declared.is_new,
                "file": settings.source,
            }
        )
    else:
        verb = "is added" if declared.is_new else "is there already"
        print_line(f"Model {_target(declared.model.id)} {verb}: {_in_words(declared.file)}.")
    _warn(declared.file)
    _advise(run, declared.model)


@command(app, "list", example="shareai model list")
def list_(context: typer.Context, as_json: JsonOption = False) -> None:
    """List this machine's models, as 'shareai models --local' does."""
    from shareai_cli.cli.models.command import show
    from shareai_cli.cli.models.filters import Filter

    show(invocation(context), Filter(local=True), as_json=as_json)


@command(app, "remove", example="shareai model remove qwen3-8b-q4")
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
    model = _find(run, name.removeprefix(_target("")))
    agree(run, f"Serve {_target(model.id)} no longer? Its file stays.", yes=yes)
    settings = run.editor().remove_local_model(model.id)
    record(run, settings)
    if as_json:
        print_json({"removed": model.id, "path": model.path, "file": settings.source})
    else:
        print_line(f"Model {_target(model.id)} is removed; its file stays: {model.path}")
    await_taken_up(run, model.id, served=False)


def _find(run: Invocation, name: str) -> LocalModel:
    """Return a declared model; raises `UsageError` with the nearest."""
    from shareai_cli.config.reading import shown
    from shareai_cli.nearest import nearest

    models = {model.id: model for model in run.settings().local.models}
    if name not in models:
        near = nearest(name, models)
        raise UsageError(
            f"There is no local model {shown(name)} in the configuration.",
            hint=f"Did you mean {near}?" if near else "shareai model list",
        )
    return models[name]


def _target(name: str) -> str:
    """Return what a model of this machine is asked for by."""
    from shareai_cli.types import NODE

    return f"{NODE}/{name}"


def _fields(model: LocalModel) -> dict[str, object]:
    from shareai_cli.config.describe import describe_local_model

    return {"id": _target(model.id), **describe_local_model(model)}


def _in_words(file: ModelFile) -> str:
    from shareai_cli.cli.models.table import tokens
    from shareai_cli.discovery.proposal import in_bytes

    context = f", {tokens(file.context)} tokens of context" if file.context else ""
    abilities = f", {', '.join(file.abilities)}" if file.abilities else ""
    return f"{file.architecture}, {in_bytes(file.size)}{context}{abilities}"


def _warn(file: ModelFile) -> None:
    """Say what may keep a model from answering."""
    import psutil

    memory = psutil.virtual_memory()
    problem = memory_problem(file.size, available=memory.available, total=memory.total)
    if problem is not None:
        note(problem)
    if "embeddings" in file.abilities:
        note("It makes embeddings, and answers no chat: nothing here asks for embeddings yet.")


def memory_problem(size: int, *, available: int, total: int) -> str | None:
    """Return what is to be said of a model of `size` bytes in this memory; None where it fits well."""
    from shareai_cli.discovery.proposal import in_bytes

    if size > total:
        return (
            f"Its weights take {in_bytes(size)}, and this machine has {in_bytes(total)} of memory: "
            "without a GPU that holds most of them it will not load."
        )
    if size > available:
        return (
            f"Its weights take {in_bytes(size)}, and just now {in_bytes(available)} of memory are free: "
            "it may not load, or be slow."
        )
    return None


def _advise(run: Invocation, model: LocalModel) -> None:
    from shareai_cli.cli.local_models import await_taken_up
    from shareai_cli.node.models import INSTALL_HINT, has_llama

    if await_taken_up(run, model.id, served=True):
        note("The running gateway serves it.")
    if not has_llama():
        note(f"llama.cpp, which runs it, is not installed here: {INSTALL_HINT}")
    else:
        note(f"Next: shareai chat {_target(model.id)}")
