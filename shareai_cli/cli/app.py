"""The root of the command line: global options, and which module holds which command."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from shareai_cli import __version__
from shareai_cli.cli.failures import end_output, report
from shareai_cli.cli.invocation import Invocation
from shareai_cli.errors import UsageError

COMMANDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "init": "Find keys, engines and models here, and propose a configuration.",
        "serve": "Start the gateway.",
        "chat": "Talk to a model, or have one question answered.",
        "status": "Show what the gateway does, and how its targets stand.",
        "usage": "Report requests, tokens and costs.",
        "explain": "Tell what happened to a request.",
        "provider": "Add, list, test and remove cloud providers.",
        "route": "Add, list, show and remove routes: public model names.",
        "key": "Create, list and revoke the keys of clients.",
        "node": "Register this machine's models, list nodes.",
        "config": "Check and show the configuration.",
        "completion": "Print the completion script of a shell.",
    }
)
"""Each command and what the help says of it; its module is `shareai_cli.cli.NAME`, which has `app`."""


class LazyGroup(TyperGroup):
    """Imports a command's module when that command is asked for, and no other."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names, in the order in which the help shows them."""
        return [name for name in COMMANDS if find_spec(f"shareai_cli.cli.{name}") is not None]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command; None where there is none of that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"shareai_cli.cli.{cmd_name}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the arguments name; an unknown one is refused with the nearest."""
        name = args[0]
        known = self.list_commands(ctx)
        if name not in known and not name.startswith("-"):
            near = get_close_matches(name[:80], known, n=1, cutoff=0.5)
            raise UsageError(
                f"There is no command {_shown(name)}.",
                hint=f"Did you mean shareai {near[0]}?" if near else "shareai --help lists them.",
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands from the table, importing none of them."""
        rows = [(name, COMMANDS[name]) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def _shown(word: str) -> str:
    """Return a word of the command line for a message; it may be a key typed by mistake."""
    from shareai_cli.secrets import conceal

    return conceal(word[:80]) if word.isprintable() else "of that name"


app = typer.Typer(
    cls=LazyGroup,
    name="shareai",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"shareai {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="PATH", help="Use this configuration file.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Example: shareai serve

    One OpenAI-compatible endpoint over your cloud keys and your own machines.
    """
    invocation: Invocation = context.obj
    invocation.config_file = config
    invocation.debug = invocation.debug or debug


def run(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Run one command line and return its exit code; every failure is reported on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    invocation = Invocation(os.environ if environ is None else environ)
    if "_SHAREAI_COMPLETE" in invocation.environ:
        return _complete()
    arguments = _take_debug(arguments, invocation)
    try:
        command = typer.main.get_command(app)
        code = command.main(list(arguments), prog_name="shareai", standalone_mode=False, obj=invocation)
    except BaseException as error:  # the one place where every failure ends
        return report(error, debug=invocation.debug)
    return end_output(code if isinstance(code, int) else 0)


def _complete() -> int:
    """Answer a shell's question of what could come next; it has no use for messages."""
    from typer._completion_classes import completion_init

    completion_init()
    try:
        typer.main.get_command(app).main([], prog_name="shareai", standalone_mode=False)
    except SystemExit as ended:
        return end_output(ended.code if isinstance(ended.code, int) else 0)
    except Exception:
        return 1
    return 0


def _take_debug(arguments: Sequence[str], invocation: Invocation) -> list[str]:
    """Take `--debug` out of the arguments wherever it stands: who needs it adds it at the end."""
    arguments = list(arguments)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    invocation.debug = "--debug" in arguments[:end]
    return [item for item in arguments[:end] if item != "--debug"] + arguments[end:]
