"""How commands are declared: every one has an example, which its help shows first."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from shareai_cli.cli.values import read_plainly
from shareai_cli.errors import UsageError

Function = TypeVar("Function", bound=Callable[..., Any])

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
"""The option that every command has."""


class Command(TyperCommand):
    """A command."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, the one for help among them."""
        return read_plainly(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Read the command's arguments; from here on whatever goes wrong can be told with its name."""
        ctx.obj.command = ctx.command_path
        return super().parse_args(ctx, args)


class Group(TyperGroup):
    """A command that has commands; refuses those that it does not have with the nearest that it has."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, the one for help among them."""
        return read_plainly(super().get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the arguments name; raises `UsageError` where there is none."""
        name = args[0]
        known = self.list_commands(ctx)
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            from shareai_cli.nearest import nearest

            near = nearest(name, known)
            raise UsageError(
                f"There is no command {' '.join([*ctx.command_path.split()[1:], _shown(name)])}.",
                hint=f"Did you mean {ctx.command_path} {near}?" if near else f"{ctx.command_path} --help",
            )
        return super().resolve_command(ctx, args)


def new_app(description: str | None = None, *, example: str | None = None) -> typer.Typer:
    """Return the `app` of a command's module; a group of commands has a description and an example."""
    return typer.Typer(
        cls=Group,
        help=f"\b\nExample: {example}\n\n{description}" if description is not None else None,
        no_args_is_help=description is not None,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )


def command(app: typer.Typer, name: str, *, example: str) -> Callable[[Function], Function]:
    """Register a function as a command: its docstring, after the example, is its help."""

    def register(function: Function) -> Function:
        description = inspect.getdoc(function) or ""
        return app.command(
            name,
            cls=Command,
            help=f"\b\nExample: {example}\n\n{description}",
            short_help=description.partition("\n")[0],
        )(function)

    return register


def _shown(word: str) -> str:
    """Return a word of the command line for a message; it may be a key typed by mistake."""
    from shareai_cli.secrets import conceal

    return conceal(word[:80]) if word.isprintable() else "of that name"
