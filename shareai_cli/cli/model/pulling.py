"""`shareai model pull`: fetch a model from the Hugging Face hub."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from shareai_cli.cli.commands import JsonOption
from shareai_cli.cli.console import note, print_json, print_line, printable
from shareai_cli.cli.invocation import Invocation, invocation
from shareai_cli.cli.model.adding import advise, in_words, warn
from shareai_cli.cli.model.naming import fields, target
from shareai_cli.errors import UsageError


def pull(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="REPO[:QUANT]", help="A repository of the Hugging Face hub, and which of its models."
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="What it is asked for by, as node/NAME; else its file's name."
        ),
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option("--revision", metavar="NAME", help="A branch, a tag or a commit; else the main branch."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch a model from the Hugging Face hub, and declare it; a running gateway takes it up.

    Without QUANT it is Q4_K_M, or the nearest that there is. The file goes into the Hugging Face cache, where
    other programs find it, too. What broke off goes on where it ended; what it became is checked by its hash.
    HF_TOKEN, HF_ENDPOINT and HF_HUB_CACHE are heeded.
    """
    from shareai_cli.cli.local_models import Wish, declare, record
    from shareai_cli.cli.model.hub import fetch, look_up, parse_wanted, place_of, prepare_library
    from shareai_cli.cli.model.quants import choose, offers
    from shareai_cli.discovery.proposal import in_bytes

    run = invocation(context)
    wanted = parse_wanted(what)
    prepare_library()
    repository = look_up(wanted.repository, revision)
    offer = choose(offers(repository.files), wanted.quant, wanted.repository)
    _check_name(run, place_of(repository, offer), name)
    note(f"{wanted.repository}, {offer.name}: {in_bytes(offer.size)}")
    with _shown_progress(offer.name, offer.size) as reached:
        path = fetch(repository, offer, reached)
    [declared], settings = declare(run, [Wish(path, name=name)])
    record(run, settings)
    if as_json:
        print_json(
            {
                "model": {**fields(declared.model), "architecture": declared.file.architecture},
                "repository": repository.name,
                "revision": repository.commit,
                "quantization": offer.name,
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


def _check_name(run: Invocation, path: Path, name: str | None) -> None:
    """Raise `UsageError` for a name that another file has, before anything is fetched."""
    from shareai_cli.catalog.gguf import fitting_name

    wanted = name or fitting_name(path)
    for model in run.settings().local.models if run.file.exists() else ():
        if model.id == wanted and model.path != str(path):
            raise UsageError(
                f"{target(wanted)} is another file already: {model.path}",
                hint=f"--name gives the new one another name; shareai model remove {wanted} frees it.",
            )


@contextmanager
def _shown_progress(what: str, size: int) -> Iterator[Callable[[int], None]]:
    """Yield what is told how many bytes there are, and shows it where there is a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from shareai_cli.cli.progress import is_animated

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True, highlight=False)
    with Progress(*columns, console=console, transient=True, disable=not is_animated(sys.stderr)) as progress:
        task = progress.add_task(printable(what), total=size)
        yield lambda there: progress.update(task, completed=there)
