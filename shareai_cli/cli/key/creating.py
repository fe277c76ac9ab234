"""`shareai key create`, and how a new secret is shown."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shareai_cli.cli.commands import JsonOption
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import note, print_json, print_line
from shareai_cli.cli.invocation import invocation
from shareai_cli.cli.limits_in_words import LimitOption

if TYPE_CHECKING:
    from shareai_cli.client import NewKey

AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="MODEL",
        help="A route, provider/model or provider/* that it may use; can be repeated. Else: everything.",
        autocompletion=known.models,
    ),
]
PreferModelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--prefer-model",
        metavar="MODEL",
        help="What it gets for the model 'auto': the first of these that can serve; can be given again.",
        autocompletion=known.models,
    ),
]
ExpiresOption = Annotated[
    str | None,
    typer.Option("--expires", metavar="TIME", help="Until when it is valid: 12h, 30d, or 2027-01-31."),
]


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The key's name.")],
    team: Annotated[
        str,
        typer.Option(
            "--team",
            metavar="TEAM",
            help="Whose key it is; teams have limits of their own, and share no kept replies.",
            autocompletion=known.teams,
        ),
    ] = "default",
    allow: AllowOption = None,
    prefer_model: PreferModelOption = None,
    expires: ExpiresOption = None,
    prefer: Annotated[
        Literal["own", "cloud"] | None,
        typer.Option(
            "--prefer", help="Ask your own machines first, or the clouds, whatever a route prefers."
        ),
    ] = None,
    limit: LimitOption = None,
    may_mint: Annotated[
        bool,
        typer.Option(
            "--may-mint", help="Let it make keys itself, for nothing more than it is: POST /v1/keys."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it: the only time that it is shown.

    A running gateway accepts it at once. A key for some models is refused every other one, and is shown
    only its own at /v1/models; a key that expires on a day is valid until that day begins.
    """
    from shareai_cli.cli.state import open_admin
    from shareai_cli.config.limits import parse_assignments
    from shareai_cli.ledger import parse_until
    from shareai_cli.types import KeySettings

    settings = KeySettings(
        team,
        tuple(allow or ()),
        tuple(prefer_model or ()),
        parse_until(expires, datetime.now()) if expires is not None else None,
        prefer,
        may_mint,
        parse_assignments(limit or ()),
    )
    with open_admin(invocation(context).paths) as admin:
        made = admin.create_key(name, settings)
    if as_json:
        print_new(made)
        return
    print_line(made.key)
    note(
        "Keep it: it is stored hashed and cannot be shown again. "
        f"shareai key revoke {_argument(name)} makes it invalid."
    )


def print_new(made: NewKey) -> None:
    """Print a key that was just made, as JSON."""
    info = made.info
    print_json(
        {
            "key": made.key,
            "name": info.name,
            "team": info.team,
            "shown": info.shown,
            "allowed": info.allowed,
            "preferences": info.preferences,
            "expires_ms": info.expires_ms,
            "prefer": info.prefer,
            "may_mint": info.may_mint,
            "limits": info.limits,
            "former_until_ms": info.former_until_ms,
        }
    )


def _argument(name: str) -> str:
    """Return a name as a shell and this command line take it."""
    return f"{'-- ' if name.startswith('-') else ''}{shlex.quote(name)}"
