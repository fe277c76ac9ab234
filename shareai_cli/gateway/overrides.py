"""What a person has ordered of targets and nodes, in force: pure functions of the orders and the settings.

The routes that requests go by are made without the targets that are to get none, and with the weights that
were ordered: once, after each order. So no request looks for orders on its way.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec.structs import replace

from shareai_cli.config import ProviderSettings, RouteSettings, RouteTarget, Settings
from shareai_cli.config.reading import shown
from shareai_cli.config.routes import is_own
from shareai_cli.errors import UsageError
from shareai_cli.gateway.health import Standing, State
from shareai_cli.nearest import nearest
from shareai_cli.overrides import NO_OVERRIDES, NodeOverride, Overrides, TargetOverride
from shareai_cli.types import NODE, Target

BY_HAND: Final = "they are disabled, paused or drained by hand"
"""Why a route, or a model, has no targets left; clients read it."""


MOST_NAMED: Final = 3
"""In a sentence."""

_BECAME: Final[Mapping[str, str]] = {
    "serving": "was enabled",
    "disabled": "was disabled",
    "draining": "was set to drain",
    "paused": "was paused",
}


class Orders:
    """Overrides, looked up by what they are of."""

    def __init__(self, overrides: Overrides = NO_OVERRIDES) -> None:
        self.overrides = overrides
        self._targets = {(one.route, one.target): one for one in overrides.targets}
        self._nodes = {one.node: one for one in overrides.nodes if one.state != "serving"}
        self._routes = frozenset(route for route, _ in self._targets)

    def __repr__(self) -> str:
        return f"<Orders on [targets: {len(self._targets)}, nodes: {len(self._nodes)}]>"

    @property
    def hold_nodes(self) -> bool:
        """Whether any machine gets no new requests."""
        return bool(self._nodes)

    def node(self, name: str) -> Standing | None:
        """Tell how a machine, or provider, stands by order; None where it may be asked."""
        order = self._nodes.get(name)
        return _standing(order) if order is not None else None

    def standing(self, route: str, target: Target) -> Standing | None:
        """Tell how a target stands by order; None where the route's requests may go there."""
        order = self._targets.get((route, target.name))
        if order is not None and order.state != "serving":
            return _standing(order)
        return self.node(target.provider)

    def weight(self, route: str, target: Target) -> int | None:
        """Return the weight that was ordered of a target; None where the declared one holds."""
        order = self._targets.get((route, target.name))
        return order.weight if order is not None else None

    def concern(self, route: RouteSettings) -> bool:
        """Tell whether anything is ordered of a route's targets."""
        return route.name in self._routes or any(one.target.provider in self._nodes for one in route.targets)

    def applied(self, settings: Settings) -> Settings:
        """Return settings whose routes have the targets that get requests, with their weights in force."""
        providers = settings.providers
        routes = {name: self._applied(route, providers) for name, route in settings.routes.items()}
        return replace(settings, routes=routes)

    def weighted(self, route: RouteSettings) -> RouteSettings:
        """Return a route with all of its targets, and the weights in force."""
        return replace(route, targets=tuple(self._weighted(route.name, one) for one in route.targets))

    def _applied(self, route: RouteSettings, providers: Mapping[str, ProviderSettings]) -> RouteSettings:
        if not self.concern(route):
            return route
        kept = [one for one in route.targets if self.standing(route.name, one.target) is None]
        if route.private and not any(is_own(one.target.provider, providers) for one in kept):
            kept = []  # no request of this route goes to the others
        return self.weighted(replace(route, targets=tuple(kept)))

    def _weighted(self, route: str, one: RouteTarget) -> RouteTarget:
        weight = self.weight(route, one.target)
        return replace(one, weight=weight) if weight is not None else one


def in_words(overrides: Overrides) -> str:
    """Tell in a sentence of what gets no requests by order; empty where all that is declared gets them."""
    held = [f"{one.target} on the route {one.route}" for one in overrides.targets if one.state != "serving"]
    held += [f"the node {one.node}" for one in overrides.nodes if one.state != "serving"]
    if not held:
        return ""
    more = f" and {len(held) - MOST_NAMED} more" if len(held) > MOST_NAMED else ""
    return f"No requests go, by hand, to {', '.join(held[:MOST_NAMED])}{more}: 'shareai status' tells more."


def changes_between(former: Overrides, new: Overrides) -> Iterator[str]:
    """Yield what has been ordered otherwise than before, in words; what is no longer ordered, too."""
    targets = {(one.route, one.target): one for one in former.targets}
    for one in new.targets:
        before = targets.pop((one.route, one.target), TargetOverride(one.route, one.target))
        if one.state != before.state:
            yield f"{one.target} {_BECAME[one.state]} on the route {one.route} by {one.by}"
        if one.weight != before.weight:
            weight = "its declared weight" if one.weight is None else f"the weight {one.weight}"
            yield f"{one.target} was given {weight} on the route {one.route} by {one.by}"
    for gone in targets.values():
        yield f"{gone.target} gets requests of the route {gone.route} as declared again"
    nodes = {one.node: one for one in former.nodes}
    for node in new.nodes:
        if node.state != nodes.pop(node.node, NodeOverride(node.node)).state:
            yield f"The node {node.node} {_BECAME[node.state]} by {node.by}"
    for name in nodes:
        yield f"The node {name} gets requests again"


def check_target(
    routes: Mapping[str, RouteSettings], route: str, target: str, overrides: Overrides = NO_OVERRIDES
) -> None:
    """Raise `UsageError` where a route has no such target; it names the nearest that there is.

    One of which something is ordered may have left the configuration since: the order can be taken back.
    """
    if any((one.route, one.target) == (route, target) for one in overrides.targets):
        return
    found = routes.get(route)
    if found is None:
        raise _unknown("route", route, [*routes], "shareai route list")
    targets = [one.target.name for one in found.targets]
    if target not in targets:
        kind = f"target of the route {route} called"
        raise _unknown(kind, target, targets, f"shareai route show {route}")


def check_node(name: str) -> None:
    """Raise `UsageError` where a machine is not one to which requests go."""
    if name != NODE:
        raise _unknown("node", name, [NODE], f"This machine is called {NODE}, as in {NODE}/MODEL.")


def _unknown(kind: str, name: str, known: list[str], otherwise: str) -> UsageError:
    near = nearest(name, known)
    return UsageError(
        f"There is no {kind} {shown(name)}.", hint=f"Did you mean {near}?" if near else otherwise
    )


def _standing(order: TargetOverride | NodeOverride) -> Standing:
    return Standing(State(order.state), reason=f"by {order.by}, {moment(order.since_ms)}")


def moment(time_ms: int) -> str:
    """Write when something was ordered, in this machine's time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(time_ms / 1000))
