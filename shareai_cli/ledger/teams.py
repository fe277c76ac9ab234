"""Teams, as rows of the database; every function works within a transaction of the caller's."""

from __future__ import annotations

import sqlite3
from typing import Final

from shareai_cli.config.limits import changed_limits
from shareai_cli.config.reading import shown
from shareai_cli.errors import UsageError
from shareai_cli.ledger.audit import append
from shareai_cli.ledger.key_settings import check_name, decode_limits, encode_limits
from shareai_cli.nearest import nearest
from shareai_cli.types import DEFAULT_TEAM, Actor, LimitChanges, TeamInfo, WrittenLimits

_COLUMNS: Final = (
    "id, name, created_ms, removed_ms, limits, "
    "(SELECT count(*) FROM keys WHERE keys.team = teams.name AND keys.revoked_ms IS NULL)"
)
_Row = tuple[int, str, int, int | None, str, int]


def list_teams(connection: sqlite3.Connection) -> list[TeamInfo]:
    """Return the teams that there are, in the order in which they were made."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM teams WHERE removed_ms IS NULL ORDER BY id")  # noqa: S608
    return [_team(row) for row in rows]


def find_team(connection: sqlite3.Connection, name: str) -> TeamInfo:
    """Return a team; raises `UsageError` where there is none of that name."""
    query = f"SELECT {_COLUMNS} FROM teams WHERE name = ? AND removed_ms IS NULL"  # noqa: S608 - constant
    row = connection.execute(query, (name,)).fetchone()
    if row is None:
        near = nearest(name, [team.name for team in list_teams(connection)])
        hint = f"Did you mean '{near}'?" if near else "shareai team create NAME makes one."
        raise UsageError(f"There is no team named {shown(name)}.", hint=hint)
    return _team(row)


def create_team(
    connection: sqlite3.Connection, now_ms: int, by: Actor, name: str, limits: WrittenLimits
) -> TeamInfo:
    """Make a team; raises `UsageError` where there is one of that name, or a limit cannot be."""
    check_name(name, "team")
    written = encode_limits(limits)
    made = connection.execute(
        "INSERT INTO teams (name, limits, created_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (name, written, now_ms),
    )
    if not made.rowcount:
        raise UsageError(f"There is a team named '{name}' already.", hint="shareai team list")
    team = find_team(connection, name)
    append(connection, now_ms, by, "team.create", name, after=team)
    return team


def change_team(
    connection: sqlite3.Connection, now_ms: int, by: Actor, name: str, limits: LimitChanges
) -> TeamInfo:
    """Set limits of a team, and take those away that are None; may raise `UsageError`."""
    former = find_team(connection, name)
    written = encode_limits(changed_limits(former.limits, limits))
    connection.execute("UPDATE teams SET limits = ? WHERE id = ?", (written, former.id))
    team = find_team(connection, name)
    if team != former:
        append(connection, now_ms, by, "team.change", name, before=former, after=team)
    return team


def remove_team(connection: sqlite3.Connection, now_ms: int, by: Actor, name: str) -> TeamInfo:
    """Remove a team to which no valid key belongs; raises `UsageError`. Its accounts stay."""
    former = find_team(connection, name)
    if name == DEFAULT_TEAM:
        raise UsageError(
            f"The team '{name}' always exists: keys that name no other team belong to it.",
            hint=f"Its limits can go: shareai limit remove team/{name}",
        )
    if former.keys:
        query = "SELECT name FROM keys WHERE team = ? AND revoked_ms IS NULL ORDER BY id LIMIT 5"
        keys = [row[0] for row in connection.execute(query, (name,))]
        more = f" and {former.keys - len(keys)} more" if former.keys > len(keys) else ""
        raise UsageError(
            f"The team '{name}' has keys: {', '.join(keys)}{more}.",
            hint=f"Revoke them first: shareai key revoke {keys[0]}",
        )
    connection.execute("UPDATE teams SET removed_ms = ? WHERE id = ?", (now_ms, former.id))
    append(connection, now_ms, by, "team.remove", name, before=former)
    return _removed(former, now_ms)


def _removed(team: TeamInfo, now_ms: int) -> TeamInfo:
    return TeamInfo(team.id, team.name, team.created_ms, now_ms, team.limits)


def _team(row: _Row) -> TeamInfo:
    number, name, created_ms, removed_ms, limits, keys = row
    return TeamInfo(number, name, created_ms, removed_ms, decode_limits(limits), keys)
