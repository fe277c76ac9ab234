"""Limits as commands take and print them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from shareai_cli.cli.completion import known

if TYPE_CHECKING:
    from shareai_cli.types import WrittenLimits

LimitOption = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="NAME=VALUE",
        help="A limit, as 'shareai limit set --help' tells of them; can be given again.",
        autocompletion=known.limit_assignments,
    ),
]


def in_words(limits: WrittenLimits) -> str:
    """Return limits in one line, as `shareai limit set` takes them; empty where there are none."""
    return ", ".join(f"{name}={value}" for name, value in limits.items())
