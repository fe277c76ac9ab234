"""Which targets a request tries, and in which order: pure functions of the request and a snapshot.

A request's `model` is, in this order: a route's name; `provider/model` or `node/model`, passed on
unchecked; a bare model id, which means every target known to offer it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain

from msgspec import Struct

from shareai_cli.config import RouteSettings, RouteTarget
from shareai_cli.errors import UnknownModel
from shareai_cli.gateway.exchange import Choice
from shareai_cli.gateway.health import Standing, State
from shareai_cli.nearest import nearest
from shareai_cli.types import Target


class Plan(Struct, frozen=True):
    """What a model's name means: the route's name for the accounts, its targets and their strategy."""

    route: str
    strategy: str
    targets: tuple[RouteTarget, ...]


def named_plan(model: str, routes: Mapping[str, RouteSettings], providers: Collection[str]) -> Plan | None:
    """Resolve a route's name, or `provider/model`; None where the name is neither."""
    route = routes.get(model)
    return route_plan(route) if route is not None else provider_plan(model, providers)


def route_plan(route: RouteSettings) -> Plan:
    """Return what a route's name means."""
    return Plan(route.name, route.strategy, route.targets)


def provider_plan(model: str, providers: Collection[str]) -> Plan | None:
    """Resolve `provider/model`; None where the name is something else."""
    provider, slash, rest = model.partition("/")
    if slash and rest and provider in providers:
        return Plan(model, "priority", (RouteTarget(Target(provider, rest)),))
    return None


def offered_plan(model: str, offers: Mapping[str, Collection[str]]) -> Plan | None:
    """Resolve a bare model id to every provider that offers it, in the order of `offers`."""
    targets = tuple(
        RouteTarget(Target(provider, model)) for provider, models in offers.items() if model in models
    )
    return Plan(model, "priority", targets) if targets else None


def unknown_model(
    model: str, routes: Collection[str], providers: Collection[str], offers: Mapping[str, Collection[str]]
) -> UnknownModel:
    """Say that a model is unknown, and name the nearest known one."""
    known = dict.fromkeys(chain(routes, chain.from_iterable(offers.values())))
    shown = model if len(model) <= 100 else model[:97] + "..."
    prefix, slash, _ = model.partition("/")
    if model == "auto":
        hint = "It stands for a key's preferred models, and this key has none: shareai key create --help"
    elif slash and (close := nearest(prefix, providers)):
        hint = f"Did you mean the provider '{close}'?"
    elif near := nearest(model, known):
        hint = f"Did you mean '{near}'?"
    else:
        hint = "GET /v1/models lists what can be asked for."
    return UnknownModel(f"The model '{shown}' is not known here.", hint=hint, param="model")


def choose(plan: Plan, standing: Callable[[Target], Standing], chance: Callable[[], float]) -> Choice:
    """Order a plan's targets: those that serve in the strategy's order, else the least bad ejected one.

    `chance` returns a random number in [0, 1). Targets that cool or are put aside are left out.
    """
    serving: list[RouteTarget] = []
    ejected: list[tuple[float, Target]] = []
    left_alone: list[Standing] = []
    for one in plan.targets:
        now = standing(one.target)
        if now.state is State.SERVING or now.state is State.TRIAL:
            serving.append(one)
        elif now.state is State.EJECTED or now.state is State.PROBING:
            ejected.append((now.until, one.target))
        else:
            left_alone.append(now)
    if serving:
        return Choice(plan.route, in_order(plan.strategy, serving, chance))
    if ejected:
        least_bad = sorted(ejected, key=lambda pair: pair[0])
        return Choice(plan.route, tuple(target for _, target in least_bad))
    soonest = min(left_alone, key=lambda one: one.until)
    is_missing = all(one.is_missing for one in left_alone)
    return Choice(plan.route, (), soonest.until, soonest.reason, is_missing)


def in_order(
    strategy: str, targets: Sequence[RouteTarget], chance: Callable[[], float]
) -> tuple[Target, ...]:
    """Order targets by `priority` (as listed) or `weighted`.

    Weighted is a random sample without replacement whose first element falls on each target in
    proportion to its weight: Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006.
    """
    if strategy == "weighted" and len(targets) > 1:
        drawn = sorted(targets, key=lambda one: _draw(one.weight, chance()), reverse=True)
        return tuple(one.target for one in drawn)
    return tuple([one.target for one in targets])


def _draw(weight: int, chance: float) -> float:
    return float((1.0 - chance) ** (1.0 / weight)) if weight > 0 else -1.0
