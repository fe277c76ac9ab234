"""How commands are declared: every one has an example, which its help shows first."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

Function = TypeVar("Function", bound=Callable[..., Any])

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
"""The option that every command has."""


def new_app(description: str | None = None, *, example: str | None = None) -> typer.Typer:
    """Return the `app` of a command's module; a group of commands has a description and an example."""
    return typer.Typer(
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
            help=f"\b\nExample: {example}\n\n{description}",
            short_help=description.partition("\n")[0],
        )(function)

    return register
