"""`shareai key`: the keys that clients present."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from shareai_cli.cli.asking import YesOption, agree
from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import note, print_json, print_line, print_table
from shareai_cli.cli.invocation import Invocation, invocation
from shareai_cli.cli.times import day
from shareai_cli.errors import UsageError
from shareai_cli.nearest import nearest

if TYPE_CHECKING:
    from shareai_cli.client import NewKey
    from shareai_cli.types import KeyInfo

app = new_app("Create, list, rotate and revoke the keys of clients.", example="shareai key create laptop")

LONGEST_OVERLAP = 366 * 86_400.0
"""Seconds for which a key's former secret may stay valid."""

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The key's name.")]
ValidNameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The key's name.", autocompletion=known.keys)
]


@command(app, "create", example="shareai key create laptop --allow chat --expires 30d")
def create(
    context: typer.Context,
    name: NameArgument,
    team: Annotated[
        str, typer.Option("--team", metavar="TEAM", help="Whose key it is; teams share no kept replies.")
    ] = "default",
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            metavar="MODEL",
            help="A route, provider/model or provider/* that it may use; can be repeated. Else: everything.",
            autocompletion=known.models,
        ),
    ] = None,
    prefer_model: Annotated[
        list[str] | None,
        typer.Option(
            "--prefer-model",
            metavar="MODEL",
            help="What it gets for the model 'auto': the first of these that can serve; can be given again.",
            autocompletion=known.models,
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="TIME", help="Until when it is valid: 12h, 30d, or 2027-01-31."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it: the only time that it is shown.

    A running gateway accepts it at once. A key for some models is refused every other one, and is shown
    only its own at /v1/models; a key that expires on a day is valid until that day begins.
    """
    from shareai_cli.cli.state import open_admin
    from shareai_cli.ledger import parse_until
    from shareai_cli.types import KeySettings

    expires_ms = parse_until(expires, datetime.now()) if expires is not None else None
    settings = KeySettings(team, tuple(allow or ()), tuple(prefer_model or ()), expires_ms)
    with open_admin(invocation(context).paths) as admin:
        made = admin.create_key(name, settings)
    if as_json:
        _print_new(made)
        return
    print_line(made.key)
    note(
        "Keep it: it is stored hashed and cannot be shown again. "
        f"shareai key revoke {_argument(name)} makes it invalid."
    )


@command(app, "show", example="shareai key show laptop")
def show(context: typer.Context, name: ValidNameArgument, as_json: JsonOption = False) -> None:
    """Show what a key is for; never the key itself. Of several of that name the valid one, else the last."""
    import msgspec

    from shareai_cli.cli.state import open_admin

    with open_admin(invocation(context).paths) as admin:
        key = _named(admin.list_keys(), name)
    if as_json:
        print_json(msgspec.structs.asdict(key))
        return
    print_table(
        ("KEY", key.name),
        [
            ("Shown as", key.shown),
            ("Team", key.team),
            ("May use", ", ".join(key.allowed) or "everything"),
            ("auto means", ", ".join(key.preferences) or "-"),
            ("Created", day(key.created_ms)),
            ("Rotated", day(key.rotated_ms)),
            ("Expires", day(key.expires_ms)),
            ("Former one valid until", day(key.former_until_ms)),
            ("Revoked", day(key.revoked_ms)),
        ],
    )


@command(app, "rotate", example="shareai key rotate laptop --overlap 1h")
def rotate(
    context: typer.Context,
    name: ValidNameArgument,
    overlap: Annotated[
        str,
        typer.Option("--overlap", metavar="TIME", help="How long the former one stays valid: 30m, 1h, 7d."),
    ] = "0s",
    as_json: JsonOption = False,
) -> None:
    """Give a key a new secret and print it: the only time that it is shown.

    Its name, its accounts and what it is for stay. The former secret is refused at once, or after --overlap;
    revoking the key ends both.
    """
    from shareai_cli.cli.state import open_admin
    from shareai_cli.config.amounts import parse_duration

    seconds = parse_duration(overlap)
    if seconds is None or seconds > LONGEST_OVERLAP:
        raise UsageError(
            f"--overlap: '{overlap[:40]}' is not how long a secret may stay valid.",
            hint="Write 30m, 1h or 7d; at most 366d.",
        )
    with open_admin(invocation(context).paths) as admin:
        made = admin.rotate_key(name, int(seconds * 1000))
    if as_json:
        _print_new(made)
        return
    print_line(made.key)
    note(
        "Keep it: it is stored hashed and cannot be shown again. The former one is "
        + (f"valid until {day(made.info.former_until_ms)}." if seconds else "no longer valid.")
    )


@command(app, "list", example="shareai key list")
def list_(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the keys, revoked ones too; never the keys themselves."""
    from shareai_cli.cli.state import open_admin

    with open_admin(invocation(context).paths) as admin:
        keys = admin.list_keys()
    if as_json:
        print_json({"keys": keys})
    elif not keys:
        note("No keys yet. shareai key create laptop")
    else:
        print_table(
            ("NAME", "TEAM", "KEY", "CREATED", "EXPIRES", "REVOKED"),
            [
                (
                    one.name,
                    one.team,
                    one.shown,
                    day(one.created_ms),
                    day(one.expires_ms),
                    day(one.revoked_ms),
                )
                for one in keys
            ],
        )


@command(app, "revoke", example="shareai key revoke laptop")
def revoke(
    context: typer.Context,
    name: ValidNameArgument,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a key invalid, at once and for good; its accounts stay. Asks first."""
    from shareai_cli.cli.state import open_admin

    run = invocation(context)
    if not yes:
        _ask_to_revoke(run, name)
    with open_admin(run.paths) as admin:
        revoked = admin.revoke_key(name)
    if as_json:
        print_json({"revoked": revoked})
    else:
        print_line(f"Key {revoked.name} ({revoked.shown}) is revoked.")


def _ask_to_revoke(run: Invocation, name: str) -> None:
    """Ask where there is such a key; of one that there is not the revoking itself tells."""
    from shareai_cli.cli.state import open_admin

    with open_admin(run.paths) as admin:  # and not while a person thinks: others wait for it
        found = [one for one in admin.list_keys() if one.name == name and one.revoked_ms is None]
    if found:
        agree(
            run,
            f"Revoke the key {name} ({found[0].shown})? Whoever uses it is refused from then on.",
            yes=False,
        )


def _named(keys: Sequence[KeyInfo], name: str) -> KeyInfo:
    """Return the key of that name; raises `UsageError`."""
    found = [one for one in keys if one.name == name]
    if not found:
        near = nearest(name, [one.name for one in keys])
        hint = f"Did you mean '{near}'?" if near else "'shareai key list' shows all keys."
        raise UsageError("There is no key of that name.", hint=hint)
    return next((one for one in found if one.revoked_ms is None), found[-1])


def _print_new(made: NewKey) -> None:
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
            "former_until_ms": info.former_until_ms,
        }
    )


def _argument(name: str) -> str:
    """Return a name as a shell and this command line take it."""
    return f"{'-- ' if name.startswith('-') else ''}{shlex.quote(name)}"
