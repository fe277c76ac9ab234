"""Parts of a gateway that do their work badly, to be composed with sound ones: a drill has to notice each."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from msgspec.structs import replace

from shareai_cli.errors import NoTargetLeft, RateLimited
from shareai_cli.gateway.body import decode_fields, raw_string
from shareai_cli.gateway.cache import Cache
from shareai_cli.gateway.current import Current
from shareai_cli.gateway.exchange import Choice, Exchange, Handler, Reply, Replying
from shareai_cli.gateway.failover import Failover
from shareai_cli.gateway.health import Health
from shareai_cli.gateway.hedging import Hedge
from shareai_cli.gateway.limits import Limiter
from shareai_cli.gateway.path import End, Makers
from shareai_cli.gateway.retries import RetryBudget
from shareai_cli.gateway.upstream import Upstream
from shareai_cli.gateway.verdict import Effect, Verdict
from shareai_cli.ledger import Closed, Ledger, Opened
from shareai_cli.types import Clock, Limits, Subject, Target
from shareai_cli.wire.message import PushedBody, Writer


class Rerouted:
    """A configuration in force whose targets are changed by `change` before they are tried."""

    def __init__(self, current: Current, change: Callable[[list[Target]], list[Target]]) -> None:
        self._current = current
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._current, name)

    def route(self, exchange: Exchange) -> Choice | None:
        choice = self._current.route(exchange)
        if choice is None or len(choice.targets) < 2:
            return choice
        return replace(choice, targets=tuple(self._change(list(choice.targets))))


def rerouting(change: Callable[[list[Target]], list[Target]]) -> Makers:
    """Return what makes a failover that tries other targets than it should."""

    def make(current: Current, upstream: Upstream, health: Health, clock: Clock) -> End:
        surroundings: Any = Rerouted(current, change)
        return Failover(surroundings, upstream, health, RetryBudget(clock), clock)

    return Makers(failover=make)


def noting(note: Callable[[Verdict], Verdict | None]) -> Makers:
    """Return what makes a failover that takes in of failures what `note` says, or nothing."""

    class Misled(Health):
        def __init__(self, health: Health, clock: Clock) -> None:
            super().__init__(clock)
            self._true = health

        def failed(self, target: Target, key: str, verdict: Verdict, **more: Any) -> None:
            taken = note(verdict)
            if taken is not None:
                self._true.failed(target, key, taken, **more)

        def succeeded(self, target: Target) -> None:
            self._true.succeeded(target)

        @property
        def untroubled(self) -> bool:
            return self._true.untroubled

        def key_standing(self, target: Target, key: str) -> Any:
            return self._true.key_standing(target, key)

    def make(current: Current, upstream: Upstream, health: Health, clock: Clock) -> End:
        return Failover(current, upstream, Misled(health, clock), RetryBudget(clock), clock)

    return Makers(failover=make)


def forgetful() -> Makers:
    """Return what makes a failover that ejects nobody, and lets nobody rest."""
    return noting(lambda verdict: None)


def unforgiving() -> Makers:
    """Return what makes a failover that puts aside for long whoever fails."""
    return noting(lambda verdict: Verdict(Effect.SHELVE_TARGET))


def handling(around: Callable[[Handler], Handler]) -> Makers:
    """Return what makes a failover with something put around it."""

    class Surrounded:
        allowance = None
        hedges: Mapping[str, Hedge] = {}

        def __init__(self, end: End) -> None:
            self.handle = around(end.handle)

    def make(current: Current, upstream: Upstream, health: Health, clock: Clock) -> Any:
        return Surrounded(Failover(current, upstream, health, RetryBudget(clock), clock))

    return Makers(failover=make)


def hasty(inner: Handler) -> Handler:
    """Tell clients nothing of when to try again."""

    async def handle(exchange: Exchange) -> Reply:
        try:
            return await inner(exchange)
        except NoTargetLeft as error:
            raise NoTargetLeft(error.message) from None

    return handle


def whitewashing(inner: Handler) -> Handler:
    """End streams that broke off as if they were whole."""

    async def handle(exchange: Exchange) -> Reply:
        reply = await inner(exchange)
        if isinstance(reply.body, PushedBody):
            reply.body = _Whitewashed(reply.body)
        return reply

    return handle


class _Whitewashed(PushedBody):
    def __init__(self, body: PushedBody) -> None:
        self._body = body

    def start(self, writer: Writer) -> None:
        self._writer = writer
        self._body.start(self)

    def pause(self) -> None:
        self._body.pause()

    def resume(self) -> None:
        self._body.resume()

    def close(self) -> None:
        self._body.close()

    def write(self, piece: bytes) -> None:
        self._writer.write(b"data: [DONE]\n\n" if b'"error"' in piece else piece)

    def end(self) -> None:
        self._writer.end()

    def fail(self, error: Exception) -> None:
        self._writer.fail(error)


class CarelessCache(Cache):
    """Takes every two requests to a route for equal."""

    def stage(self, inner: Handler) -> Handler:
        def restored(exchange: Exchange) -> Coroutine[Any, Any, Reply]:
            exchange.fields = decode_fields(exchange.request.body)
            return inner(exchange)

        stage = super().stage(restored)

        def handle(exchange: Exchange) -> Replying:
            exchange.fields = {"model": raw_string(exchange.model)}
            return stage(exchange)

        return handle


class LeakyCache(Cache):
    """Gives everybody what was kept for anybody."""

    def stage(self, inner: Handler) -> Handler:
        stage = super().stage(inner)

        def handle(exchange: Exchange) -> Replying:
            if exchange.caller is not None:
                exchange.caller = replace(exchange.caller, team="everybody")
            return stage(exchange)

        return handle


class WastefulCache(Cache):
    """Has every request answered anew, whatever was kept or is under way."""

    def stage(self, inner: Handler) -> Handler:
        stage = super().stage(inner)

        def handle(exchange: Exchange) -> Replying:
            exchange.request.headers[b"cache-control"] = b"no-cache"
            return stage(exchange)

        return handle


class Books:
    """The accounts, whose entries go through `change` first; None is not written at all."""

    def __init__(self, ledger: Ledger, change: Callable[[Closed], Closed | None]) -> None:
        self._ledger = ledger
        self._change = change
        self.salt = ledger.salt
        self.store = ledger.store
        self.newest_request = ledger.newest_request
        self.costs = ledger.costs

    def opened(self, entry: Opened) -> None:
        """Write nothing: the end of a request says all of it again."""

    def closed(self, entry: Closed) -> None:
        changed = self._change(entry)
        if changed is not None:
            self._ledger.closed(changed)

    def state(self) -> Any:
        return self._ledger.state()

    async def settled(self) -> None:
        await self._ledger.settled()


class AbsentLimiter(Limiter):
    """Limits nothing."""

    is_on = False
    limits_attempts = False


class GenerousLimiter(Limiter):
    """Lets one request more come than it should, of whatever kind."""

    def begin(self, limits: Mapping[Subject, Limits]) -> None:
        super().begin({subject: _one_more(one) for subject, one in limits.items()})


class ForgetfulLimiter(Limiter):
    """Takes for under way what has ended."""

    def settle(self, entry: Closed) -> None:
        """Settle nothing."""


class SpendingLimiter(Limiter):
    """Keeps no budget."""

    limits_attempts = False


class SilentLimiter(Limiter):
    """Refuses without a word of when to come back."""

    def stage(self, inner: Handler) -> Handler:
        stage = super().stage(inner)

        def handle(exchange: Exchange) -> Replying:
            try:
                return stage(exchange)
            except RateLimited as error:
                raise RateLimited(error.message) from None

        return handle


class LateLimiter(Limiter):
    """Refuses only once a target was asked."""

    def stage(self, inner: Handler) -> Handler:
        async def handle(exchange: Exchange) -> Reply:
            reply = await inner(exchange)
            self._admit(exchange)
            return reply

        return handle


def _one_more(limits: Limits) -> Limits:
    return Limits(
        rates=tuple(replace(one, most=one.most + 1) for one in limits.rates),
        concurrent=None if limits.concurrent is None else limits.concurrent + 1,
    )
