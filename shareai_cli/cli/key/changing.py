"""`shareai key set`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shareai_cli.cli.commands import JsonOption
from shareai_cli.cli.completion import known
from shareai_cli.cli.invocation import invocation
from shareai_cli.cli.key.showing import ValidNameArgument, print_key
from shareai_cli.cli.limits_in_words import LimitOption
from shareai_cli.errors import UsageError

if TYPE_CHECKING:
    from shareai_cli.types import KeyChanges


def set_(
    context: typer.Context,
    name: ValidNameArgument,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            metavar="MODEL",
            help="What it may use, in place of what it might; can be repeated; 'everything' for all.",
            autocompletion=known.models,
        ),
    ] = None,
    prefer_model: Annotated[
        list[str] | None,
        typer.Option(
            "--prefer-model",
            metavar="MODEL",
            help="What 'auto' means, in place of what it meant; can be repeated; 'none' for nothing.",
            autocompletion=known.models,
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="TIME", help="Until when: 12h, 30d, 2027-01-31, or never."),
    ] = None,
    prefer: Annotated[
        Literal["own", "cloud", "none"] | None,
        typer.Option(
            "--prefer", help="Ask your own machines first, or the clouds; none leaves it to routes."
        ),
    ] = None,
    limit: LimitOption = None,
    may_mint: Annotated[
        bool | None,
        typer.Option("--may-mint/--no-may-mint", help="Whether it may make keys itself."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Change what a key is for; what is not said stays. A running gateway goes by it at once.

    Its team is for good. 'shareai limit remove key/NAME' takes limits away.
    """
    from shareai_cli.cli.state import open_admin

    changes = _changes(allow, prefer_model, expires, prefer, limit, may_mint)
    with open_admin(invocation(context).paths) as admin:
        changed = admin.change_key(name, changes)
        keys = admin.list_keys()
    print_key(changed, keys, as_json=as_json)


def _changes(
    allow: Sequence[str] | None,
    prefer_model: Sequence[str] | None,
    expires: str | None,
    prefer: Literal["own", "cloud", "none"] | None,
    limit: Sequence[str] | None,
    may_mint: bool | None,
) -> KeyChanges:
    """Return what is to become otherwise; raises `UsageError` where nothing is."""
    from msgspec import UNSET

    from shareai_cli.config.limits import parse_assignments
    from shareai_cli.ledger import parse_until
    from shareai_cli.types import KeyChanges

    if not (allow or prefer_model or expires or prefer or limit) and may_mint is None:
        raise UsageError("What is to be changed?", hint="shareai key set NAME --allow chat --expires 30d")
    expires_ms = parse_until(expires, datetime.now()) if expires not in (None, "never") else None
    return KeyChanges(
        allowed=_names(allow, "everything") if allow else UNSET,
        preferences=_names(prefer_model, "none") if prefer_model else UNSET,
        expires_ms=expires_ms if expires else UNSET,
        prefer=(None if prefer == "none" else prefer) if prefer else UNSET,
        may_mint=may_mint if may_mint is not None else UNSET,
        limits=parse_assignments(limit) if limit else UNSET,
    )


def _names(given: Sequence[str], none: str) -> tuple[str, ...]:
    """Return names; the word that stands for none of them has to be alone."""
    if none in given and len(given) > 1:
        raise UsageError(f"'{none}' goes with no other name.")
    return () if none in given else tuple(given)
