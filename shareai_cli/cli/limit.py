"""`shareai limit`: how much the organization, teams, keys, routes and targets may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from shareai_cli.cli.asking import YesOption, agree
from shareai_cli.cli.commands import JsonOption, command, new_app
from shareai_cli.cli.completion import known
from shareai_cli.cli.console import note, print_json, print_line, print_table
from shareai_cli.cli.invocation import Invocation, invocation
from shareai_cli.cli.limits_in_words import in_words
from shareai_cli.errors import UsageError

if TYPE_CHECKING:
    from shareai_cli.types import LimitChanges, Subject, WrittenLimits

app = new_app(
    "Set, list and remove limits of requests, tokens and money.",
    example="shareai limit set team/dev requests_per_minute=60 'budget_per_month=50 USD'",
)

SubjectArgument = Annotated[
    str,
    typer.Argument(
        metavar="SUBJECT",
        help="organization, team/dev, key/ci, route/chat or target/openai/gpt-5-mini.",
        autocompletion=known.subjects,
    ),
]


@command(app, "set", example="shareai limit set team/dev requests_per_minute=60 'budget_per_month=50 USD'")
def set_(
    context: typer.Context,
    subject: SubjectArgument,
    limits: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=VALUE...", help="The limits to set.", autocompletion=known.limit_assignments
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Set limits; those that are not named stay. A running gateway goes by them at once.

    requests_per_second, _minute, _hour, _day and tokens_per_... hold within any stretch of that length,
    concurrent_requests at any moment. budget_per_day, _week, _month (of UTC) and budget_total are amounts
    such as 50USD; a request that could go beyond is refused. soft_budget_... only warns.

    Limits of the organization, routes and targets are written into the configuration file, those of teams
    and keys into the database.
    """
    from shareai_cli.config.limits import parse_assignments, parse_subject

    whose = parse_subject(subject)
    _print(whose, _change(invocation(context), whose, parse_assignments(limits)), as_json=as_json)


@command(app, "list", example="shareai limit list")
def list_(
    context: typer.Context,
    subject: Annotated[
        str | None,
        typer.Argument(metavar="[SUBJECT]", help="Only this one's.", autocompletion=known.subjects),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the limits. How much of each is used: shareai status."""
    from shareai_cli.config.limits import parse_subject

    run = invocation(context)
    if subject is not None:
        whose = parse_subject(subject)
        found = {whose.label: _limits(run, whose)}
    else:
        found = _all_limits(run)
    if as_json:
        print_json({"limits": [{"subject": label, "limits": limits} for label, limits in found.items()]})
    elif not any(found.values()):
        note("No limits. shareai limit set organization 'budget_per_month=50 USD'")
    else:
        print_table(
            ("SUBJECT", "LIMIT", "VALUE"),
            [(label, name, value) for label, limits in found.items() for name, value in limits.items()],
        )


@command(app, "remove", example="shareai limit remove team/dev requests_per_minute")
def remove(
    context: typer.Context,
    subject: SubjectArgument,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", help="Else: all.", autocompletion=known.limit_names),
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take limits away. Asks first where no NAME says which."""
    from shareai_cli.config.limits import parse_subject

    run, whose = invocation(context), parse_subject(subject)
    if not names:
        names = list(_limits(run, whose))
        if not names:
            raise UsageError(f"{whose.label} has no limits.", hint="shareai limit list")
        agree(run, f"Remove all limits of {whose.label}: {', '.join(names)}?", yes=yes)
    _print(whose, _change(run, whose, dict.fromkeys(names)), as_json=as_json)


def _change(run: Invocation, subject: Subject, changes: LimitChanges) -> WrittenLimits:
    """Change the limits where the subject lives, and return all that it has then; raises `UsageError`."""
    from shareai_cli.cli.state import open_admin
    from shareai_cli.config.limits import write_limits
    from shareai_cli.types import NO_LIMITS, KeyChanges

    if subject.scope == "team":
        with open_admin(run.paths) as admin:
            return admin.change_team(subject.name, changes).limits
    if subject.scope == "key":
        with open_admin(run.paths) as admin:
            return admin.change_key(subject.name, KeyChanges(limits=changes)).limits
    settings = run.editor().set_limits(subject, changes)
    return write_limits(settings.limits.get(subject, NO_LIMITS))


def _limits(run: Invocation, subject: Subject) -> WrittenLimits:
    """Return a subject's limits; raises `UsageError` where there is none of its name."""
    if subject.scope in ("team", "key"):
        return _change(run, subject, {})
    from shareai_cli.config.limits import write_limits
    from shareai_cli.types import NO_LIMITS

    return write_limits(run.settings().limits.get(subject, NO_LIMITS))


def _all_limits(run: Invocation) -> dict[str, WrittenLimits]:
    from shareai_cli.cli.state import open_admin
    from shareai_cli.config.limits import write_limits

    found = {subject.label: write_limits(limits) for subject, limits in run.settings().limits.items()}
    with open_admin(run.paths) as admin:
        found |= {f"team/{team.name}": team.limits for team in admin.list_teams() if team.limits}
        keys = [key for key in admin.list_keys() if key.revoked_ms is None and key.limits]
    return found | {f"key/{key.name}": key.limits for key in keys}


def _print(subject: Subject, limits: WrittenLimits, *, as_json: bool) -> None:
    if as_json:
        print_json({"subject": subject.label, "limits": limits})
    else:
        print_line(f"{subject.label}: {in_words(limits) or 'no limits'}.")
