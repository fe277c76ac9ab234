"""The limits that the database holds: those of teams and keys."""

from __future__ import annotations

import sqlite3

from shareai_cli.config.limits import read_limits
from shareai_cli.ledger.keys import descendant_ids, list_keys
from shareai_cli.ledger.teams import list_teams
from shareai_cli.types import Limits, Subject


def declared_limits(connection: sqlite3.Connection) -> dict[Subject, Limits]:
    """Return the limits of teams, and of keys that are not revoked, where they have any.

    What a revoked key has used counts on for the keys that it was minted from.
    """
    limits = {
        Subject("team", team.name): read_limits(team.limits) for team in list_teams(connection) if team.limits
    }
    for key in list_keys(connection):
        if key.limits and key.revoked_ms is None:
            minted = descendant_ids(connection, key.id)
            limits[Subject("key", key.name, (key.id, *minted))] = read_limits(key.limits)
    return limits
