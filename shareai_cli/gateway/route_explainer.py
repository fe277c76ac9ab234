"""Explains how requests are routed: by a gateway's live figures, or by configuration and catalogue."""

from __future__ import annotations

import time
from collections.abc import Collection
from functools import partial

from msgspec.structs import replace

from shareai_cli.config import Settings
from shareai_cli.gateway.body import decode_fields, required_array, required_string
from shareai_cli.gateway.current import Current
from shareai_cli.gateway.models import Catalogue
from shareai_cli.gateway.overrides import Orders
from shareai_cli.gateway.router import named_plan, offered_plan, unknown_model
from shareai_cli.gateway.strategies.board import Board, StandingOf
from shareai_cli.gateway.strategies.candidates import Facts
from shareai_cli.gateway.strategies.explanation import explain
from shareai_cli.gateway.strategies.picker import plan_board
from shareai_cli.gateway.strategies.shape import Shape, shape_of
from shareai_cli.overrides import NO_OVERRIDES, Overrides
from shareai_cli.types import LONGEST_MODEL, NODE, Clock, RouteExplanation, TargetPlace


class RouteExplainer:
    """Explains requests to a running gateway, none of which is sent on."""

    def __init__(self, current: Current, clock: Clock = time.monotonic) -> None:
        self._current = current
        self._clock = clock

    async def explain(self, body: bytes) -> RouteExplanation:
        """Explain what would become of a chat completion's request; `UnknownModel`, `MalformedRequest`."""
        model, shape = read_request(body)
        current = self._current
        board = await current.board(model)
        return _explain(
            model, shape, board, current.standing, self._clock(), current.settings, current.orders
        )


def explain_offline(
    settings: Settings,
    body: bytes,
    facts: Facts,
    catalogue: Catalogue,
    clock: Clock = time.monotonic,
    overrides: Overrides = NO_OVERRIDES,
) -> RouteExplanation:
    """Explain the same without a gateway: nothing is known of how targets stand, nor measured."""
    model, shape = read_request(body)
    providers = (*settings.providers, NODE)
    plan = named_plan(model, settings.routes, providers)
    if plan is None:
        offers: dict[str, Collection[str]] = {NODE: [one.id for one in settings.local.models]}
        for name, one in settings.providers.items():
            offers[name] = one.models or catalogue(one.price_as or "")
        plan = offered_plan(model, offers)
        if plan is None:
            raise unknown_model(model, settings.routes, providers, offers)
    orders = Orders(overrides)
    weighted = replace(settings, routes={name: orders.weighted(one) for name, one in settings.routes.items()})
    board = plan_board(plan, weighted, facts, clock)
    return _explain(model, shape, board, None, clock(), settings, orders)


def _explain(
    model: str,
    shape: Shape,
    board: Board,
    standing: StandingOf | None,
    now: float,
    settings: Settings,
    orders: Orders,
) -> RouteExplanation:
    route = board.route.name
    held = partial(orders.standing, route)
    explained = explain(model, shape, board, standing, now, settings.limits, held)
    if route not in settings.routes or not orders.concern(settings.routes[route]):
        return explained
    declared = {one.target.name: one.weight for one in settings.routes[route].targets}
    places = (_noted(one, declared[one.target]) for one in explained.targets)
    return replace(explained, targets=tuple(places))


def _noted(one: TargetPlace, declared: int) -> TargetPlace:
    """Return a place that says so where another weight was ordered than the declared one."""
    if one.weight == declared:
        return one
    note = f"its weight is {one.weight} by hand, {declared} in the configuration"
    return replace(one, reason="; ".join(filter(None, (one.reason, note))))


def read_request(body: bytes) -> tuple[str, Shape]:
    """Return the model and the shape of a chat completion's request; raises `MalformedRequest`."""
    fields = decode_fields(body)
    model = required_string(fields, "model", LONGEST_MODEL)
    required_array(fields, "messages")
    return model, shape_of(fields)
