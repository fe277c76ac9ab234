"""The admin interface as the shells know it, and its form over HTTP to a running gateway.

Two things implement `Admin`: `HttpAdmin` here, and the process that owns the state folder itself. What only a
running gateway can tell is in `GatewayAdmin`.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct

from shareai_cli.drill_types import (
    DrillRecord,
    DrillSubjects,
    DrillWanted,
    Fault,
    FaultsWanted,
    Scenario,
    ScenarioWanted,
)
from shareai_cli.errors import (
    AuthenticationFailed,
    ConfigurationError,
    GatewayUnreachable,
    LedgerUnavailable,
    Overloaded,
    ShareAIError,
    UnknownModel,
    UsageError,
)
from shareai_cli.overrides import (
    NO_OVERRIDES,
    NodeOrder,
    NodeOverride,
    Overrides,
    TargetOrder,
    TargetOverride,
)
from shareai_cli.paths import Paths
from shareai_cli.secrets import Secret
from shareai_cli.types import (
    PLAIN_KEY,
    AuditRow,
    AuditVerdict,
    BudgetUse,
    CacheUse,
    Grouping,
    KeyChanges,
    KeyInfo,
    KeySettings,
    LimitChanges,
    LimitUse,
    ModelListing,
    NodeInfo,
    NodeRegistration,
    PromptUse,
    RequestRow,
    RouteExplanation,
    SlotLength,
    TeamInfo,
    UsageReport,
    UsageSeries,
    WrittenLimits,
)

PREFIX: Final = "/admin/v1"
ROTATION: Final = "/rotation"
"""Below a key's path: where another secret is made for it."""

DRILLS: Final = "/drills"
OVERRIDES: Final = "/overrides"

ACTOR_HEADER: Final = "X-ShareAI-Actor"
"""Who asks, percent-encoded: a word of whoever has the token, kept in the audit and giving no rights."""

LAST_REQUEST: Final = "last"
"""Stands for the id of the newest request."""

SECONDS: Final = 30.0
"""How long the gateway may take to answer; a report over millions of rows takes a second."""


class NewKey(Struct, frozen=True):
    """A key that was just made: the only time that it can be seen."""

    key: str
    info: KeyInfo

    def __repr__(self) -> str:
        return f"NewKey(key=********, info={self.info!r})"


class Trouble(Struct, frozen=True):
    """A target, or a provider's key, that is left alone or being watched just now."""

    target: str
    """`provider/model`, or the provider alone where its key is put aside for all models."""
    key: str
    """Fingerprint of the key; empty where the target itself is meant."""
    state: str
    seconds: float
    """Until the state is over; 0 where no time is known."""
    reason: str


class LocalProcess(Struct, frozen=True):
    """One model of this machine's, as its node agent tells."""

    id: str
    state: str
    pid: int | None = None
    problem: str | None = None


class Status(Struct, frozen=True):
    """What a running gateway says of itself."""

    version: str
    pid: int
    base_url: str
    uptime_seconds: float
    requests: int
    """Since its start, refused ones included."""
    in_flight: int
    connections: int
    refused_keys: int
    """Requests without a valid key, which have no rows in the accounts."""
    config_file: str
    config_problem: str | None
    """Why the configuration file as it stands is not in force."""
    providers: tuple[str, ...]
    routes: tuple[str, ...]
    local_models: tuple[LocalProcess, ...]
    node_problem: str | None
    troubles: tuple[Trouble, ...]
    ledger_problem: str | None
    ledger_waiting: int
    """Entries that wait in memory because the disk refuses them."""
    limits: tuple[LimitUse, ...] = ()
    """How much of each limit is used."""
    webhook_problem: str | None = None
    """Why the webhook was not told of the latest event, or that events were dropped."""
    overrides: Overrides = NO_OVERRIDES
    """What a person has ordered otherwise than the configuration says."""


class Admin(Protocol):
    """What the commands ask for, whether a gateway runs or not. Raises `ShareAIError`."""

    def list_keys(self) -> Sequence[KeyInfo]:
        """Return every key that was ever made, the newest last."""

    def create_key(self, name: str, settings: KeySettings = PLAIN_KEY) -> NewKey:
        """Make a key; `UsageError` where the name is taken or cannot be one."""

    def rotate_key(self, name: str, overlap_ms: int) -> NewKey:
        """Give a key another secret; the one of before is valid for that long; may raise `UsageError`."""

    def change_key(self, name: str, changes: KeyChanges) -> KeyInfo:
        """Change what a key is for; may raise `UsageError`."""

    def revoke_key(self, name: str) -> KeyInfo:
        """Make a key, and those minted from it, invalid at once; `UsageError` where there is none such."""

    def list_teams(self) -> Sequence[TeamInfo]:
        """Return the teams that there are, the newest last."""

    def create_team(self, name: str, limits: WrittenLimits) -> TeamInfo:
        """Make a team; `UsageError` where the name is taken or cannot be one, or a limit cannot be."""

    def change_team(self, name: str, limits: LimitChanges) -> TeamInfo:
        """Set limits of a team, and take those away that are None; may raise `UsageError`."""

    def remove_team(self, name: str) -> TeamInfo:
        """Remove a team without valid keys; may raise `UsageError`."""

    def usage(self, by: Grouping | None, since_ms: int | None) -> UsageReport:
        """Report the accounts, in all and grouped."""

    def usage_series(
        self, by: Grouping | None, slot: SlotLength, since_ms: int, until_ms: int
    ) -> UsageSeries:
        """Report the accounts over time, hour by hour or day by day; `UsageError` for too many of them."""

    def dearest_prompts(self, since_ms: int | None, limit: int) -> Sequence[PromptUse]:
        """Return the prompts on which most was spent, the dearest first; reads every row of the time."""

    def budgets(self) -> Sequence[BudgetUse]:
        """Return every budget, the one that is used up the soonest first."""

    def request(self, request: str) -> RequestRow:
        """Return one request by its id or `LAST_REQUEST`; `UsageError` where there is none such."""

    def recent(self, limit: int) -> Sequence[RequestRow]:
        """Return the latest requests that have ended, the newest first."""

    def list_nodes(self) -> Sequence[NodeInfo]:
        """Return the machines that were registered."""

    def register_node(self, node: NodeRegistration) -> NodeInfo:
        """Record a machine, in place of what was known of it."""

    def overrides(self) -> Overrides:
        """Return what is ordered of targets and nodes otherwise than the configuration says."""

    def override_target(self, order: TargetOrder) -> TargetOverride:
        """Order something of a target of a route; a running gateway goes by it at once.

        Returns what holds from now on. A gateway raises `UsageError` where it has no such target; without one
        that is for the caller to see.
        """

    def override_node(self, order: NodeOrder) -> NodeOverride:
        """Order something of a machine that serves models; as `override_target`."""

    def cache_use(self) -> Sequence[CacheUse]:
        """Return what is kept of replies, by route; without a gateway, what is in the file."""

    def clear_cache(self, route: str | None) -> Sequence[CacheUse]:
        """Forget every reply, or those of a route, and return what there was; may raise `UsageError`."""

    def drill_history(self, limit: int) -> Sequence[DrillRecord]:
        """Return the latest drills, the newest first."""

    def audit(self, limit: int, since_ms: int | None = None, after: int | None = None) -> Sequence[AuditRow]:
        """Return the latest changes, the newest last; with `after`, the first ones behind that id."""

    def verify_audit(self) -> AuditVerdict:
        """Tell whether the audit is as it was written."""


class GatewayAdmin(Admin, Protocol):
    """What only a running gateway can tell."""

    def status(self) -> Status:
        """Return what the gateway does, and how its targets stand."""

    def reload(self) -> str | None:
        """Have the configuration file read now; returns why it is not in force, None where it is."""

    def explain_route(self, body: bytes) -> RouteExplanation:
        """Tell what would become of a chat completion's request, which is not sent on."""

    def list_models(self) -> ModelListing:
        """Return everything that can be asked for; may wait for providers, which have some seconds."""


class DrillAdmin(GatewayAdmin, Protocol):
    """What a drill asks of a running gateway."""

    def drill_subjects(self, further: Sequence[str] = ()) -> DrillSubjects:
        """Return the routes and targets that can be drilled, and further targets; `UsageError`."""

    def begin_drill(self, part_of: str | None = None) -> str:
        """Begin a drill, or a part of one, and return its id; raises `Overloaded` if there are too many."""

    def add_scenario(self, drill: str, wanted: ScenarioWanted) -> Scenario:
        """Set up a scenario and return what its requests have to present; raises `UsageError`."""

    def fail_scenario(self, drill: str, scenario: int, faults: Sequence[Fault]) -> None:
        """Give a scenario other faults."""

    def explain_scenario(self, drill: str, scenario: int, body: bytes) -> RouteExplanation:
        """Tell what would become of a request of a scenario's, which is not sent on."""

    def scenario_troubles(self, drill: str, scenario: int) -> Sequence[Trouble]:
        """Return what is left alone in a scenario just now."""

    def drop_scenario(self, drill: str, scenario: int) -> None:
        """End a scenario."""

    def end_drill(self, drill: str) -> None:
        """End a drill."""

    def drill_usage(self, drill: str) -> UsageReport:
        """Report the requests of a drill, by target."""

    def keep_drill(self, record: DrillRecord) -> None:
        """Keep what a drill found."""


class GatewayAddress(Struct, frozen=True):
    """What the running gateway leaves beside the lock (0600): where it is, and what its admin API wants."""

    address: str
    token: str
    pid: int

    def __repr__(self) -> str:
        return f"GatewayAddress(address={self.address!r}, token=********, pid={self.pid})"


def find_gateway(paths: Paths) -> GatewayAddress | None:
    """Return where the gateway of this state folder said that it is; it may have died since."""
    try:
        return msgspec.json.decode(paths.endpoint_file.read_bytes()[: 1 << 16], type=GatewayAddress)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


class _Reloaded(Struct):
    problem: str | None


class _Detail(Struct):
    message: str = ""
    hint: str | None = None
    code: str | None = None


class _Refusal(Struct):
    error: _Detail


class _Keys(Struct):
    keys: list[KeyInfo]


class _Teams(Struct):
    teams: list[TeamInfo]


class _Caches(Struct):
    caches: list[CacheUse]


class _Audit(Struct):
    rows: list[AuditRow]


class _Drill(Struct):
    id: str


class _Drills(Struct):
    drills: list[DrillRecord]


class _Troubles(Struct):
    troubles: list[Trouble]


class _Prompts(Struct):
    prompts: list[PromptUse]


class _Budgets(Struct):
    budgets: list[BudgetUse]


class _Requests(Struct):
    requests: list[RequestRow]


class _Nodes(Struct):
    nodes: list[NodeInfo]


_ERRORS: Final[Mapping[str | None, type[ShareAIError]]] = {
    error.code: error
    for error in (
        AuthenticationFailed,
        ConfigurationError,
        LedgerUnavailable,
        Overloaded,
        UnknownModel,
        UsageError,
    )
}

Answer = TypeVar("Answer")


def trusted_for(address: str) -> ssl.SSLContext | bool:
    """Return whom a client of httpx trusts: for plain HTTP nobody, as to read certificates takes long."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if address.startswith("http://") else True


class HttpAdmin:
    """The admin interface of a running gateway, over loopback HTTP."""

    def __init__(self, gateway: GatewayAddress) -> None:
        self._token = Secret(gateway.token)
        self._address = gateway.address
        self._http = httpx.Client(
            base_url=gateway.address + PREFIX,
            timeout=SECONDS,
            verify=trusted_for(gateway.address),
            trust_env=False,
            follow_redirects=False,
        )

    def __repr__(self) -> str:
        return f"<HttpAdmin {self._address}>"

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def status(self) -> Status:
        """See `GatewayAdmin`."""
        return self._ask("GET", "/status", Status)

    def reload(self) -> str | None:
        """See `GatewayAdmin`."""
        return self._ask("POST", "/reload", _Reloaded, content=b"{}").problem

    def explain_route(self, body: bytes) -> RouteExplanation:
        """See `GatewayAdmin`."""
        return self._ask("POST", "/routes/explain", RouteExplanation, content=body)

    def list_models(self) -> ModelListing:
        """See `GatewayAdmin`."""
        return self._ask("GET", "/models", ModelListing)

    def list_keys(self) -> Sequence[KeyInfo]:
        """See `Admin`."""
        return self._ask("GET", "/keys", _Keys).keys

    def create_key(self, name: str, settings: KeySettings = PLAIN_KEY) -> NewKey:
        """See `Admin`."""
        wanted = {"name": name, "settings": settings}
        return self._ask("POST", "/keys", NewKey, content=msgspec.json.encode(wanted))

    def rotate_key(self, name: str, overlap_ms: int) -> NewKey:
        """See `Admin`."""
        path = f"/keys/{quote(name, safe='')}{ROTATION}"
        return self._ask("POST", path, NewKey, content=msgspec.json.encode({"overlap_ms": overlap_ms}))

    def change_key(self, name: str, changes: KeyChanges) -> KeyInfo:
        """See `Admin`."""
        path = f"/keys/{quote(name, safe='')}"
        return self._ask("PATCH", path, KeyInfo, content=msgspec.json.encode(changes))

    def revoke_key(self, name: str) -> KeyInfo:
        """See `Admin`."""
        return self._ask("DELETE", f"/keys/{quote(name, safe='')}", KeyInfo)

    def list_teams(self) -> Sequence[TeamInfo]:
        """See `Admin`."""
        return self._ask("GET", "/teams", _Teams).teams

    def create_team(self, name: str, limits: WrittenLimits) -> TeamInfo:
        """See `Admin`."""
        content = msgspec.json.encode({"name": name, "limits": limits})
        return self._ask("POST", "/teams", TeamInfo, content=content)

    def change_team(self, name: str, limits: LimitChanges) -> TeamInfo:
        """See `Admin`."""
        path = f"/teams/{quote(name, safe='')}"
        return self._ask("PATCH", path, TeamInfo, content=msgspec.json.encode({"limits": limits}))

    def remove_team(self, name: str) -> TeamInfo:
        """See `Admin`."""
        return self._ask("DELETE", f"/teams/{quote(name, safe='')}", TeamInfo)

    def usage(self, by: Grouping | None, since_ms: int | None) -> UsageReport:
        """See `Admin`."""
        return self._ask("GET", "/usage", UsageReport, params=_query(by=by, since_ms=since_ms))

    def usage_series(
        self, by: Grouping | None, slot: SlotLength, since_ms: int, until_ms: int
    ) -> UsageSeries:
        """See `Admin`."""
        query = _query(by=by, slot=slot, since_ms=since_ms, until_ms=until_ms)
        return self._ask("GET", "/usage/series", UsageSeries, params=query)

    def dearest_prompts(self, since_ms: int | None, limit: int) -> Sequence[PromptUse]:
        """See `Admin`."""
        query = _query(since_ms=since_ms, limit=limit)
        return self._ask("GET", "/usage/prompts", _Prompts, params=query).prompts

    def budgets(self) -> Sequence[BudgetUse]:
        """See `Admin`."""
        return self._ask("GET", "/budgets", _Budgets).budgets

    def request(self, request: str) -> RequestRow:
        """See `Admin`."""
        return self._ask("GET", f"/requests/{quote(request, safe='')}", RequestRow)

    def recent(self, limit: int) -> Sequence[RequestRow]:
        """See `Admin`."""
        return self._ask("GET", "/requests", _Requests, params=_query(limit=limit)).requests

    def list_nodes(self) -> Sequence[NodeInfo]:
        """See `Admin`."""
        return self._ask("GET", "/nodes", _Nodes).nodes

    def register_node(self, node: NodeRegistration) -> NodeInfo:
        """See `Admin`."""
        return self._ask("POST", "/nodes", NodeInfo, content=msgspec.json.encode(node))

    def overrides(self) -> Overrides:
        """See `Admin`."""
        return self._ask("GET", OVERRIDES, Overrides)

    def override_target(self, order: TargetOrder) -> TargetOverride:
        """See `Admin`."""
        return self._ask("PATCH", f"{OVERRIDES}/targets", TargetOverride, content=msgspec.json.encode(order))

    def override_node(self, order: NodeOrder) -> NodeOverride:
        """See `Admin`."""
        return self._ask("PATCH", f"{OVERRIDES}/nodes", NodeOverride, content=msgspec.json.encode(order))

    def cache_use(self) -> Sequence[CacheUse]:
        """See `Admin`."""
        return self._ask("GET", "/cache", _Caches).caches

    def clear_cache(self, route: str | None) -> Sequence[CacheUse]:
        """See `Admin`."""
        return self._ask("DELETE", "/cache", _Caches, params=_query(route=route)).caches

    def audit(self, limit: int, since_ms: int | None = None, after: int | None = None) -> Sequence[AuditRow]:
        """See `Admin`."""
        query = _query(limit=limit, since_ms=since_ms, after=after)
        return self._ask("GET", "/audit", _Audit, params=query).rows

    def verify_audit(self) -> AuditVerdict:
        """See `Admin`."""
        return self._ask("GET", "/audit/verify", AuditVerdict)

    def drill_history(self, limit: int) -> Sequence[DrillRecord]:
        """See `Admin`."""
        return self._ask("GET", f"{DRILLS}/history", _Drills, params=_query(limit=limit)).drills

    def drill_subjects(self, further: Sequence[str] = ()) -> DrillSubjects:
        """See `DrillAdmin`."""
        body = msgspec.json.encode({"targets": further})
        return self._ask("POST", f"{DRILLS}/subjects", DrillSubjects, content=body)

    def begin_drill(self, part_of: str | None = None) -> str:
        """See `DrillAdmin`."""
        return self._ask("POST", DRILLS, _Drill, content=msgspec.json.encode(DrillWanted(part_of))).id

    def add_scenario(self, drill: str, wanted: ScenarioWanted) -> Scenario:
        """See `DrillAdmin`."""
        body = msgspec.json.encode(wanted)
        return self._ask("POST", f"{DRILLS}/{drill}/scenarios", Scenario, content=body)

    def fail_scenario(self, drill: str, scenario: int, faults: Sequence[Fault]) -> None:
        """See `DrillAdmin`."""
        body = msgspec.json.encode(FaultsWanted(tuple(faults)))
        self._ask("PUT", f"{DRILLS}/{drill}/scenarios/{scenario}/faults", _Drill, content=body)

    def explain_scenario(self, drill: str, scenario: int, body: bytes) -> RouteExplanation:
        """See `DrillAdmin`."""
        path = f"{DRILLS}/{drill}/scenarios/{scenario}/explain"
        return self._ask("POST", path, RouteExplanation, content=body)

    def scenario_troubles(self, drill: str, scenario: int) -> Sequence[Trouble]:
        """See `DrillAdmin`."""
        return self._ask("GET", f"{DRILLS}/{drill}/scenarios/{scenario}", _Troubles).troubles

    def drop_scenario(self, drill: str, scenario: int) -> None:
        """See `DrillAdmin`."""
        self._ask("DELETE", f"{DRILLS}/{drill}/scenarios/{scenario}", _Drill)

    def end_drill(self, drill: str) -> None:
        """See `DrillAdmin`."""
        self._ask("DELETE", f"{DRILLS}/{drill}", _Drill)

    def drill_usage(self, drill: str) -> UsageReport:
        """See `DrillAdmin`."""
        return self._ask("GET", f"{DRILLS}/{drill}/usage", UsageReport)

    def keep_drill(self, record: DrillRecord) -> None:
        """See `DrillAdmin`."""
        self._ask("POST", f"{DRILLS}/history", _Drill, content=msgspec.json.encode(record))

    def _ask(self, method: str, path: str, kind: type[Answer], **options: Any) -> Answer:
        headers = {
            "Authorization": f"Bearer {self._token.reveal()}",
            "Content-Type": "application/json",
            ACTOR_HEADER: quote(system_user()),
        }
        try:
            response = self._http.request(method, path, headers=headers, **options)
        except (httpx.HTTPError, RuntimeError) as error:  # the latter where another thread has closed it
            raise GatewayUnreachable(
                f"The gateway at {self._address} does not answer ({type(error).__name__}).",
                hint="If it hangs, end it and start 'shareai serve' again.",
            ) from None
        if response.status_code != 200:
            raise _refusal(response, self._address)
        try:
            return msgspec.json.decode(response.content, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise GatewayUnreachable(
                f"What answers at {self._address} is another version of shareai, or another program.",
                hint="Start 'shareai serve' again with the version that is installed.",
            ) from None


def system_user() -> str:
    """Return the name of the user whose process this is; the number where there is no name."""
    if sys.platform == "win32":
        return os.environ.get("USERNAME", "unknown")
    from pwd import getpwuid

    try:
        return getpwuid(os.getuid()).pw_name  # and not from variables, which may say anything
    except KeyError:
        return str(os.getuid())


def _query(**asked: object) -> dict[str, str]:
    return {name: str(value) for name, value in asked.items() if value is not None}


def _refusal(response: httpx.Response, address: str) -> ShareAIError:
    """Return the error that the gateway raised, as its own class."""
    try:
        detail = msgspec.json.decode(response.content, type=_Refusal).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return GatewayUnreachable(f"The gateway at {address} answered with HTTP {response.status_code}.")
    return _ERRORS.get(detail.code, GatewayUnreachable)(detail.message, hint=detail.hint)
