"""Requests, their ends, and accounts in memory, as the tests of limits need them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterator
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from msgspec import Raw

from shareai_cli.gateway.endpoints import Endpoint
from shareai_cli.gateway.exchange import Accounts, Exchange
from shareai_cli.gateway.limits.truth import target_of
from shareai_cli.ledger import Closed, Costs, PastUse, UseQuestion, UseSum, broken_attempts
from shareai_cli.ledger.costs import PricedTarget
from shareai_cli.types import Attempt, Caller, Limits, LimitUse, Outcome, RateLimit, Subject, Usage, Window
from shareai_cli.wire.message import Request
from tests.support.gateway import NOW, FakePrices

NOW_MS = int(NOW * 1000)
Result = TypeVar("Result")

ORGANIZATION = Subject("organization")
NODE_TARGET = "node/own"


def endpoint_of(target: str) -> Endpoint:
    """Return all that limits want to know of where a target is."""
    return cast(Endpoint, SimpleNamespace(price_as="node" if target == NODE_TARGET else "priced"))


def rate(most: int, window: Window = "minute", measure: Any = "requests") -> Limits:
    """Return a single limit of a rate."""
    return Limits(rates=(RateLimit(measure, window, most),))


def exchange_of(
    identity: int, time_ms: int, caller: Caller, model: str = "chat", size: int = 40, longest: int | None = 10
) -> Exchange:
    """Return a request of so many bytes, all of them its messages."""
    messages = b'["' + b"x" * (size - 4) + b'"]'
    fields = {"model": Raw(b'"%b"' % model.encode()), "messages": Raw(messages)}
    if longest is not None:
        fields["max_tokens"] = Raw(b"%d" % longest)
    request = Request("POST", "/v1/chat/completions", "", "1.1", {}, messages)
    return Exchange(request, cast(Accounts, None), identity, time_ms, 0.0, caller, fields, model, attempts=[])


def end_of(exchange: Exchange, outcome: Outcome, usage: Usage | None = None) -> Closed:
    """Return the entry of a request that ended so."""
    caller = exchange.caller
    assert caller is not None
    return Closed(
        exchange.identity,
        exchange.time_ms,
        caller.key_id,
        caller.team,
        exchange.route,
        exchange.target,
        "priced" if exchange.target and exchange.target != NODE_TARGET else "",
        exchange.target.partition("/")[2],
        "",
        200,
        False,
        outcome,
        "",
        tuple(exchange.attempts),
        usage,
        len(exchange.request.body),
        0,
        0,
        0,
        b"",
    )


def attempt(exchange: Exchange, target: str, outcome: str = "ok", status: int = 200) -> None:
    """Note an attempt as the stage that makes them does."""
    exchange.target = target
    exchange.attempts.append(Attempt(target, "", outcome, status, 1))


class Rows:
    """Accounts in memory: what the database's sums are to be, worked out row by row."""

    def __init__(self) -> None:
        self.entries: list[Closed] = []
        self.costs = Costs(FakePrices)
        self._taken: dict[int, tuple[int, int]] = {}
        self._price_as: dict[str, str] = {}

    def add(self, entry: Closed) -> None:
        """Write the row of a request, with its cost by the prices that targets were seen to have so far."""
        self.entries.append(entry)
        target = self._priced(target_of(entry), entry.price_as)
        broken = [self._priced(one.target, one.price_as) for one in broken_attempts(entry)]
        cost = self.costs.of(entry, target, broken)
        usage = cost.usage
        tokens = usage.prompt + usage.cached + usage.cache_write + usage.completion + usage.reasoning
        self._taken[entry.request] = (tokens, cost.nano or 0)

    def _priced(self, name: str, price_as: str) -> PricedTarget:
        if price_as or name not in self._price_as:
            self._price_as[name] = price_as
        return PricedTarget.named(name, 0, self._price_as[name])

    async def settled(self) -> None:
        pass

    def past_use(
        self, questions: Collection[UseQuestion], ended: Callable[[], Collection[int]] = tuple
    ) -> PastUse:
        sums = {question: list(self._sums(question)) for question in questions}
        there = {entry.request for entry in self.entries}
        return PastUse(sums, there.intersection(ended()), self._price_as)

    def cost(self, entry: Closed) -> tuple[int, int]:
        """Return a request's tokens and nano-dollars."""
        return self._taken[entry.request]

    def of(self, subject: Subject) -> Iterator[Closed]:
        """Return the rows of a subject."""
        for entry in self.entries:
            if (
                subject.scope == "organization"
                or (subject.scope == "team" and entry.team == subject.name)
                or (subject.scope == "key" and entry.caller_key in subject.keys)
                or (subject.scope == "route" and entry.route == subject.name)
                or (subject.scope == "target" and target_of(entry) == subject.name)
            ):
                yield entry

    def _sums(self, question: UseQuestion) -> Iterator[UseSum]:
        uncounted = [Outcome.REFUSED]
        if question.subject.scope == "target":
            uncounted += [Outcome.HIT, Outcome.JOINED]
        for entry in self.of(question.subject):
            if entry.time_ms >= question.since_ms:
                slot_ms = question.slot_ms or 1
                yield UseSum(
                    entry.time_ms // slot_ms * slot_ms, int(entry.outcome not in uncounted), *self.cost(entry)
                )


def begun(coroutine: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
    """Return the task of something that goes on beside the test, which waits for it."""
    return asyncio.get_running_loop().create_task(coroutine)


def by_name(uses: Collection[LimitUse]) -> dict[tuple[str, str], LimitUse]:
    """Return how much is used, by subject and limit."""
    return {(one.subject, one.limit): one for one in uses}
