"""What was ordered of targets and nodes, as rows; every function works within a transaction of the caller's.

There is a row only where something is ordered otherwise than the configuration says.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from shareai_cli.ledger.audit import append
from shareai_cli.ledger.database import connect_reader, understood
from shareai_cli.overrides import (
    NO_OVERRIDES,
    NodeOrder,
    NodeOverride,
    NodeState,
    Overrides,
    TargetOrder,
    TargetOverride,
    TargetState,
)
from shareai_cli.types import Actor

_TARGET_ACTIONS: Final = {"serving": "enable", "disabled": "disable", "draining": "drain"}
_NODE_ACTIONS: Final = {"serving": "resume", "paused": "pause", "draining": "drain"}

_TARGET_COLUMNS: Final = "route, target, state, weight, actor, time_ms"

_TargetRow = tuple[str, str, TargetState, int | None, str, int]
_NodeRow = tuple[str, NodeState, str, int]


def read_overrides(path: Path) -> Overrides:
    """Return what a database holds that nobody need have open; nothing where there is none yet.

    Raises `LedgerUnavailable`.
    """
    if not path.exists():
        return NO_OVERRIDES
    with understood(path), closing(connect_reader(path)) as connection:
        known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'target_overrides'").fetchone()
        return list_overrides(connection) if known else NO_OVERRIDES


def list_overrides(connection: sqlite3.Connection) -> Overrides:
    """Return everything that is ordered, by name."""
    targets: list[_TargetRow] = connection.execute(
        f"SELECT {_TARGET_COLUMNS} FROM target_overrides ORDER BY route, target"  # noqa: S608 - constant
    ).fetchall()
    nodes: list[_NodeRow] = connection.execute(
        "SELECT node, state, actor, time_ms FROM node_overrides ORDER BY node"
    ).fetchall()
    return Overrides(
        tuple(TargetOverride(*row) for row in targets), tuple(NodeOverride(*row) for row in nodes)
    )


def override_target(
    connection: sqlite3.Connection, now_ms: int, by: Actor, order: TargetOrder
) -> TargetOverride:
    """Order something of a target, and return what holds of it from now on."""
    former = _find_target(connection, order.route, order.target)
    new = replace(
        former,
        state=former.state if order.state is UNSET else order.state,
        weight=former.weight if order.weight is UNSET else order.weight,
    )
    if new == former:
        return former
    new = replace(new, by=by.name, since_ms=now_ms)
    connection.execute(
        "DELETE FROM target_overrides WHERE route = ? AND target = ?", (order.route, order.target)
    )
    if new.state != "serving" or new.weight is not None:
        connection.execute(
            f"INSERT INTO target_overrides ({_TARGET_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
            (new.route, new.target, new.state, new.weight, new.by, new.since_ms),
        )
    action = "reweight" if new.state == former.state else _TARGET_ACTIONS[new.state]
    subject = f"{new.route} {new.target}"
    append(connection, now_ms, by, f"route.{action}", subject, before=_told(former), after=_told(new))
    return new


def override_node(connection: sqlite3.Connection, now_ms: int, by: Actor, order: NodeOrder) -> NodeOverride:
    """Order something of a machine, and return what holds of it from now on."""
    row: _NodeRow | None = connection.execute(
        "SELECT node, state, actor, time_ms FROM node_overrides WHERE node = ?", (order.node,)
    ).fetchone()
    former = NodeOverride(*row) if row else NodeOverride(order.node)
    if order.state == former.state:
        return former
    new = NodeOverride(order.node, order.state, by.name, now_ms)
    connection.execute("DELETE FROM node_overrides WHERE node = ?", (order.node,))
    if new.state != "serving":
        connection.execute(
            "INSERT INTO node_overrides (node, state, actor, time_ms) VALUES (?, ?, ?, ?)",
            (new.node, new.state, new.by, new.since_ms),
        )
    before, after = {"state": former.state}, {"state": new.state}
    action = f"node.{_NODE_ACTIONS[new.state]}"
    append(connection, now_ms, by, action, new.node, before=before, after=after)
    return new


def _find_target(connection: sqlite3.Connection, route: str, target: str) -> TargetOverride:
    row: _TargetRow | None = connection.execute(
        f"SELECT {_TARGET_COLUMNS} FROM target_overrides WHERE route = ? AND target = ?",  # noqa: S608
        (route, target),
    ).fetchone()
    return TargetOverride(*row) if row else TargetOverride(route, target)


def _told(one: TargetOverride) -> dict[str, object]:
    return {"state": one.state, "weight": one.weight}
