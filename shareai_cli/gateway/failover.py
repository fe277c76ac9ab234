"""Tries a request's targets one after another, until one answers or the budget is spent.

Deciding is the router's and health's part; here is only the acting. The last stage of the path.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from shareai_cli.errors import NoTargetLeft, ShareAIError, UnknownModel, UpstreamError
from shareai_cli.gateway.endpoints import Endpoint, EndpointKey
from shareai_cli.gateway.exchange import Choice, Exchange, Reply, Replying
from shareai_cli.gateway.health import LEFT_ALONE, Health, Standing, State
from shareai_cli.gateway.hedging import Hedge
from shareai_cli.gateway.retries import RetryBudget
from shareai_cli.gateway.upstream import Failure, Upstream
from shareai_cli.gateway.verdict import FAILED, Effect
from shareai_cli.types import Attempt, Clock, Target

MOST_ATTEMPTS = 16
TOTAL_SECONDS = 600.0
"""The budget of one request: attempts, and the time in which any but the first has to have answered."""

SHORTEST_RETRY_AFTER = 1.0

FOR_ALL_KEYS = (Effect.FAILED, Effect.SHELVE_TARGET, Effect.NOT_SERVED)
"""What another key of the same target would change nothing about."""

MISSING = (404, 410)
"""Statuses that say that there is no such model."""


class Surroundings(Protocol):
    """What this stage asks of the configuration in force. What is known is answered without a wait."""

    def route(self, exchange: Exchange) -> Choice | None:
        """Return the targets of a request by its model; None where that has to be looked up.

        Raises `NoTargetFits` where none of a route's can serve what is asked for.
        """

    async def look_up(self, exchange: Exchange) -> Choice:
        """Return the targets that a model means after asking who offers it; raises `UnknownModel`."""

    def endpoint(self, provider: str) -> Endpoint | None:
        """Return where a provider or node is; None where that has to be waited for."""

    async def await_endpoint(self, provider: str) -> Endpoint:
        """Return where a provider or node is; raises `UpstreamError` where it is not there just now."""

    def standing(self, target: Target) -> Standing:
        """Tell how a target stands."""

    def held(self, route: str, target: Target) -> Standing | None:
        """Tell how a target of a route stands that is to get no requests, by order; None for all others."""


class Allowance(Protocol):
    """Who may forbid attempts: there is one while something limits targets or money."""

    def enter(self, exchange: Exchange, target: Target, endpoint: Endpoint) -> ShareAIError | None:
        """Take what asking a target may cost; returns what stands against it, and then takes nothing."""

    def leave(self, exchange: Exchange, target: Target) -> None:
        """Take in that a target gave no answer."""


class Failover:
    """The stage that sends requests upstream."""

    def __init__(
        self,
        surroundings: Surroundings,
        upstream: Upstream,
        health: Health,
        retries: RetryBudget,
        clock: Clock,
    ) -> None:
        self._surroundings = surroundings
        self._upstream = upstream
        self._health = health
        self._retries = retries
        self._clock = clock
        self.hedges: Mapping[str, Hedge] = {}
        self.allowance: Allowance | None = None

    def handle(self, exchange: Exchange) -> Replying:
        """Answer from the first target that can; raises `NoTargetLeft` where none can.

        Raises `UnknownModel` where each said that it has no such model, `NoTargetFits` where none can do what
        is asked for, and what the allowance says where it forbids all of them.
        """
        choice = self._surroundings.route(exchange)
        return self._send(exchange, choice) if choice is not None else self._look_up(exchange)

    async def _look_up(self, exchange: Exchange) -> Reply:
        return await self._send(exchange, await self._surroundings.look_up(exchange))

    def _send(self, exchange: Exchange, choice: Choice) -> Replying:
        exchange.route = choice.route
        exchange.accounts.begin(exchange)
        self._retries.count_request()
        if self.hedges and (hedge := self.hedges.get(choice.route)) is not None:
            return self._hedged(exchange, choice, hedge)
        return self._walk(exchange, choice, choice.targets, [])

    async def _hedged(self, exchange: Exchange, choice: Choice, hedge: Hedge) -> Reply:
        """Answer from whoever of two is first; the reasons are those of both."""
        reasons: list[str] = []
        reply = await hedge.answer(
            exchange,
            iter(choice.targets),
            lambda one, targets: self._walk(one, choice, targets, reasons),
            MOST_ATTEMPTS,
        )
        if reply is None:
            raise self._nothing_left(exchange, choice, reasons)
        if choice.answered_by is not None:
            choice.answered_by(exchange.target)
        return reply

    async def _walk(
        self, exchange: Exchange, choice: Choice, targets: Iterable[Target], reasons: list[str]
    ) -> Reply:
        """Ask targets one after another until one answers; why each did not is added to the reasons."""
        surroundings, health, allowance = self._surroundings, self._health, self.allowance
        forbidden: list[ShareAIError] = []
        for target in targets:
            endpoint = surroundings.endpoint(target.provider)
            if endpoint is None:
                endpoint = await self._await_endpoint(exchange, target, reasons)
                if endpoint is None:
                    continue
            if allowance is not None:
                against = allowance.enter(exchange, target, endpoint)
                if against is not None:
                    forbidden.append(against)
                    reasons.append(f"{target.name}: {against.message}")
                    continue
            keys = endpoint.rotation()
            for key in keys if health.untroubled else self._usable(target, keys):
                if exchange.attempts and not self._may_retry(exchange, target):
                    break
                now = health.asked(target)
                try:
                    result = await self._ask(exchange, endpoint, target, key, now)
                except BaseException:
                    health.abandoned(target)
                    if allowance is not None:
                        allowance.leave(exchange, target)
                    raise
                if isinstance(result, Reply):
                    health.succeeded(target)
                    return result
                self._failed(exchange, target, key.fingerprint, now, result)
                reasons.append(f"{target.name}: {result.reason}")
                if result.verdict.effect in FOR_ALL_KEYS:
                    break
            if allowance is not None:
                allowance.leave(exchange, target)
        if forbidden and not exchange.attempts:
            raise min(forbidden, key=lambda one: (one.retry_useless, one.retry_after or 0.0))
        raise self._nothing_left(exchange, choice, reasons)

    async def _await_endpoint(
        self, exchange: Exchange, target: Target, reasons: list[str]
    ) -> Endpoint | None:
        """Return where a target is, waited for; None, and the attempt noted, where it is not there."""
        try:
            return await self._surroundings.await_endpoint(target.provider)
        except UpstreamError as error:
            exchange.attempts.append(Attempt(target.name, "", error.outcome, 0, 0))
            reasons.append(f"{target.name}: {error.message}")
            self._failed(exchange, target, "", self._clock(), Failure(FAILED, error.message))
            return None

    def _ask(
        self, exchange: Exchange, endpoint: Endpoint, target: Target, key: EndpointKey, now: float
    ) -> Coroutine[Any, Any, Reply | Failure]:
        remaining = exchange.started + TOTAL_SECONDS - now if exchange.attempts else math.inf
        broken = partial(self._broken, exchange, target, key.fingerprint, now) if exchange.streamed else None
        return self._upstream.attempt(exchange, endpoint, target, key, now, remaining, broken)

    def _broken(
        self, exchange: Exchange, target: Target, key: str, asked_at: float, error: UpstreamError
    ) -> None:
        self._failed(exchange, target, key, asked_at, Failure(FAILED, error.message))

    def _failed(
        self, exchange: Exchange, target: Target, key: str, asked_at: float, failure: Failure
    ) -> None:
        self._health.failed(
            target,
            key,
            failure.verdict,
            request=exchange.identity,
            asked_at=asked_at,
            reason=failure.reason,
        )

    def _usable(self, target: Target, keys: Sequence[EndpointKey]) -> Sequence[EndpointKey]:
        """Return the keys without those that are left alone."""
        return [
            key for key in keys if self._health.key_standing(target, key.fingerprint).state is State.SERVING
        ]

    def _may_retry(self, exchange: Exchange, target: Target) -> bool:
        """Whether the request's budget, and the one for retries, leave another attempt.

        A target that is well may always be asked: moving on to it makes no outage worse.
        """
        is_late = self._clock() >= exchange.started + TOTAL_SECONDS
        # Each of those that make attempts may be about to make another one, as this one is.
        tried = sum(len(one) + 1 for one in exchange.beside or (exchange.attempts,))
        if is_late or tried > MOST_ATTEMPTS:
            return False
        if self._surroundings.held(exchange.route, target) is not None:  # since the request came
            return False
        return not self._health.has_failed(target) or self._retries.take()

    def _nothing_left(
        self, exchange: Exchange, choice: Choice, reasons: list[str]
    ) -> NoTargetLeft | UnknownModel:
        name, attempts = exchange.model, exchange.attempts
        is_missing = bool(attempts) and all(one.status in MISSING for one in attempts)
        if choice.is_missing or (is_missing and len(attempts) >= len(choice.targets)):
            return UnknownModel(
                f"No provider has '{name}' ({'; '.join(reasons) or choice.reason}).",
                hint="GET /v1/models lists what can be asked for.",
                param="model",
            )
        if not choice.targets:
            wait = max(SHORTEST_RETRY_AFTER, choice.returns_at - self._clock())
            why = f": {choice.reason}" if choice.reason else ""
            message = f"Every target of '{name}' is left alone just now{why}."
        else:
            wait = max(SHORTEST_RETRY_AFTER, self._returns_at(choice.targets) - self._clock())
            message = f"No target of '{name}' could answer ({'; '.join(reasons) or 'too many retries'})."
        return NoTargetLeft(
            message, hint="'shareai status' shows the state of every target.", retry_after=wait
        )

    def _returns_at(self, targets: Collection[Target]) -> float:
        """Return when one of the targets may be asked again: an ejected one may at once, as the least bad."""
        standings = [self._surroundings.standing(target) for target in targets]
        return min(one.until if one.state in LEFT_ALONE else 0.0 for one in standings)
