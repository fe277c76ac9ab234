"""The admin interface in the process that owns the state folder, a gateway or a single command."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from shareai_cli.client import LAST_REQUEST, NewKey
from shareai_cli.errors import StateError, UsageError
from shareai_cli.ledger import Ledger, Replies, find, number_of, recent, row_under_way, usage_report
from shareai_cli.ledger.replies import no_such_cache
from shareai_cli.secrets import CLIENT_KEY_PREFIX, digest, new_client_key
from shareai_cli.types import (
    PLAIN_KEY,
    CacheUse,
    Grouping,
    KeyInfo,
    KeySettings,
    NodeInfo,
    NodeRegistration,
    RequestRow,
    UsageReport,
)

SHOWN = len(CLIENT_KEY_PREFIX) + 4
"""Characters of a key that lists show, so that a person can tell which one it is."""


class Administration:
    """`client.Admin` over an open ledger and the file of kept replies; its calls may wait for the disk."""

    def __init__(self, ledger: Ledger, replies: Replies) -> None:
        self._ledger = ledger
        self._replies = replies

    def __repr__(self) -> str:
        return f"<Administration of {self._ledger!r}>"

    def list_keys(self) -> Sequence[KeyInfo]:
        """Return every key that was ever made, the newest last."""
        return self._ledger.store.list_keys()

    def create_key(self, name: str, settings: KeySettings = PLAIN_KEY) -> NewKey:
        """Make a key and store its hash; `UsageError` where the name is taken or cannot be one."""
        key = new_client_key().reveal()
        return NewKey(key, self._ledger.store.create_key(name, _digest(key), settings, shown=_shown(key)))

    def rotate_key(self, name: str, overlap_ms: int) -> NewKey:
        """Give a key another secret, beside which the one of before is valid for a while."""
        key = new_client_key().reveal()
        info = self._ledger.store.rotate_key(name, _digest(key), overlap_ms=overlap_ms, shown=_shown(key))
        return NewKey(key, info)

    def revoke_key(self, name: str) -> KeyInfo:
        """Make a key invalid; `UsageError` where there is none of that name."""
        return self._ledger.store.revoke_key(name)

    def usage(self, by: Grouping | None, since_ms: int | None) -> UsageReport:
        """Report the accounts."""
        return usage_report(self._ledger.store, by=by, since_ms=since_ms)

    def request(self, request: str) -> RequestRow:
        """Return one request by its id, or the `last` one; `UsageError` where there is none such."""
        under_way = self._under_way(request)  # asked before the rows: what ends in between has one then
        ended = self._ended(request)
        found = [row for row in (ended, under_way) if row is not None]
        if not found:
            raise self._unknown_request(request)
        return max(found, key=lambda row: row.id)

    def list_nodes(self) -> Sequence[NodeInfo]:
        """Return the machines that were registered."""
        return self._ledger.store.list_nodes()

    def register_node(self, node: NodeRegistration) -> NodeInfo:
        """Record a machine, in place of what was known of it."""
        return self._ledger.store.register_node(node.name, node.facts, node.models)

    def cache_use(self) -> Sequence[CacheUse]:
        """Return what is in the file of kept replies, by route; raises `StateError`."""
        with self._kept_replies() as replies:
            stored = replies.stored()
        return [CacheUse(one.route, stored_replies=one.replies, stored_size=one.size) for one in stored]

    def clear_cache(self, route: str | None) -> Sequence[CacheUse]:
        """Delete what is in the file, or what is a route's; raises `UsageError` where there is none of it."""
        uses = self.cache_use()
        cleared = [one for one in uses if route in (None, one.route)]
        if route is not None and not cleared:
            raise no_such_cache(route, [one.route for one in uses])
        with self._kept_replies() as replies:
            replies.clear(route)
        return cleared

    @contextmanager
    def _kept_replies(self) -> Iterator[Replies]:
        try:
            yield self._replies
        except (sqlite3.Error, OSError) as error:
            raise StateError(
                f"The file of kept replies cannot be used: {error}.",
                hint="It may be deleted: what it holds can be asked for again.",
            ) from None
        finally:
            self._replies.close()

    def _ended(self, request: str) -> RequestRow | None:
        store = self._ledger.store
        return next(iter(recent(store, 1)), None) if request == LAST_REQUEST else find(store, request)

    def _under_way(self, request: str) -> RequestRow | None:
        wanted = None if request == LAST_REQUEST else number_of(request)
        entries = [one for one in self._ledger.under_way() if wanted in (None, one.request)]
        if not entries:
            return None
        names = {key.id: key.name for key in self._ledger.store.list_keys()}
        return row_under_way(entries[-1], names.get(entries[-1].caller_key, ""))

    def _unknown_request(self, request: str) -> UsageError:
        if request == LAST_REQUEST:
            return UsageError(
                "There are no requests in the accounts yet.", hint="Ask something first: shareai chat"
            )
        state = self._ledger.state()
        if state.waiting or state.unmoved_bytes:
            return UsageError(
                f"There is no request {request} in the accounts yet: some wait in the journal.",
                hint="Ask again in a moment; 'shareai status' says whether the disk takes them.",
            )
        return UsageError(
            f"There is no request {request} in the accounts.",
            hint="Those without a valid key are not kept. The latest one: shareai explain last",
        )


def _digest(key: str) -> bytes:
    return digest(key.encode("ascii"))


def _shown(key: str) -> str:
    return f"{key[:SHOWN]}..."
