"""The root of the command line: global options, and which module holds which command."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from shareai_cli import __version__
from shareai_cli.cli.commands import Group
from shareai_cli.cli.failures import end_output, report
from shareai_cli.cli.invocation import Invocation

PANELS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "Start": {
            "init": "Find keys, engines and models here, and propose a configuration.",
            "serve": "Start the gateway.",
        },
        "Ask": {
            "chat": "Talk to a model, or have one question answered.",
            "models": "List the models that can be asked for.",
        },
        "See": {
            "dash": "Watch what the gateway does as it happens.",
            "status": "Show what the gateway does, and how its targets stand.",
            "usage": "Report requests, tokens and costs.",
            "explain": "Tell what happened to a request.",
            "smoke-test": "Prove that routes answer, fail over and cost as they should.",
            "drill": "List and show the smoke tests that were run.",
            "audit": "List, verify and export the record of changes.",
            "doctor": "Find what is wrong with this installation, and what mends it.",
        },
        "Change": {
            "provider": "Add, list, test and remove cloud providers.",
            "model": "Fetch, add, list, run, set and remove models here.",
            "route": "Add, list, show, steer and remove routes: public model names.",
            "key": "Create, list, change and revoke the keys of clients.",
            "team": "Create, list and remove teams, to which keys belong.",
            "limit": "Set, list and remove limits of requests, tokens and money.",
            "cache": "Show what is kept of replies, and forget it.",
            "node": "Register this machine's models; list, pause and drain nodes.",
            "config": "Check and show the configuration.",
        },
        "Scripts": {
            "completion": "Print the completion script of a shell.",
        },
    }
)
"""Each command by what a person wants, and what the help says of it.

Its module is `shareai_cli.cli.NAME`, a hyphen being an underscore, which has `app`; where there is no such
module there is no command.
"""

VARIABLE: Final = "_SHAREAI_COMPLETE"
"""Holds the word that a shell wants to be completed, behind a `+`."""

COMMANDS: Final = MappingProxyType({name: text for panel in PANELS.values() for name, text in panel.items()})

_WIDEST: Final = max(map(len, COMMANDS))


def _module(command: str) -> str:
    return f"shareai_cli.cli.{command.replace('-', '_')}"


class LazyGroup(Group):
    """Imports a command's module when that command is asked for, and no other."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names, in the order in which the help shows them."""
        return [name for name in COMMANDS if find_spec(_module(name)) is not None]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command; None where there is none of that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(_module(cmd_name))
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Return the commands that a word can become from the table, importing none of them."""
        from typer._click.shell_completion import CompletionItem

        known = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        options = super(TyperGroup, self).shell_complete(ctx, incomplete)
        return [*(CompletionItem(name, help=COMMANDS[name]) for name in known), *options]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands of each panel from the table, importing none of them."""
        known = self.list_commands(ctx)
        for title, panel in PANELS.items():
            rows = [(name.ljust(_WIDEST), text) for name, text in panel.items() if name in known]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


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
    no_input: Annotated[bool, typer.Option("--no-input", help="Never ask anything.")] = False,
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
    invocation.no_input = invocation.no_input or no_input
    invocation.debug = invocation.debug or debug


def run(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Run one command line and return its exit code; every failure is reported on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    invocation = Invocation(os.environ if environ is None else environ)
    if VARIABLE in invocation.environ:
        return _complete(arguments, invocation)
    arguments = _take_flags(arguments, invocation)
    try:
        command = typer.main.get_command(app)
        code = command.main(list(arguments), prog_name="shareai", standalone_mode=False, obj=invocation)
        if invocation.has_edited:
            from shareai_cli.cli.reload import tell_gateway

            tell_gateway(invocation)
    except BaseException as error:  # the one place where every failure ends
        return report(error, debug=invocation.debug, command=invocation.command)
    return end_output(code if isinstance(code, int) else 0)


def _complete(arguments: Sequence[str], invocation: Invocation) -> int:
    """Answer a shell that asks what could come next; its scripts know the form."""
    from shareai_cli.cli.completion.answer import answer

    words, incomplete = _take_flags(arguments, invocation), invocation.environ[VARIABLE].removeprefix("+")
    answer(typer.main.get_command(app), invocation, words, incomplete)
    return end_output(0)


def _take_flags(arguments: Sequence[str], invocation: Invocation) -> list[str]:
    """Take the flags of every command out of the arguments: who needs one adds it at the end."""
    arguments = list(arguments)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    flags, rest = arguments[:end], arguments[end:]
    invocation.debug = "--debug" in flags
    invocation.no_input = "--no-input" in flags
    return [item for item in flags if item not in ("--debug", "--no-input")] + rest
