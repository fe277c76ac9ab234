"""One scenario: a path of its own, over production's providers, nodes and settings, with its faults."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from shareai_cli.config import Settings
from shareai_cli.config.limits import read_limits
from shareai_cli.drill_types import Fault, ScenarioWanted
from shareai_cli.gateway.auth import Keys
from shareai_cli.gateway.current import Current
from shareai_cli.gateway.drills.failing import FailingProvider
from shareai_cli.gateway.drills.upstream import DrillUpstream, shorter
from shareai_cli.gateway.endpoints import Endpoint, Endpoints
from shareai_cli.gateway.exchange import Exchange, Replying
from shareai_cli.gateway.fleet import Fleet
from shareai_cli.gateway.health import Health, Standing
from shareai_cli.gateway.limits import Attempts
from shareai_cli.gateway.models import ModelDirectory
from shareai_cli.gateway.overrides import Orders
from shareai_cli.gateway.path import Makers, compose
from shareai_cli.gateway.pools import PoolFactory
from shareai_cli.gateway.probe import Prober
from shareai_cli.gateway.record import Recorder
from shareai_cli.gateway.route_explainer import RouteExplainer
from shareai_cli.gateway.strategies.candidates import Facts
from shareai_cli.ledger import NO_PAST_USE, Closed, Ledger, Opened, PastUse, RequestIds, UseQuestion
from shareai_cli.types import Caller, Clock, RouteExplanation, Subject, Target, WallClock
from shareai_cli.wire.message import Request

CALLER = Caller(0, "drill", "drill")
OTHER = Caller(0, "drill", "drill-other")
"""Who presents a scenario's keys; in the accounts they are nobody's."""

SUBJECT = Subject("key", CALLER.key_name, (CALLER.key_id,))
"""Whom a scenario's limits stand on."""


class Surroundings(Struct, frozen=True):
    """What a scenario takes from the gateway as it is."""

    settings: Settings
    endpoints: Endpoints
    fleet: Fleet
    directory: ModelDirectory
    ledger: Ledger
    ids: RequestIds
    makers: Makers
    make_pool: PoolFactory
    facts: Facts | None
    clock: Clock
    wall_clock: WallClock
    orders: Orders


class MarkedLedger:
    """The accounts, in which a drill's entries are marked as its own."""

    def __init__(self, ledger: Ledger, drill: int) -> None:
        self._ledger = ledger
        self._drill = drill
        self.salt = ledger.salt
        self.costs = ledger.costs

    def opened(self, entry: Opened) -> None:
        """See `Ledger`."""
        self._ledger.opened(replace(entry, drill=self._drill))

    def closed(self, entry: Closed) -> None:
        """See `Ledger`."""
        self._ledger.closed(replace(entry, drill=self._drill))

    def past_use(self, questions: Collection[UseQuestion], ended: Callable[[], Collection[int]]) -> PastUse:
        """Tell that nothing was used before a scenario."""
        return NO_PAST_USE

    async def settled(self) -> None:
        """See `Ledger`."""
        await self._ledger.settled()


class ScenarioPath:
    """A composed path with its own failover, limits and cache; made in a thread, as strategies take long.

    It hedges nowhere: a second target that is asked beside the first would hide how the first one fails.
    """

    def __init__(
        self,
        drill: int,
        wanted: ScenarioWanted,
        keys: Mapping[bytes, Caller],
        around: Surroundings,
        failing: FailingProvider,
    ) -> None:
        """`keys` are those of which requests have to present one, by their digests."""
        settings, clock = around.settings, around.clock
        route = settings.routes.get(wanted.route or "")
        routes = {route.name: route} if route is not None else {}
        self._health = health = Health(clock, first_ejection=wanted.deadlines.ejection)
        self._current = Current(
            replace(settings, routes=routes),
            environ={},
            make_pool=around.make_pool,
            fleet=around.fleet,
            health=health,
            directory=around.directory,
            clock=clock,
            facts=around.facts,
            endpoints=_endpoints(around.endpoints, wanted),
            orders=around.orders,
        )
        self.prober = Prober(health, lambda name: self._current.endpoints.find(name))
        self._upstream = DrillUpstream(wanted.faults, wanted.deadlines, failing, clock, around.wall_clock)
        self._cache = around.makers.cache(around.ledger.salt, wall_clock=around.wall_clock)
        self._cache.take_up(routes)
        ledger = MarkedLedger(around.ledger, drill)
        limiter = around.makers.limiter(ledger, wall_clock=around.wall_clock)
        limiter.begin({SUBJECT: read_limits(wanted.limits)})
        self._recorder = Recorder(ledger, clock, limiter.settle)
        self._path = compose(
            self._recorder,
            Keys(keys, around.wall_clock),
            self._current,
            limiter,
            Attempts(limiter, ledger.costs),
            self._cache,
            around.makers.failover(self._current, self._upstream, health, clock),
        )
        self._ids, self._clock = around.ids, clock

    def respond(self, request: Request) -> Replying:
        """Answer one request of the scenario's."""
        ids = self._ids
        return self._path(Exchange(request, self._recorder, ids.next(), ids.now_ms, self._clock()))

    def fail(self, faults: Sequence[Fault]) -> None:
        """Let attempts from now on fail so."""
        self._upstream.fail(faults)

    async def explain(self, body: bytes) -> RouteExplanation:
        """Tell what would become of a request of the scenario's; `UnknownModel`, `MalformedRequest`."""
        return await RouteExplainer(self._current, self._clock).explain(body)

    def standings(self) -> Sequence[tuple[str, str, Standing]]:
        """List what does not simply serve: target, key, and how it stands; a target may have to be probed."""
        return [
            (name, key, standing if key else self._current.standing(Target(*name.split("/", 1))))
            for name, key, standing in self._health.troubles()
        ]

    async def close(self) -> None:
        """End what the path's parts hold."""
        await self._cache.close()


def _endpoints(endpoints: Endpoints, wanted: ScenarioWanted) -> Endpoints:
    """Return endpoints over the same connections, each with its own turn among its keys."""
    made: Mapping[str, Endpoint] = {
        one.name: one.variant(
            shorter(one.limits, wanted.deadlines),
            [key for key in one.keys if key.fingerprint in wanted.keys] or None,
        )
        for one in endpoints
    }
    return Endpoints(made)
