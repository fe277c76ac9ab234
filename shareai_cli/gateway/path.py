"""The whole path of a request, the stages in the order in which it meets them, in production and drills."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from shareai_cli.gateway.auth import Keys, auth
from shareai_cli.gateway.cache import Cache
from shareai_cli.gateway.current import Current
from shareai_cli.gateway.exchange import Exchange, Handler, Replying, Stage, understand, understand_as
from shareai_cli.gateway.failover import Allowance, Failover
from shareai_cli.gateway.health import Health
from shareai_cli.gateway.hedging import Hedge
from shareai_cli.gateway.keep_alive import keep_alive
from shareai_cli.gateway.kinds import CHAT, Kind
from shareai_cli.gateway.limits import Limiter
from shareai_cli.gateway.permission import permission
from shareai_cli.gateway.retries import RetryBudget
from shareai_cli.gateway.upstream import Upstream
from shareai_cli.types import Clock


class End(Protocol):
    """The path's end, which sends requests upstream."""

    allowance: Allowance | None
    """Who may forbid attempts; None where nothing does."""
    hedges: Mapping[str, Hedge]
    """Those of the routes that ask a second target."""

    def handle(self, exchange: Exchange) -> Replying:
        """Answer a request."""


def failover(current: Current, upstream: Upstream, health: Health, clock: Clock) -> End:
    """Return the path's end with a budget of retries of its own."""
    return Failover(current, upstream, health, RetryBudget(clock), clock)


class Makers(Struct, frozen=True):
    """What makes the parts that have a state of their own, for production and for each drill alike."""

    failover: Callable[[Current, Upstream, Health, Clock], End] = failover
    cache: Callable[..., Cache] = Cache
    limiter: Callable[..., Limiter] = Limiter


def compose(
    recorder: Stage,
    keys: Keys,
    current: Current,
    limiter: Limiter,
    attempts: Allowance,
    cache: Cache,
    end: End,
    kind: Kind = CHAT,
) -> Handler:
    """Return the path of one kind of request, for the keys, the limits and the settings as they are now."""
    end.allowance = attempts if limiter.limits_attempts else None
    stages: list[Stage] = [recorder, auth(keys), understand if kind is CHAT else understand_as(kind)]
    if keys.are_restricted:
        stages.append(permission(current))
    if limiter.is_on:
        stages.append(limiter.stage)
    stages.append(keep_alive(lambda: current.settings.server.keep_alive_comments))
    if cache.is_on:
        stages.append(cache.stage)
    handler: Handler = end.handle
    for stage in reversed(stages):
        handler = stage(handler)
    return handler
