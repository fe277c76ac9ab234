"""`shareai team`: teams, to which keys belong; limits can stand on them, and kept replies stay in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from shareai_cli.cli.asking import YesOption, agree
from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import print_json, print_line, print_table
from shareai_cli.cli.invocation import invocation
from shareai_cli.cli.limits_in_words import LimitOption, in_words
from shareai_cli.cli.times import day

if TYPE_CHECKING:
    from shareai_cli.client import Admin
    from shareai_cli.types import TeamInfo

app = new_app("Create, list, show and remove teams, to which keys belong.", example="shareai team create dev")

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The team's name.", autocompletion=known.teams)
]


@command(app, "create", example="shareai team create dev --limit 'budget_per_month=50 USD'")
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The team's name.")],
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a team. Keys are made in it with: shareai key create NAME --team TEAM."""
    from shareai_cli.cli.state import open_admin
    from shareai_cli.config.limits import parse_assignments

    limits = parse_assignments(limit or ())
    with open_admin(invocation(context).paths) as admin:
        made = admin.create_team(name, limits)
    if as_json:
        print_json({"team": _described(made)})
    else:
        print_line(f"Team {made.name} is made" + (f": {in_words(made.limits)}." if made.limits else "."))


@command(app, "list", example="shareai team list")
def list_(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the teams; `default` is there always. What each used: shareai usage --by team."""
    from shareai_cli.cli.state import open_admin

    with open_admin(invocation(context).paths) as admin:
        teams = admin.list_teams()
    if as_json:
        print_json({"teams": [_described(one) for one in teams]})
    else:
        print_table(
            ("NAME", "KEYS", "CREATED", "LIMITS"),
            [(one.name, one.keys, day(one.created_ms), in_words(one.limits) or "-") for one in teams],
        )


@command(app, "show", example="shareai team show dev")
def show(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Show a team's valid keys and its limits."""
    from shareai_cli.cli.state import open_admin

    with open_admin(invocation(context).paths) as admin:
        team = _named(admin, name)
        keys = [one.name for one in admin.list_keys() if one.team == name and one.revoked_ms is None]
    if as_json:
        print_json({"team": {**_described(team), "key_names": keys}})
        return
    print_table(
        ("TEAM", team.name),
        [
            ("Keys", ", ".join(keys) or "-"),
            ("Limits", in_words(team.limits) or "-"),
            ("Created", day(team.created_ms)),
        ],
    )


@command(app, "remove", example="shareai team remove dev")
def remove(
    context: typer.Context, name: NameArgument, yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Remove a team to which no valid key belongs; its accounts stay. Asks first."""
    from shareai_cli.cli.state import open_admin

    run = invocation(context)
    with open_admin(run.paths) as admin:  # and not while a person thinks: others wait for it
        found = _named(admin, name)
    if not found.keys:  # of one that has keys the removing itself tells
        agree(run, f"Remove the team {name}?", yes=yes)
    with open_admin(run.paths) as admin:
        removed = admin.remove_team(name)
    if as_json:
        print_json({"removed": _described(removed)})
    else:
        print_line(f"Team {removed.name} is removed.")


def _named(admin: Admin, name: str) -> TeamInfo:
    """Return the team of that name; raises `UsageError` as a change of it does."""
    found = next((one for one in admin.list_teams() if one.name == name), None)
    return found if found is not None else admin.change_team(name, {})


def _described(team: TeamInfo) -> dict[str, Any]:
    import msgspec

    return msgspec.structs.asdict(team)
