"""What there is to drill: the routes, and every target that a route or this machine has."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from shareai_cli.catalog.listing import UNKNOWN
from shareai_cli.drill_types import DrillRoute, DrillSubjects, DrillTarget
from shareai_cli.errors import UsageError
from shareai_cli.gateway.drills.scenario import Surroundings
from shareai_cli.gateway.endpoints import NODE_LIMITS
from shareai_cli.gateway.strategies.candidates import NoFacts
from shareai_cli.nearest import nearest
from shareai_cli.types import LONGEST_MODEL, NODE, Target


def subjects_of(around: Surroundings, further: Collection[str] = ()) -> DrillSubjects:
    """Return the routes and targets to which requests go now, and further targets that are named.

    Looks prices up, which may take long. Raises `UsageError` for a target of a provider that there is not.
    """
    orders = around.orders
    routes = [route for route in orders.applied(around.settings).routes.values() if route.targets]
    local = [] if orders.node(NODE) else [Target(NODE, model.id) for model in around.fleet.models]
    asked = [_parse(name, [*around.settings.providers, NODE]) for name in further]
    named = [one.target for route in routes for one in route.targets]
    return DrillSubjects(
        tuple(
            DrillRoute(
                route.name,
                route.strategy,
                tuple(one.target.name for one in route.targets),
                route.cache is not None,
                route.cache is not None and route.cache.shared,
                route.is_plain,
            )
            for route in routes
        ),
        tuple(_target(target, around) for target in dict.fromkeys([*named, *local, *asked])),
    )


def _parse(name: str, providers: Collection[str]) -> Target:
    provider, _, model = name.partition("/")
    if not model or len(name) > LONGEST_MODEL or provider not in providers:
        near = nearest(provider, providers)
        raise UsageError(
            f"There is no target '{name[:100]}'.",
            hint=f"Did you mean the provider '{near}'?" if near else "A target is written provider/model.",
        )
    return Target(provider, model)


def _target(target: Target, around: Surroundings) -> DrillTarget:
    price_as, keys, limits = NODE, _NO_KEYS, NODE_LIMITS
    if target.provider != NODE and (endpoint := around.endpoints.find(target.provider)) is not None:
        price_as, keys, limits = endpoint.price_as, endpoint.fingerprints(), endpoint.limits
    price = (around.facts or NoFacts()).look_up(price_as, target.model, UNKNOWN).price
    return DrillTarget(
        target.name,
        tuple(keys),
        price_as,
        price.prompt_nano,
        price.completion_nano,
        min(limits.head, limits.total),
        limits.total,
    )


_NO_KEYS: Sequence[str] = ("",)
