"""The admin interface in the process that owns the state folder, a gateway or a single command."""

from __future__ import annotations

from collections.abc import Sequence

from shareai_cli.client import NewKey
from shareai_cli.ledger import Ledger, usage_report
from shareai_cli.secrets import CLIENT_KEY_PREFIX, digest, new_client_key
from shareai_cli.types import Grouping, KeyInfo, NodeInfo, NodeRegistration, UsageReport

SHOWN = len(CLIENT_KEY_PREFIX) + 4
"""Characters of a key that lists show, so that a person can tell which one it is."""


class Administration:
    """`client.Admin` over an open ledger; its calls may wait for the disk."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __repr__(self) -> str:
        return f"<Administration of {self._ledger!r}>"

    def list_keys(self) -> Sequence[KeyInfo]:
        """Return every key that was ever made, the newest last."""
        return self._ledger.store.list_keys()

    def create_key(self, name: str) -> NewKey:
        """Make a key and store its hash; `UsageError` where the name is taken or cannot be one."""
        secret = new_client_key()
        key = secret.reveal()
        info = self._ledger.store.create_key(name, digest(key.encode("ascii")), shown=f"{key[:SHOWN]}...")
        return NewKey(key, info)

    def revoke_key(self, name: str) -> KeyInfo:
        """Make a key invalid; `UsageError` where there is none of that name."""
        return self._ledger.store.revoke_key(name)

    def usage(self, by: Grouping | None, since_ms: int | None) -> UsageReport:
        """Report the accounts."""
        return usage_report(self._ledger.store, by=by, since_ms=since_ms)

    def list_nodes(self) -> Sequence[NodeInfo]:
        """Return the machines that were registered."""
        return self._ledger.store.list_nodes()

    def register_node(self, node: NodeRegistration) -> NodeInfo:
        """Record a machine, in place of what was known of it."""
        return self._ledger.store.register_node(node.name, node.facts, node.models)
