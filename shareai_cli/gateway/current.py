"""The configuration in force, and what the path asks of it: where a model is, and how to reach it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from shareai_cli.config import RouteSettings, RouteTarget, Settings
from shareai_cli.config.routes import is_own
from shareai_cli.errors import ConnectionRefused, ModelUnavailable, UnknownModel
from shareai_cli.gateway.endpoints import Endpoint, Endpoints, node_endpoint
from shareai_cli.gateway.exchange import Choice, Exchange
from shareai_cli.gateway.fleet import Fleet
from shareai_cli.gateway.health import Health, Standing, State
from shareai_cli.gateway.models import ModelDirectory
from shareai_cli.gateway.overrides import BY_HAND, Orders
from shareai_cli.gateway.pools import PoolFactory
from shareai_cli.gateway.router import (
    Plan,
    choose,
    in_order,
    named_plan,
    offered_plan,
    provider_plan,
    route_plan,
    unknown_model,
)
from shareai_cli.gateway.strategies.board import Board
from shareai_cli.gateway.strategies.candidates import Facts, NoFacts
from shareai_cli.gateway.strategies.measurements import Measurements
from shareai_cli.gateway.strategies.picker import Picker, build_board, build_boards, plan_board
from shareai_cli.types import NODE, Clock, Target
from shareai_cli.wire.client import Pool

NODE_START_SECONDS = 10.0
"""How long a request waits for the node agent, which starts beside the gateway."""

HELD_SECONDS = 30.0
"""After which a client may try again what nobody may be asked for, by a person's order."""

Chooser = Callable[[Exchange], Choice]
"""Orders a route's targets for a request."""


class Current:
    """Settings, endpoints and routes as they are now; `replace` swaps them between two requests."""

    def __init__(
        self,
        settings: Settings,
        *,
        environ: Mapping[str, str],
        make_pool: PoolFactory,
        fleet: Fleet,
        health: Health,
        directory: ModelDirectory,
        clock: Clock,
        facts: Facts | None = None,
        chance: Callable[[], float] = random.random,
        endpoints: Endpoints | None = None,
        orders: Orders | None = None,
    ) -> None:
        """`endpoints` are the providers' where they are made already."""
        self.orders = orders or Orders()
        self._environ = environ
        self._make_pool = make_pool
        self._fleet = fleet
        self._health = health
        self._directory = directory
        self._clock = clock
        self.facts = facts or NoFacts()
        self.measurements = Measurements(clock)
        self._chance = chance
        self.endpoints = endpoints or Endpoints.build(settings.providers, environ, make_pool)
        self._node: Endpoint | None = None
        self.heeds_preferences = False
        """Whether any key prefers own machines, or clouds."""
        self._take_up(settings, self.build_boards(settings, self.orders))

    def __repr__(self) -> str:
        return f"<Current [providers: {len(self._providers) - 1}, routes: {len(self.routes)}]>"

    @property
    def routes(self) -> Mapping[str, RouteSettings]:
        """The routes, by name."""
        return self.settings.routes

    @property
    def providers(self) -> frozenset[str]:
        """The names of the providers, `node` among them."""
        return self._providers

    @property
    def local_models(self) -> Sequence[str]:
        """The ids of the models that this machine serves."""
        return [model.id for model in self._fleet.models]

    def build_boards(self, settings: Settings, orders: Orders) -> Mapping[str, Board]:
        """Prepare the routes that go by more than their list: slow, and good in a thread of its own."""
        return build_boards(orders.applied(settings), self.facts, self.measurements, self._clock)

    def replace(self, settings: Settings, boards: Mapping[str, Board]) -> list[Pool]:
        """Take up changed settings; returns the pools that nothing uses any more, to be closed.

        `boards` are what `build_boards` made of them. Raises `ConfigurationError`, and then changes nothing.
        """
        former = self.endpoints
        self.endpoints = Endpoints.build(settings.providers, self._environ, self._make_pool, former)
        self._take_up(settings, boards)
        self._health.forget_keys()
        self._directory.forget()
        kept = self.pools()
        return [pool for pool in {one.pool for one in former} if pool not in kept]

    def override(self, orders: Orders, boards: Mapping[str, Board]) -> None:
        """Go by other orders from the next request on; `boards` are what `build_boards` made of them."""
        self.orders = orders
        self._take_up(self.settings, boards)

    def _take_up(self, settings: Settings, boards: Mapping[str, Board]) -> None:
        self.settings = settings
        self._in_force = self.orders.applied(settings)
        self.boards = boards
        self._providers = frozenset((*settings.providers, NODE))
        self._take_up_routes()
        self._measure()

    def heed_preferences(self, are_there: bool) -> None:
        """Take in whether any key prefers own machines, or clouds: only then is it asked for each request."""
        if are_there != self.heeds_preferences:
            self.heeds_preferences = are_there
            self._take_up_routes()

    def _take_up_routes(self) -> None:
        routes = self._in_force.routes.values()
        self._choose = self._choose_unheld if self.orders.hold_nodes else self._choose_any
        self._untroubled = {
            route.name: Choice(route.name, in_order(route.strategy, route.targets, self._chance))
            for route in routes
            if route.targets
            and route.strategy == "priority"
            and route.is_plain
            and not self.heeds_preferences
        }
        """What routes come to for every key, as long as nothing is known against any target."""
        self._choosers = {route.name: self._chooser(route) for route in routes}

    def _chooser(self, route: RouteSettings) -> Chooser:
        if not route.targets:
            return lambda exchange: self._nobody(route.name)
        board = self.boards.get(route.name)
        if board is None:
            plan = route_plan(route)
            if self.heeds_preferences:
                return lambda exchange: self._preferred(self._choose(plan), exchange)
            return lambda exchange: self._choose(plan)
        picker = Picker(
            board, self.measurements, self._health, self._experienced, self._nobody_answers, self._chance
        )
        return picker.pick

    def _measure(self) -> None:
        """Measure the targets of the boards in force, and no others."""
        boards = self.boards.values()
        routes = [route for route in self.settings.routes.values() if not route.is_plain]
        # Those that are held for a while are as fast afterwards as they were.
        self.measurements.keep({one.target for route in routes for one in route.targets})
        for board in boards:
            for target in board.places:
                board.changed(target)  # what was measured while the board was made
                self.measurements.watch(target, board.changed)

    def pools(self) -> set[Pool]:
        """Return every pool that is in use."""
        pools = {one.pool for one in self.endpoints}
        if self._node is not None:
            pools.add(self._node.pool)
        return pools

    def route(self, exchange: Exchange) -> Choice | None:
        """Return a request's targets in their order; None for a bare id, which `look_up` resolves.

        Raises `NoTargetFits`.
        """
        if self._health.untroubled and (choice := self._untroubled.get(exchange.model)) is not None:
            return choice
        chooser = self._choosers.get(exchange.model)
        if chooser is not None:
            return chooser(exchange)
        plan = provider_plan(exchange.model, self._providers)
        return self._choose(plan) if plan is not None else None

    async def look_up(self, exchange: Exchange) -> Choice:
        """Return the targets of a request for a bare model id in their order; raises `UnknownModel`."""
        return self._preferred(self._choose(await self._offered(exchange.model)), exchange)

    def _preferred(self, choice: Choice, exchange: Exchange) -> Choice:
        """Put the targets first that the key prefers; among these, and among the others, the order stays."""
        caller = exchange.caller
        if caller is None or caller.prefer is None or len(choice.targets) < 2:
            return choice
        first, providers = caller.prefer == "own", self.settings.providers
        in_front = [one for one in choice.targets if is_own(one.provider, providers) == first]
        behind = [one for one in choice.targets if is_own(one.provider, providers) != first]
        return msgspec.structs.replace(choice, targets=(*in_front, *behind))

    def _choose_any(self, plan: Plan) -> Choice:
        if self._health.untroubled:
            return Choice(plan.route, in_order(plan.strategy, plan.targets, self._chance))
        return choose(plan, self._experienced, self._chance)

    def _choose_unheld(self, plan: Plan) -> Choice:
        """Choose without the machines that are to get no new requests."""
        targets = tuple(one for one in plan.targets if self.orders.node(one.target.provider) is None)
        if not targets:
            return self._nobody(plan.route)
        return self._choose_any(Plan(plan.route, plan.strategy, targets))

    def _nobody(self, route: str) -> Choice:
        return Choice(route, (), self._clock() + HELD_SECONDS, BY_HAND)

    def _nobody_answers(self, route: str, targets: Iterable[Target]) -> Choice:
        return choose(
            Plan(route, "priority", tuple(map(RouteTarget, targets))), self._experienced, self._chance
        )

    async def _offered(self, model: str) -> Plan:
        offers = await self._directory.offers(list(self.endpoints), self.local_models)
        plan = offered_plan(model, offers)
        if plan is None:
            raise unknown_model(model, [*self.routes], self._providers, offers)
        return plan

    async def board(self, model: str) -> Board:
        """Return what a model's name means, to be explained; raises `UnknownModel`.

        Targets that are to get no requests are in it: see `held`.
        """
        route = self.routes.get(model)
        if route is not None and self.orders.concern(route):
            whole = self.orders.weighted(route)
            measurements = Measurements(self._clock) if route.is_plain else self.measurements
            return await asyncio.to_thread(
                build_board, whole, self.settings, self.facts, measurements, self._clock
            )
        board = self.boards.get(model)
        if board is not None:
            return board
        plan = named_plan(model, self.routes, self._providers)
        if plan is None:
            plan = await self._offered(model)
        return await asyncio.to_thread(plan_board, plan, self.settings, self.facts, self._clock)

    async def can_serve(self, model: str) -> bool:
        """Whether a target of the model's can be asked now; not so where nobody has such a model."""
        try:
            plan = named_plan(model, self._in_force.routes, self._providers) or await self._offered(model)
        except UnknownModel:
            return False
        standings = (self.standing(one.target) for one in plan.targets)
        return any(one.state in (State.SERVING, State.TRIAL) for one in standings)

    async def owner(self, model: str) -> str:
        """Return who serves a model that can be asked for under this name; raises `UnknownModel`."""
        plan = named_plan(model, self.routes, self._providers)
        if plan is None:
            plan = await self._offered(model)
        return "shareai" if model in self.routes else plan.targets[0].target.provider

    async def offers(self) -> Mapping[str, Sequence[str]]:
        """Return the models that each provider, and this machine, is known to offer, sorted."""
        offers = await self._directory.offers(list(self.endpoints), self.local_models)
        return {name: sorted(models) for name, models in offers.items()}

    def held(self, route: str, target: Target) -> Standing | None:
        """Tell how a target of a route stands by a person's order; None where it may be asked."""
        return self.orders.standing(route, target)

    def standing(self, target: Target) -> Standing:
        """Tell how a target stands, whichever route it is asked for."""
        return self.orders.node(target.provider) or self._experienced(target)

    def _experienced(self, target: Target) -> Standing:
        """Tell how a target stands by what its requests met: those in the way of one are held by no order."""
        endpoint = self._known(target.provider)
        if endpoint is None:
            return self._health.standing(target, (), has_check=False)
        return self._health.standing(target, endpoint.fingerprints(), endpoint.check is not None)

    def endpoint(self, provider: str) -> Endpoint | None:
        """Return a provider's endpoint; None for the node agent's, which moves when it is started again."""
        return self.endpoints.find(provider)

    async def await_endpoint(self, provider: str) -> Endpoint:
        """Return the node agent's endpoint once there is one; raises `ConnectionRefused`."""
        if provider != NODE:
            raise ConnectionRefused(f"provider '{provider}' was removed from the configuration")
        return await self._node_endpoint()

    def _known(self, name: str) -> Endpoint | None:
        return self._node if name == NODE else self.endpoints.find(name)

    async def _node_endpoint(self) -> Endpoint:
        found = self._fleet.origin()
        if found is None:
            try:
                found = await self._fleet.ready(NODE_START_SECONDS)
            except ModelUnavailable as error:
                raise ConnectionRefused(error.message) from None
        origin, secret = found
        former = self._node
        if former is not None and former.origin == origin:
            return former
        self._node = found_node = node_endpoint(f"http://{origin.authority}/v1", secret, self._make_pool)
        if former is not None:
            await former.pool.close()
        return found_node
