"""`shareai key list` and `show`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from shareai_cli.cli.commands import JsonOption
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import note, print_json, print_table
from shareai_cli.cli.invocation import invocation
from shareai_cli.cli.limits_in_words import in_words
from shareai_cli.cli.times import day
from shareai_cli.errors import UsageError
from shareai_cli.nearest import nearest

if TYPE_CHECKING:
    from shareai_cli.types import KeyInfo

ValidNameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The key's name.", autocompletion=known.keys)
]

MOST_SHOWN = 20
"""Names of minted keys that are shown."""


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


def show(context: typer.Context, name: ValidNameArgument, as_json: JsonOption = False) -> None:
    """Show what a key is for; never the key itself. Of several of that name the valid one, else the last."""
    from shareai_cli.cli.state import open_admin

    with open_admin(invocation(context).paths) as admin:
        keys = admin.list_keys()
    print_key(_named(keys, name), keys, as_json=as_json)


def _named(keys: Sequence[KeyInfo], name: str) -> KeyInfo:
    """Return the key of that name; raises `UsageError`."""
    found = [one for one in keys if one.name == name]
    if not found:
        near = nearest(name, [one.name for one in keys])
        hint = f"Did you mean '{near}'?" if near else "'shareai key list' shows all keys."
        raise UsageError("There is no key of that name.", hint=hint)
    return next((one for one in found if one.revoked_ms is None), found[-1])


def print_key(key: KeyInfo, keys: Sequence[KeyInfo], *, as_json: bool) -> None:
    """Print what a key is for; `keys` are all that there are."""
    import msgspec

    names = {one.id: one.name for one in keys}
    minted = [one.name for one in minted_from(key, keys)]
    if as_json:
        parent = names.get(key.parent) if key.parent is not None else None
        print_json({**msgspec.structs.asdict(key), "parent_name": parent, "minted": minted})
        return
    rows = [
        ("Shown as", key.shown),
        ("Team", key.team),
        ("May use", ", ".join(key.allowed) or "everything"),
        ("auto means", ", ".join(key.preferences) or "-"),
        ("Prefers", {"own": "own machines", "cloud": "clouds"}.get(key.prefer or "", "-")),
        ("Limits", in_words(key.limits) or "-"),
        ("May mint keys", "yes" if key.may_mint else "no"),
        ("Created", day(key.created_ms)),
        ("Rotated", day(key.rotated_ms)),
        ("Expires", day(key.expires_ms)),
        ("Former one valid until", day(key.former_until_ms)),
        ("Revoked", day(key.revoked_ms)),
    ]
    if key.parent is not None:
        rows.insert(2, ("Minted from", names.get(key.parent, "-")))
    if minted:
        rows.append(("Minted from it", names_in_words(minted)))
    print_table(("KEY", key.name), rows)


def minted_from(key: KeyInfo, keys: Sequence[KeyInfo]) -> list[KeyInfo]:
    """Return the valid keys that were minted from one, and from those."""
    above = {key.id}
    found: list[KeyInfo] = []
    for one in keys:  # each is there behind the one that it was minted from
        if one.parent in above:
            above.add(one.id)
            found += [one] if one.revoked_ms is None else []
    return found


def names_in_words(names: Sequence[str]) -> str:
    """Return names in one line, as many as a person reads."""
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return ", ".join(names[:MOST_SHOWN]) + more
