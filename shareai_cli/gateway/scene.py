"""How everything stands just now, for those who watch: targets of routes, limits, today's sums."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from shareai_cli.catalog.listing import UNKNOWN
from shareai_cli.catalog.prices import TokenPrice
from shareai_cli.config import RouteTarget, Settings
from shareai_cli.config.routes import is_own
from shareai_cli.errors import LedgerUnavailable
from shareai_cli.gateway.activity import Place, Visits
from shareai_cli.gateway.app import Gateway
from shareai_cli.gateway.feed import Scene
from shareai_cli.gateway.health import State
from shareai_cli.gateway.overrides import changes_between
from shareai_cli.ledger import usage_report
from shareai_cli.live import LiveNode, LiveRoute, LiveTarget, Today
from shareai_cli.types import Clock, Target, UsageSums

MILLION: Final = 1_000_000

_NOTHING: Final = Visits()

_IN_WORDS: Final[Mapping[str, str]] = {
    State.COOLING: "cools",
    State.EJECTED: "was ejected",
    State.ASIDE: "was put aside",
}


class GatewayScene:
    """What the feed asks of a gateway."""

    def __init__(self, gateway: Gateway, clock: Clock = time.monotonic) -> None:
        self._gateway = gateway
        self._clock = clock
        self._names: dict[int, str] = {}
        self._priced: Settings | None = None
        self._prices: Mapping[Target, TokenPrice] = {}
        self._troubles: dict[tuple[str, str], str] = {}
        self._orders = gateway.current.orders

    def __repr__(self) -> str:
        return f"<GatewayScene of {self._gateway!r}>"

    def counters(self) -> tuple[int, int]:
        """See `Sources`."""
        return self._gateway.requests, self._gateway.in_flight

    def key_name(self, key: int) -> str:
        """See `Sources`; the names of revoked keys are known as long as they were seen before."""
        if key not in self._names:
            self._names.update(self._gateway.keys.names())
        return self._names.get(key, f"#{key}")

    def changes(self) -> Sequence[str]:
        """See `Sources`."""
        found: dict[tuple[str, str], str] = {}
        told = []
        for name, key, standing in () if self._gateway.health.untroubled else self._gateway.health.troubles():
            if standing.state not in _IN_WORDS:
                continue
            subject = f"{name} with key {key}" if key else name
            found[name, key] = subject
            if (name, key) not in self._troubles:
                told.append(f"{subject} {_IN_WORDS[standing.state]}: {standing.reason}")
        for place, subject in self._troubles.items():
            if place not in found:
                told.append(f"{subject} may be asked again")
        self._troubles = found
        return [*told, *self._order_changes()]

    def _order_changes(self) -> Iterator[str]:
        """Yield what has been ordered since the last call."""
        orders, former = self._gateway.current.orders, self._orders
        if orders is former:
            return
        self._orders = orders
        yield from changes_between(former.overrides, orders.overrides)

    def scene(self, visits: Callable[[], Mapping[Place, Visits]]) -> Scene:
        """See `Sources`."""
        lately = visits()
        settings = self._gateway.current.settings
        routes = [
            LiveRoute(
                route.name,
                route.strategy,
                tuple(
                    self._target(route.name, one, lately.get((route.name, one.target.name)))
                    for one in route.targets
                ),
            )
            for route in settings.routes.values()
        ]
        others = [
            self._target("", RouteTarget(_target_of(name)), seen)
            for (route, name), seen in sorted(lately.items())
            if name and route not in settings.routes
        ]
        if others:
            routes.append(LiveRoute("", "priority", tuple(others)))
        return Scene(tuple(routes), tuple(self._gateway.limit_use()))

    async def nodes(self) -> tuple[LiveNode, ...]:
        """See `Sources`."""
        found = await self._gateway.fleet.look()
        held = self._gateway.current.orders.node(found.name)
        if held is not None:
            found = replace(found, state=held.state.value, reason=held.reason)
        return (found,)

    async def today(self) -> Today:
        """See `Sources`; nothing where the accounts cannot be read just now."""
        await self._look_up_prices()
        midnight = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
        try:
            report = await asyncio.to_thread(
                usage_report,
                self._gateway.ledger.store,
                by="target",
                since_ms=int(midnight.timestamp() * 1000),
            )
        except LedgerUnavailable:
            return Today()
        settings, total = self._gateway.current.settings, report.total
        own = [row for row in report.rows if is_own(row.name.partition("/")[0], settings.providers)]
        savings = [self._saved(row) for row in own if row.prompt_tokens + row.completion_tokens]
        known = [one for one in savings if one is not None]
        return Today(
            requests=total.requests,
            kept=total.hit + total.joined,
            tokens=total.prompt_tokens + total.completion_tokens,
            own_tokens=sum(row.prompt_tokens + row.completion_tokens for row in own),
            saved_nano=sum(known) if known else None,
            cost_nano=total.cost_nano_usd,
            estimated_cost=total.estimated_cost,
            unknown_cost=total.unknown_cost,
        )

    def _target(self, route: str, one: RouteTarget, seen: Visits | None) -> LiveTarget:
        seen, current = seen or _NOTHING, self._gateway.current
        standing = current.held(route, one.target) or current.standing(one.target)
        weight = current.orders.weight(route, one.target)
        price = self._price(one)
        return LiveTarget(
            one.target.name,
            standing.state.value,
            round(max(0.0, standing.until - self._clock())) if standing.until else 0,
            standing.reason,
            one.weight if weight is None else weight,
            seen.asked,
            seen.failed,
            seen.times.quantile(0.5),
            price.prompt_nano,
            price.completion_nano,
            is_own(one.target.provider, current.settings.providers),
            None if weight is None else one.weight,
        )

    def _price(self, one: RouteTarget) -> TokenPrice:
        if one.price is not None:
            return TokenPrice(one.price.prompt_nano, one.price.completion_nano)
        if is_own(one.target.provider, self._gateway.current.settings.providers):
            return TokenPrice(0, 0)
        return self._prices.get(one.target, TokenPrice())

    async def _look_up_prices(self) -> None:
        """Know the prices of the routes' targets: slow the first time, and done away from requests."""
        settings = self._gateway.current.settings
        if settings is self._priced:
            return
        facts = self._gateway.current.facts
        targets = {
            one.target: settings.providers[one.target.provider].price_as or ""
            for one in _targets(settings)
            if one.target.provider in settings.providers
        }

        def look_up() -> Mapping[Target, TokenPrice]:
            return {
                target: facts.look_up(price_as, target.model, UNKNOWN).price
                for target, price_as in targets.items()
            }

        self._prices = await asyncio.to_thread(look_up)
        self._priced = settings

    def _saved(self, row: UsageSums) -> int | None:
        """Return what an own target's tokens would have cost elsewhere on its routes."""
        settings = self._gateway.current.settings
        beside = [
            self._price(one)
            for route in settings.routes.values()
            if any(it.target.name == row.name for it in route.targets)
            for one in route.targets
            if not is_own(one.target.provider, settings.providers)
        ]
        costs = [
            (row.prompt_tokens * price.prompt_nano + row.completion_tokens * price.completion_nano) // MILLION
            for price in beside
            if price.prompt_nano is not None and price.completion_nano is not None
        ]
        return min(costs, default=None)


def _targets(settings: Settings) -> Iterator[RouteTarget]:
    for route in settings.routes.values():
        yield from route.targets


def _target_of(name: str) -> Target:
    provider, _, model = name.partition("/")
    return Target(provider, model)
