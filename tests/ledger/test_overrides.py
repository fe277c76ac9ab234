"""What a person orders of targets and nodes, as the accounts keep it."""

from __future__ import annotations

import json

from msgspec import UNSET

from shareai_cli.ledger import list_audit
from shareai_cli.ledger.overrides import read_overrides
from shareai_cli.overrides import (
    NO_OVERRIDES,
    NodeOrder,
    NodeOverride,
    Overrides,
    TargetOrder,
    TargetOverride,
)
from shareai_cli.paths import Paths
from shareai_cli.types import Actor
from tests.ledger.making import open_ledger, query

ALICE, BOB = Actor("alice", "command"), Actor("bob", "admin API")


def test_orders_are_kept_and_what_is_not_said_stays(paths: Paths) -> None:
    """Over a restart, with who ordered them last and when; the declared state leaves no row."""
    assert read_overrides(paths.database) == NO_OVERRIDES
    ledger = open_ledger(paths)
    store = ledger.store
    assert store.overrides() == NO_OVERRIDES
    first = store.override_target(TargetOrder("chat", "a/m", weight=5), by=ALICE)
    assert (first.state, first.weight, first.by) == ("serving", 5, "alice")
    second = store.override_target(TargetOrder("chat", "a/m", state="draining"), by=BOB)
    assert (second.state, second.weight, second.by) == ("draining", 5, "bob")
    assert second.since_ms >= first.since_ms > 0
    node = store.override_node(NodeOrder("node", "paused"), by=ALICE)
    ledger.close()

    kept = Overrides((second,), (node,))
    assert read_overrides(paths.database) == kept
    ledger = open_ledger(paths)
    assert ledger.store.overrides() == kept
    ledger.store.override_target(TargetOrder("chat", "a/m", state="serving", weight=None))
    assert ledger.store.override_node(NodeOrder("node", "serving")).state == "serving"
    assert ledger.store.overrides() == NO_OVERRIDES
    ledger.close()
    assert query(paths, "SELECT * FROM target_overrides") == []
    assert query(paths, "SELECT * FROM node_overrides") == []


def test_each_order_that_changes_something_is_in_the_audit(paths: Paths) -> None:
    """Who, of what, what was before and what after; an order of what is so already changes nothing."""
    ledger = open_ledger(paths)
    store = ledger.store
    store.override_target(TargetOrder("chat", "a/m", state="disabled"), by=ALICE)
    again = store.override_target(TargetOrder("chat", "a/m", state="disabled"), by=BOB)
    assert again.by == "alice"
    store.override_target(TargetOrder("chat", "a/m", weight=3), by=BOB)
    store.override_target(TargetOrder("chat", "a/m", state="draining"), by=BOB)
    store.override_target(TargetOrder("chat", "a/m", state="serving"), by=BOB)
    for state in ("paused", "paused", "draining", "serving"):
        store.override_node(NodeOrder("node", state), by=ALICE)
    assert store.override_target(TargetOrder("chat", "b/m", state="serving")) == TargetOverride("chat", "b/m")
    assert store.override_node(NodeOrder("node", "serving")) == NodeOverride("node")
    ledger.close()
    rows = list_audit(paths.database, 20)
    assert [(one.actor, one.action, one.subject) for one in rows] == [
        ("alice", "route.disable", "chat a/m"),
        ("bob", "route.reweight", "chat a/m"),
        ("bob", "route.drain", "chat a/m"),
        ("bob", "route.enable", "chat a/m"),
        ("alice", "node.pause", "node"),
        ("alice", "node.drain", "node"),
        ("alice", "node.resume", "node"),
    ]
    before, after = (json.loads(text or "") for text in (rows[2].before, rows[2].after))
    assert before == {"state": "disabled", "weight": 3}
    assert after == {"state": "draining", "weight": 3}
    assert (rows[5].before, rows[5].after) == ('{"state":"paused"}', '{"state":"draining"}')


def test_an_order_says_only_what_changes() -> None:
    """A weight of None is the declared one, and something else than none said."""
    assert TargetOrder("chat", "a/m").weight is UNSET
    assert TargetOrder("chat", "a/m", weight=None).weight is None
