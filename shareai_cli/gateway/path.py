"""The whole path of a request, the stages in the order in which it meets them, in production and drills."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from shareai_cli.gateway.auth import Keys, auth
from shareai_cli.gateway.cache import Cache
from shareai_cli.gateway.current import Current
from shareai_cli.gateway.exchange import Handler, Stage, understand
from shareai_cli.gateway.failover import Failover
from shareai_cli.gateway.health import Health
from shareai_cli.gateway.keep_alive import keep_alive
from shareai_cli.gateway.limits import limits
from shareai_cli.gateway.permission import permission
from shareai_cli.gateway.retries import RetryBudget
from shareai_cli.gateway.upstream import Upstream
from shareai_cli.types import Clock


def failover(current: Current, upstream: Upstream, health: Health, clock: Clock) -> Handler:
    """Return the path's end, which sends requests upstream, with a budget of retries of its own."""
    return Failover(current, upstream, health, RetryBudget(clock), clock).handle


class Makers(Struct, frozen=True):
    """What makes the stages that have a state of their own, for production and for each drill alike."""

    failover: Callable[[Current, Upstream, Health, Clock], Handler] = failover
    cache: Callable[..., Cache] = Cache


def compose(recorder: Stage, keys: Keys, current: Current, cache: Cache, end: Handler) -> Handler:
    """Return the path, for the keys and the settings as they are now."""
    stages: list[Stage] = [recorder, auth(keys), understand]
    if keys.are_restricted:
        stages.append(permission(current))
    stages += [limits, keep_alive(lambda: current.settings.server.keep_alive_comments)]
    if cache.is_on:
        stages.append(cache.stage)
    handler = end
    for stage in reversed(stages):
        handler = stage(handler)
    return handler
