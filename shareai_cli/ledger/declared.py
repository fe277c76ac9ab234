"""The limits that the database holds: those of teams and keys."""

from __future__ import annotations

import sqlite3
from typing import Final

from shareai_cli.config.limits import read_limits
from shareai_cli.ledger.key_settings import decode_limits
from shareai_cli.ledger.keys import descendant_ids
from shareai_cli.ledger.teams import list_teams
from shareai_cli.types import Limits, Subject

_KEYS: Final = "SELECT id, name, limits FROM keys WHERE revoked_ms IS NULL AND limits != '{}' ORDER BY id"


def declared_limits(connection: sqlite3.Connection) -> dict[Subject, Limits]:
    """Return the limits of teams, and of keys that are not revoked, where they have any.

    What a revoked key has used counts on for the keys that it was minted from.
    """
    limits = {
        Subject("team", team.name): read_limits(team.limits) for team in list_teams(connection) if team.limits
    }
    for number, name, written in connection.execute(_KEYS):
        minted = descendant_ids(connection, number)
        limits[Subject("key", name, (number, *minted))] = read_limits(decode_limits(written))
    return limits
