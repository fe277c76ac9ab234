"""The admin interface in the process that owns the state folder, a gateway or a single command."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from shareai_cli.client import LAST_REQUEST, NewKey
from shareai_cli.drill_types import DrillRecord
from shareai_cli.errors import StateError, UsageError
from shareai_cli.ledger import (
    Ledger,
    Replies,
    budget_use,
    dearest_prompts,
    drill_report,
    find,
    keep_drill,
    list_audit,
    list_drills,
    number_of,
    parse_drill_id,
    recent,
    row_under_way,
    usage_report,
    usage_series,
    verify_audit,
)
from shareai_cli.ledger.drill_changes import Entry, compare
from shareai_cli.ledger.drills import MOST as MOST_DRILLS
from shareai_cli.ledger.replies import no_such_cache
from shareai_cli.overrides import NodeOrder, NodeOverride, Overrides, TargetOrder, TargetOverride
from shareai_cli.secrets import Secret, digest, new_client_key, shown_key
from shareai_cli.types import (
    GATEWAY,
    PLAIN_KEY,
    Actor,
    AuditRow,
    AuditVerdict,
    BudgetUse,
    CacheUse,
    Grouping,
    KeyChanges,
    KeyInfo,
    KeySettings,
    LimitChanges,
    Limits,
    NodeInfo,
    NodeRegistration,
    PromptUse,
    RequestRow,
    SlotLength,
    Subject,
    TeamInfo,
    UsageReport,
    UsageSeries,
    WallClock,
    WrittenLimits,
)

DeclaredLimits = Callable[[], Mapping[Subject, Limits]]
"""Returns the limits of the configuration; may raise `ConfigurationError`."""


class Administration:
    """`client.Admin` over an open ledger and the file of kept replies; its calls may wait for the disk.

    Changes are made in the name of `by`; `declared` tells the limits that stand in the configuration.
    """

    def __init__(
        self,
        ledger: Ledger,
        replies: Replies,
        by: Actor = GATEWAY,
        declared: DeclaredLimits = dict,
        wall_clock: WallClock = time.time,
    ) -> None:
        self._ledger = ledger
        self._replies = replies
        self._by = by
        self._declared = declared
        self._wall_clock = wall_clock

    def __repr__(self) -> str:
        return f"<Administration of {self._ledger!r}>"

    def on_behalf_of(self, actor: Actor) -> Administration:
        """Return the same in another one's name."""
        return Administration(self._ledger, self._replies, actor, self._declared, self._wall_clock)

    def list_keys(self) -> Sequence[KeyInfo]:
        """Return every key that was ever made, the newest last."""
        return self._ledger.store.list_keys()

    def create_key(self, name: str, settings: KeySettings = PLAIN_KEY) -> NewKey:
        """Make a key and store its hash; `UsageError` where the name is taken or cannot be one."""
        key = new_client_key()
        create = self._ledger.store.create_key
        return NewKey(key.reveal(), create(name, _digest(key), settings, shown=shown_key(key), by=self._by))

    def rotate_key(self, name: str, overlap_ms: int) -> NewKey:
        """Give a key another secret, beside which the one of before is valid for a while."""
        key = new_client_key()
        rotate = self._ledger.store.rotate_key
        rotated = rotate(name, _digest(key), overlap_ms=overlap_ms, shown=shown_key(key), by=self._by)
        return NewKey(key.reveal(), rotated)

    def change_key(self, name: str, changes: KeyChanges) -> KeyInfo:
        """Change what a key is for; may raise `UsageError`."""
        return self._ledger.store.change_key(name, changes, by=self._by)

    def revoke_key(self, name: str) -> KeyInfo:
        """Make a key, and those minted from it, invalid; `UsageError` where there is none of that name."""
        return self._ledger.store.revoke_key(name, by=self._by)

    def list_teams(self) -> Sequence[TeamInfo]:
        """Return the teams that there are, the newest last."""
        return self._ledger.store.list_teams()

    def create_team(self, name: str, limits: WrittenLimits) -> TeamInfo:
        """Make a team; may raise `UsageError`."""
        return self._ledger.store.create_team(name, limits, by=self._by)

    def change_team(self, name: str, limits: LimitChanges) -> TeamInfo:
        """Set limits of a team, and take those away that are None; may raise `UsageError`."""
        return self._ledger.store.change_team(name, limits, by=self._by)

    def remove_team(self, name: str) -> TeamInfo:
        """Remove a team without valid keys; may raise `UsageError`."""
        return self._ledger.store.remove_team(name, by=self._by)

    def usage(self, by: Grouping | None, since_ms: int | None) -> UsageReport:
        """Report the accounts."""
        return usage_report(self._ledger.store, by=by, since_ms=since_ms)

    def usage_series(
        self, by: Grouping | None, slot: SlotLength, since_ms: int, until_ms: int
    ) -> UsageSeries:
        """Report the accounts over time; `UsageError` for too many slots."""
        return usage_series(self._ledger.store, by=by, slot=slot, since_ms=since_ms, until_ms=until_ms)

    def dearest_prompts(self, since_ms: int | None, limit: int) -> Sequence[PromptUse]:
        """Return the prompts on which most was spent, the dearest first."""
        return dearest_prompts(self._ledger.store, since_ms=since_ms, limit=limit)

    def budgets(self) -> Sequence[BudgetUse]:
        """Return every budget, the one that is used up the soonest first; may raise `ConfigurationError`."""
        limits = {**self._declared(), **self._ledger.store.limits()}
        return budget_use(self._ledger.store.path, limits, int(self._wall_clock() * 1000))

    def request(self, request: str) -> RequestRow:
        """Return one request by its id, or the `last` one; `UsageError` where there is none such."""
        under_way = self._under_way(request)  # asked before the rows: what ends in between has one then
        ended = self._ended(request)
        found = [row for row in (ended, under_way) if row is not None]
        if not found:
            raise self._unknown_request(request)
        return max(found, key=lambda row: row.id)

    def drill_begun(self, drill: str) -> None:
        """Add to the audit that somebody has faults injected into requests of a drill."""
        self._ledger.store.record(self._by, "drill.begin", drill)

    def drill_usage(self, drill: str) -> UsageReport:
        """Report the requests of a drill, by target; raises `UsageError` where the text is no drill's id."""
        number = parse_drill_id(drill)
        if number is None:
            raise UsageError(
                "That is no drill's id.", hint="shareai drill history lists those that were run."
            )
        return drill_report(self._ledger.store, number)

    def drill_history(self, limit: int) -> Sequence[DrillRecord]:
        """Return the latest drills, the newest first."""
        return list_drills(self._ledger.store, limit)

    def keep_drill(self, record: DrillRecord) -> Entry:
        """Keep what a drill found, and return it with what it found otherwise than those before."""
        keep_drill(self._ledger.store, record)
        return compare(list_drills(self._ledger.store, MOST_DRILLS))[0]

    def recent(self, limit: int) -> Sequence[RequestRow]:
        """Return the latest requests that have ended, the newest first."""
        return recent(self._ledger.store, limit)

    def list_nodes(self) -> Sequence[NodeInfo]:
        """Return the machines that were registered."""
        return self._ledger.store.list_nodes()

    def register_node(self, node: NodeRegistration) -> NodeInfo:
        """Record a machine, in place of what was known of it."""
        return self._ledger.store.register_node(node.name, node.facts, node.models, by=self._by)

    def overrides(self) -> Overrides:
        """Return what is ordered of targets and nodes otherwise than the configuration says."""
        return self._ledger.store.overrides()

    def override_target(self, order: TargetOrder) -> TargetOverride:
        """Order something of a target of a route, whichever there are; return what holds from now on."""
        return self._ledger.store.override_target(order, by=self._by)

    def override_node(self, order: NodeOrder) -> NodeOverride:
        """Order something of a machine, whichever there are; return what holds from now on."""
        return self._ledger.store.override_node(order, by=self._by)

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
        self.cache_cleared(route, cleared)
        return cleared

    def cache_cleared(self, route: str | None, cleared: Sequence[CacheUse]) -> None:
        """Add to the audit that replies were forgotten."""
        self._ledger.store.record(self._by, "cache.clear", route or "every route", before=cleared)

    def audit(self, limit: int, since_ms: int | None = None, after: int | None = None) -> Sequence[AuditRow]:
        """Return the latest changes, the newest last; with `after`, the first ones behind that id."""
        return list_audit(self._ledger.store.path, limit, since_ms, after)

    def verify_audit(self) -> AuditVerdict:
        """Tell whether the audit is as it was written."""
        return verify_audit(self._ledger.store.path)

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
        entries = [
            one
            for one in self._ledger.under_way()
            if one.request == wanted or (wanted is None and not one.drill)
        ]
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


def _digest(key: Secret) -> bytes:
    return digest(key.reveal().encode("ascii"))
