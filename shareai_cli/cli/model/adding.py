"""`shareai model add`: declare a file that is on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from shareai_cli.cli.commands import JsonOption
from shareai_cli.cli.console import note, print_json, print_line
from shareai_cli.cli.invocation import Invocation, invocation
from shareai_cli.cli.model.naming import fields, target

if TYPE_CHECKING:
    from shareai_cli.catalog.gguf import ModelFile
    from shareai_cli.types import LocalModel


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
                "model": {**fields(declared.model), "architecture": declared.file.architecture},
                "size": declared.file.size,
                "added": declared.is_new,
                "file": settings.source,
            }
        )
    else:
        verb = "is added" if declared.is_new else "is there already"
        print_line(f"Model {target(declared.model.id)} {verb}: {in_words(declared.file)}.")
    warn(declared.file)
    advise(run, declared.model)


def in_words(file: ModelFile) -> str:
    """Return what a file is, in a few words."""
    from shareai_cli.cli.models.table import tokens
    from shareai_cli.discovery.proposal import in_bytes

    context = f", {tokens(file.context)} tokens of context" if file.context else ""
    abilities = f", {', '.join(file.abilities)}" if file.abilities else ""
    return f"{file.architecture}, {in_bytes(file.size)}{context}{abilities}"


def warn(file: ModelFile) -> None:
    """Say what may keep a model from answering."""
    import psutil

    memory = psutil.virtual_memory()
    problem = memory_problem(file.size, available=memory.available, total=memory.total)
    if problem is not None:
        note(problem)
    if "embeddings" in file.abilities:
        note("It makes embeddings, under /v1/embeddings, and answers no chat.")


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


def advise(run: Invocation, model: LocalModel) -> None:
    """Say what comes next, once a running gateway has taken a model up."""
    from shareai_cli.cli.local_models import await_taken_up
    from shareai_cli.node.models import INSTALL_HINT, has_llama

    if await_taken_up(run, model.id, served=True):
        note("The running gateway serves it.")
    if not has_llama():
        note(f"llama.cpp, which runs it, is not installed here: {INSTALL_HINT}")
    else:
        note(f"Next: shareai chat {target(model.id)}")
