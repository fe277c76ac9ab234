"""`shareai key`: the keys that clients present."""

from __future__ import annotations

import shlex
import time
from typing import Annotated

import typer

from shareai_cli.cli.asking import YesOption, agree
from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import note, print_json, print_line, print_table
from shareai_cli.cli.invocation import Invocation, invocation

app = new_app("Create, list and revoke the keys of clients.", example="shareai key create laptop")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The key's name.")]


@command(app, "create", example="shareai key create laptop")
def create(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Make a key and print it: the only time that it is shown.

    A running gateway accepts it at once.
    """
    from shareai_cli.cli.state import open_admin

    with open_admin(invocation(context).paths) as admin:
        made = admin.create_key(name)
    if as_json:
        print_json({"key": made.key, "name": name, "team": made.info.team, "shown": made.info.shown})
        return
    print_line(made.key)
    note(
        "Keep it: it is stored hashed and cannot be shown again. "
        f"shareai key revoke {_argument(name)} makes it invalid."
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
            ("NAME", "TEAM", "KEY", "CREATED", "REVOKED"),
            [(one.name, one.team, one.shown, _day(one.created_ms), _day(one.revoked_ms)) for one in keys],
        )


@command(app, "revoke", example="shareai key revoke laptop")
def revoke(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The key's name.", autocompletion=known.keys)],
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


def _argument(name: str) -> str:
    """Return a name as a shell and this command line take it."""
    return f"{'-- ' if name.startswith('-') else ''}{shlex.quote(name)}"


def _day(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(milliseconds / 1000))
