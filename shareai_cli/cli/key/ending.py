"""`shareai key rotate` and `revoke`."""

from __future__ import annotations

from typing import Annotated

import typer

from shareai_cli.cli.asking import YesOption, agree
from shareai_cli.cli.commands import JsonOption
from shareai_cli.cli.console import note, print_json, print_line
from shareai_cli.cli.invocation import Invocation, invocation
from shareai_cli.cli.key.creating import print_new
from shareai_cli.cli.key.showing import ValidNameArgument, minted_from, names_in_words
from shareai_cli.cli.times import day
from shareai_cli.errors import UsageError

LONGEST_OVERLAP = 366 * 86_400.0
"""Seconds for which a key's former secret may stay valid."""


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
        print_new(made)
        return
    print_line(made.key)
    note(
        "Keep it: it is stored hashed and cannot be shown again. The former one is "
        + (f"valid until {day(made.info.former_until_ms)}." if seconds else "no longer valid.")
    )


def revoke(
    context: typer.Context,
    name: ValidNameArgument,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a key, and those minted from it, invalid, at once and for good; accounts stay. Asks first."""
    from shareai_cli.cli.state import open_admin

    run = invocation(context)
    if not yes:
        _ask_to_revoke(run, name)
    with open_admin(run.paths) as admin:
        keys = admin.list_keys()
        revoked = admin.revoke_key(name)
    minted = [one.name for one in minted_from(revoked, keys)]
    if as_json:
        print_json({"revoked": revoked, "minted": minted})
    else:
        also = f", and with it: {names_in_words(minted)}" if minted else ""
        print_line(f"Key {revoked.name} ({revoked.shown}) is revoked{also}.")


def _ask_to_revoke(run: Invocation, name: str) -> None:
    """Ask where there is such a key; of one that there is not the revoking itself tells."""
    from shareai_cli.cli.state import open_admin

    with open_admin(run.paths) as admin:  # and not while a person thinks: others wait for it
        keys = admin.list_keys()
    found = next((one for one in keys if one.name == name and one.revoked_ms is None), None)
    if found is not None:
        minted = [one.name for one in minted_from(found, keys)]
        also = f" and those minted from it, {names_in_words(minted)}" if minted else ""
        agree(
            run,
            f"Revoke the key {name} ({found.shown}){also}? Whoever uses it is refused from then on.",
            yes=False,
        )
