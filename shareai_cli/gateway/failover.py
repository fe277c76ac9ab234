"""Tries a request's targets one after another, until one answers or the budget is spent.

Deciding is the router's and health's part; here is only the acting. The last stage of the path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from shareai_cli.errors import NoTargetLeft, UpstreamError
from shareai_cli.gateway.endpoints import Endpoint, EndpointKey
from shareai_cli.gateway.exchange import Choice, Exchange, Reply
from shareai_cli.gateway.health import LEFT_ALONE, Health, Standing, State
from shareai_cli.gateway.retries import RetryBudget
from shareai_cli.gateway.upstream import Failure, Upstream
from shareai_cli.gateway.verdict import FAILED, Effect
from shareai_cli.types import Attempt, Clock, Target

MOST_ATTEMPTS = 16
TOTAL_SECONDS = 600.0
"""The budget of one request: attempts, and the time in which the last of them has to have answered."""

SHORTEST_RETRY_AFTER = 1.0

Router = Callable[[Exchange], Awaitable[Choice]]
FindEndpoint = Callable[[str], Awaitable[Endpoint]]
"""Raises `UpstreamError` where the provider or node is not there just now."""

FindStanding = Callable[[Target], Standing]


class Failover:
    """The stage that sends requests upstream."""

    def __init__(
        self,
        router: Router,
        upstream: Upstream,
        health: Health,
        retries: RetryBudget,
        find_endpoint: FindEndpoint,
        find_standing: FindStanding,
        clock: Clock,
    ) -> None:
        self._router = router
        self._upstream = upstream
        self._health = health
        self._retries = retries
        self._find_endpoint = find_endpoint
        self._find_standing = find_standing
        self._clock = clock

    async def __call__(self, exchange: Exchange) -> Reply:
        """Answer from the first target that can; raises `NoTargetLeft` where none can."""
        route = await self._router(exchange)
        exchange.route = route.route
        exchange.begin()
        self._retries.count_request()
        until = self._clock() + TOTAL_SECONDS
        reasons: list[str] = []
        for target in route.targets:
            reply = await self._try_target(exchange, target, until, reasons)
            if reply is not None:
                return reply
        raise self._nothing_left(exchange, route, reasons)

    async def _try_target(
        self, exchange: Exchange, target: Target, until: float, reasons: list[str]
    ) -> Reply | None:
        """Try a target with each of its keys that may be used; None sends the request on."""
        try:
            endpoint = await self._find_endpoint(target.provider)
        except UpstreamError as error:
            exchange.attempts.append(Attempt(target.name, "", error.outcome, 0, 0))
            reasons.append(f"{target.name}: {error.message}")
            self._failed(exchange, target, "", Failure(FAILED, error.message), self._clock())
            return None
        for key in self._usable(target, endpoint):
            remaining = until - self._clock()
            if remaining <= 0 or not self._may_ask(exchange, target):
                return None
            result = await self._ask(exchange, endpoint, target, key, remaining)
            if isinstance(result, Reply):
                return result
            reasons.append(f"{target.name}: {result.reason}")
            if result.verdict.effect in (Effect.FAILED, Effect.SHELVE_TARGET):
                return None
        return None

    async def _ask(
        self, exchange: Exchange, endpoint: Endpoint, target: Target, key: EndpointKey, remaining: float
    ) -> Reply | Failure:
        health = self._health
        asked_at = health.asked(target)

        def broken(error: UpstreamError) -> None:
            self._failed(exchange, target, key.fingerprint, Failure(FAILED, error.message), asked_at)

        result: Reply | Failure | None = None
        try:
            result = await self._upstream.attempt(exchange, endpoint, target, key, remaining, broken)
        finally:
            if result is None:
                health.abandoned(target)
        if isinstance(result, Reply):
            health.succeeded(target)
        else:
            self._failed(exchange, target, key.fingerprint, result, asked_at)
        return result

    def _failed(
        self, exchange: Exchange, target: Target, key: str, failure: Failure, asked_at: float
    ) -> None:
        self._health.failed(
            target,
            key,
            failure.verdict,
            request=exchange.identity,
            asked_at=asked_at,
            reason=failure.reason,
        )

    def _usable(self, target: Target, endpoint: Endpoint) -> list[EndpointKey]:
        """Return the keys to try in turn, those that are left alone left out."""
        keys = endpoint.rotation()
        if self._health.untroubled:
            return keys
        return [
            key for key in keys if self._health.key_standing(target, key.fingerprint).state is State.SERVING
        ]

    def _may_ask(self, exchange: Exchange, target: Target) -> bool:
        """Whether the request's budget, and the one for retries, leave another attempt.

        A target that is well may always be asked: moving on to it makes no outage worse.
        """
        if not exchange.attempts:
            return True
        if len(exchange.attempts) >= MOST_ATTEMPTS:
            return False
        return not self._health.has_failed(target) or self._retries.take()

    def _nothing_left(self, exchange: Exchange, route: Choice, reasons: list[str]) -> NoTargetLeft:
        name = exchange.model
        if not route.targets:
            wait = max(SHORTEST_RETRY_AFTER, route.returns_at - self._clock())
            why = f": {route.reason}" if route.reason else ""
            message = f"Every target of '{name}' is left alone just now{why}."
        else:
            wait = max(SHORTEST_RETRY_AFTER, self._returns_at(route.targets) - self._clock())
            message = f"No target of '{name}' could answer ({'; '.join(reasons) or 'too many retries'})."
        return NoTargetLeft(
            message, hint="'shareai status' shows the state of every target.", retry_after=wait
        )

    def _returns_at(self, targets: Sequence[Target]) -> float:
        """Return when one of the targets may be asked again: an ejected one may at once, as the least bad."""
        standings = [self._find_standing(target) for target in targets]
        return min(one.until if one.state in LEFT_ALONE else 0.0 for one in standings)
