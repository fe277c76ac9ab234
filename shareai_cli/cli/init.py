"""`shareai init`: a first configuration out of what is there, and later on whatever is new."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from shareai_cli.cli.asking import YesOption, can_ask, choose, confirm
from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.console import note, print_json, print_line
from shareai_cli.cli.invocation import Invocation, invocation
from shareai_cli.cli.progress import Progress
from shareai_cli.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from shareai_cli.config import Settings
    from shareai_cli.discovery.found import Found
    from shareai_cli.discovery.proposal import First, Machine, Proposal

app = new_app()

_MOST_SHOWN = 12
"""Lines about one kind of thing; a count says how many more there are."""


@command(app, "init", example="shareai init")
def init(
    context: typer.Context,
    first: Annotated[
        Literal["own", "cloud"] | None,
        typer.Option("--first", help="Who is asked first: own (this machine, the default) or cloud."),
    ] = None,
    port: Annotated[
        list[int] | None,
        typer.Option(
            "--port",
            metavar="PORT",
            min=1,
            max=65535,
            help="Look for engines on this port instead of the usual ones; repeatable.",
        ),
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find keys, engines and models on this machine, and propose a configuration of them.

    It is shown before it is written, and nothing that stands in the file already is changed. Do it again
    whenever something is new. Keys are named by their variables, never copied. With --json nothing is
    asked: without --yes it only tells what would be written.
    """
    from shareai_cli.discovery.proposal import propose

    run = invocation(context)
    settings, found, machine = _settings(run), _look(run, port), _machine()
    proposal = propose(found, settings, machine, first or "own")
    if as_json:
        _tell_json(run, found, proposal, yes=yes)
        return
    _show_found(found, proposal)
    asks = can_ask(run) and not yes
    if proposal.has_choice and first is None and asks:
        proposal = propose(found, settings, machine, _ask_who_is_first())
    if not proposal.extension.is_empty:
        _show_change(run, *run.editor().preview(proposal.extension.extend))
        if not yes:
            _ask_to_write(run, asks=asks)
        run.editor().apply(proposal.extension.extend)
        print_line(f"{run.file} is written.")
        _advise_route(settings, proposal)
    elif not _is_anything(found) and settings.is_empty:
        note("Nothing was found: no key in the environment, no engine that runs, no GGUF file.")
    else:
        print_line(f"Nothing is new: {run.file} stays as it is.")
    note(f"\n{_next_step(run, proposal)}")


def _settings(run: Invocation) -> Settings:
    """Return what is declared; a file that `--config` names need not be there yet."""
    from shareai_cli.catalog.presets import PRESETS
    from shareai_cli.config import load_text

    return run.settings() if run.file.exists() else load_text("", run.file, run.environ, PRESETS)


def _look(run: Invocation, ports: list[int] | None) -> Found:
    import asyncio

    from shareai_cli.catalog.presets import PRESETS
    from shareai_cli.discovery.engines import usual_ports
    from shareai_cli.discovery.found import look

    with Progress("Looking for keys, engines and models on this machine"):
        return asyncio.run(look(run.environ, PRESETS, ports or usual_ports(run.environ)))


def _machine() -> Machine:
    import psutil

    from shareai_cli.discovery.proposal import Machine
    from shareai_cli.node.models import has_llama

    return Machine(memory=int(psutil.virtual_memory().total), llama=has_llama())


def _ask_who_is_first() -> First:
    answer = choose(
        "Both this machine and a provider can answer. Which first, the other standing in?",
        {"o": "own machine", "c": "cloud"},
        "o",
    )
    return "own" if answer == "o" else "cloud"


def _ask_to_write(run: Invocation, *, asks: bool) -> None:
    """Return where it may be written; else raise what ends the command."""
    if not asks:
        raise UsageError(
            "Nothing was written: nobody can be asked here.", hint="shareai init --yes writes it."
        )
    if not confirm(f"Write it to {run.file}?"):
        note("Nothing was written.")
        raise typer.Exit(ExitCode.FAILURE)


def _is_anything(found: Found) -> bool:
    return bool(found.keys or found.engines or found.files.files)


def _show_found(found: Found, proposal: Proposal) -> None:
    from shareai_cli.discovery.proposal import in_bytes

    not_proposed = {one.name for one in proposal.left_out}
    lines = [f"{key.variable}: a key of {key.title}" for key in found.keys]
    lines += [f"{one.title} at {one.base_url}: {', '.join(one.models[:3]) or 'no model'}"
              f"{', ...' if len(one.models) > 3 else ''}" for one in found.engines]  # fmt: skip
    lines += [f"{one.id}: {in_bytes(one.size)}, of {one.owner}" for one in found.files.files
              if one.id not in not_proposed]  # fmt: skip
    _list("Found", lines)
    _list("Left out", [f"{one.name}: {one.why}" for one in proposal.left_out])
    if not found.files.complete:
        note("There may be more files than were looked at: shareai model add PATH adds one.")


def _list(title: str, lines: list[str]) -> None:
    if not lines:
        return
    note(f"\n{title}:")
    for line in lines[:_MOST_SHOWN]:
        note(f"  {line}")
    if len(lines) > _MOST_SHOWN:
        note(f"  and {len(lines) - _MOST_SHOWN} more")


def _show_change(run: Invocation, before: str, after: str) -> None:
    """Show the file as it would be, or what would change in it."""
    if not before.strip():
        print_line(f"\n{after.rstrip()}\n")
        return
    import difflib

    name = str(run.file)
    # Without the lines around them: what stands there already may be secret.
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, lineterm="", n=0)
    print_line()
    for line in lines:
        print_line(line)
    print_line()


def _added(before: str, after: str) -> str:
    """Return the lines that are new, and nothing of what stands there already: it may be secret."""
    import difflib

    changes = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0))[2:]
    return "".join(f"{line[1:]}\n" for line in changes if line.startswith("+"))


def _advise_route(settings: Settings, proposal: Proposal) -> None:
    """Say how what is new could stand in for what a route has; a route of one's own is left as it is."""
    if not proposal.stand_ins:
        return
    route = next(iter(settings.routes.values()))
    names = [*(one.target.name for one in route.targets), *(target.name for target in proposal.stand_ins)]
    if route.strategy == "priority":
        words = " ".join(map(shlex.quote, [route.name, *names]))
        note(f"To let it stand in on the route {route.name} too: shareai route add {words}")


def _next_step(run: Invocation, proposal: Proposal) -> str:
    from shareai_cli.client import find_gateway
    from shareai_cli.node.models import INSTALL_HINT

    settings = _settings(run)
    if not settings.providers and not settings.local.models:
        local = "shareai model add PATH" if _machine().llama else INSTALL_HINT
        return f"Next: shareai provider add openai, or for a local model: {local}"
    if any(provider.keys for provider in settings.providers.values()) and proposal.extension.providers:
        check = "shareai provider test, then "
    else:
        check = ""
    if find_gateway(run.paths) is not None:
        taken_up = "" if proposal.extension.is_empty else "; the gateway that runs takes it up by itself"
        return f"Next: {check}shareai models{taken_up}."
    return f"Next: {check}shareai serve"


def _tell_json(run: Invocation, found: Found, proposal: Proposal, *, yes: bool) -> None:
    import msgspec

    extension = proposal.extension
    text = None if extension.is_empty else _added(*run.editor().preview(extension.extend))
    written = yes and text is not None
    if written:
        run.editor().apply(extension.extend)
    builtins = cast(dict[str, Any], msgspec.to_builtins(found, enc_hook=os.fspath))
    print_json(
        {
            "file": run.file,
            "written": written,
            "found": {
                "keys": builtins["keys"],
                "engines": builtins["engines"],
                "files": builtins["files"]["files"],
                "complete": found.files.complete,
            },
            "left_out": proposal.left_out,
            "new": {
                "providers": [one.name for one in extension.providers],
                "local_models": [one.name for one in extension.models],
                "routes": [one.name for one in extension.routes],
            },
            "text": text,
        }
    )
