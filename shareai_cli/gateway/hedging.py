"""Asks a second target beside one that does not answer: who has content first wins, the other is given up.

Each of the two goes its own way through the route's targets, taking the next one that nobody was asked yet,
with a copy of the exchange; what the winner found out becomes the exchange's own. Nobody is asked beside
once content is there, so the client never sees two answers. Dean and Barroso, "The tail at scale", 2013.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from msgspec.structs import replace

from shareai_cli.config import HedgeSettings, RouteSettings
from shareai_cli.errors import NoTargetLeft, ShareAIError, UnknownModel
from shareai_cli.gateway.exchange import Exchange, Reply
from shareai_cli.gateway.relay import Relay
from shareai_cli.types import Attempt, Target
from shareai_cli.wire.message import PushedBody

WINDOW: Final = 100
LEAST: Final = 1
"""Within a route's last requests, so many, its share of them is asked twice, and never fewer than `LEAST`."""

GIVEN_UP: Final = "hedged"
"""The outcome of an attempt that another one beside it made needless."""

_NEEDLESS: Final = ("ok", "cancelled")
"""Outcomes of attempts that failed by nothing of their own."""

REFUSALS: Final = 400
"""The lowest status of a refusal."""

_FOUND_OUT: Final = (
    "target",
    "target_model",
    "answered",
    "price_as",
    "provider_key",
    "usage",
    "completion_bytes",
    "first_content_at",
    "shortened",
)
"""What an attempt writes into its exchange, its place among the attempts excepted."""

Walk = Callable[[Exchange, Iterator[Target]], Coroutine[Any, Any, Reply]]
"""Asks targets one after another until one answers; raises `NoTargetLeft` or `UnknownModel` at the end."""


class HedgeBudget:
    """Bounds how many of a route's requests are asked twice."""

    __slots__ = ("_hedged", "_requests", "share")

    def __init__(self, share: float) -> None:
        self.share = share
        self._requests = 0
        self._hedged: deque[int] = deque()
        """Which of the requests took one, as far as they are among the last."""

    def __repr__(self) -> str:
        return f"<HedgeBudget [share: {self.share:g}, requests: {self._requests}]>"

    def count_request(self) -> None:
        """Count a request of the route's."""
        self._requests += 1

    @property
    def has_room(self) -> bool:
        """Whether one more may be asked twice."""
        requests, hedged = self._requests, self._hedged
        while hedged and hedged[0] <= requests - WINDOW:
            hedged.popleft()
        return len(hedged) < max(LEAST, int(min(requests, WINDOW) * self.share))

    def take(self) -> None:
        """Count one that is asked twice."""
        self._hedged.append(self._requests)


class Hedge:
    """One route's hedging: how long is waited, and how often at most."""

    __slots__ = ("after", "budget")

    def __init__(self, settings: HedgeSettings, budget: HedgeBudget) -> None:
        self.after = settings.after
        self.budget = budget

    def __repr__(self) -> str:
        return f"<Hedge after {self.after:g} s, {self.budget!r}>"

    async def answer(
        self, exchange: Exchange, targets: Iterator[Target], walk: Walk, most: int
    ) -> Reply | None:
        """Return the answer of who has content first; None where no target is left.

        `most` attempts are made at most. Raises what ended a walk otherwise.
        """
        self.budget.count_request()
        race = _Race(exchange, walk)
        try:
            race.begin(targets)
            await race.wait(self.after)
            may_go_on = race.is_open and race.tried < most and self.budget.has_room
            if may_go_on and (second := next(targets, None)) is not None:
                self.budget.take()
                race.begin(chain((second,), targets))
            while race.is_open:
                await race.wait()
            return race.reply()
        finally:
            await race.end()


class Hedging:
    """The routes that hedge, by name; empty, and then nobody looks further."""

    def __init__(self) -> None:
        self.routes: dict[str, Hedge] = {}

    def __repr__(self) -> str:
        return f"<Hedging on {len(self.routes)} routes>"

    def take_up(self, routes: Mapping[str, RouteSettings]) -> None:
        """Take up a configuration; what was counted of a route that stays as it was goes on."""
        former = dict(self.routes)
        self.routes.clear()
        for route in routes.values():
            if route.hedge is not None:
                known = former.get(route.name)
                budget = known.budget if known is not None else HedgeBudget(route.hedge.extra)
                budget.share = route.hedge.extra
                self.routes[route.name] = Hedge(route.hedge, budget)


class _Runner:
    """One way through the targets, in a task of its own, which the race ends."""

    __slots__ = ("exchange", "task")

    def __init__(
        self, exchange: Exchange, targets: Iterator[Target], walk: Walk, beside: list[list[Attempt]]
    ) -> None:
        attempts: list[Attempt] = []
        beside.append(attempts)
        # It counts as settled: nothing of it is written but what the race makes the exchange's own.
        self.exchange = replace(
            exchange, fields=dict(exchange.fields), attempts=attempts, beside=beside, settled=True
        )
        self.task = asyncio.get_running_loop().create_task(walk(self.exchange, targets))

    @property
    def failure(self) -> BaseException | None:
        """Why it came to no answer; None while it runs. Raises `CancelledError` where it was cancelled."""
        return self.task.exception() if self.task.done() else None

    @property
    def reply(self) -> Reply | None:
        """What it came to, if that is a reply."""
        return self.task.result() if self.task.done() and self.failure is None else None

    def let_go(self, outcome: str) -> None:
        """Close what it came to; its last attempt, unless that failed by itself, ended in `outcome`."""
        attempts, reply = self.exchange.attempts, None if self.task.cancelled() else self.reply
        if reply is not None and isinstance(reply.body, PushedBody):
            reply.body.close()
        if attempts and attempts[-1].outcome in _NEEDLESS:
            attempts[-1] = replace(attempts[-1], outcome=outcome, price_as=self.exchange.price_as)


class _Race:
    """The runners of one exchange."""

    __slots__ = ("_attempts", "_exchange", "_runners", "_walk", "_winner")

    def __init__(self, exchange: Exchange, walk: Walk) -> None:
        self._exchange = exchange
        self._walk = walk
        self._attempts: list[list[Attempt]] = []
        """Those of each runner."""
        self._runners: list[_Runner] = []
        self._winner: _Runner | None = None

    def begin(self, targets: Iterator[Target]) -> None:
        """Let another one run."""
        self._runners.append(_Runner(self._exchange, targets, self._walk, self._attempts))

    @property
    def tried(self) -> int:
        """How many attempts have ended or are under way."""
        return sum(map(len, self._attempts)) + len(self._running())

    @property
    def is_open(self) -> bool:
        """Whether nobody has won, and somebody may yet."""
        return self._winner is None and bool(self._running())

    async def wait(self, seconds: float | None = None) -> None:
        """Wait until one of those that run has ended, and see whether it has won; raises what nobody expects.

        A refusal of what the client sent is no content: it wins once nobody else runs.
        """
        await asyncio.wait(self._running(), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        is_last = not self._running()
        for runner in self._runners:
            failure, reply = runner.failure, runner.reply
            if failure is not None and not isinstance(failure, ShareAIError):
                raise failure
            if reply is not None and reply.status < REFUSALS:
                self._winner = runner
                return
            if reply is not None and is_last:
                self._winner = runner

    def reply(self) -> Reply | None:
        """Return the winner's reply; None where no target was left, or else raises why there is none."""
        if self._winner is not None:
            return self._winner.reply
        failures = [one.failure for one in self._runners]
        other = [
            one for one in failures if one is not None and not isinstance(one, NoTargetLeft | UnknownModel)
        ]
        if other and len(other) == len(failures):
            raise other[0]
        return None

    async def end(self) -> None:
        """Let go of all but the winner, and make what was found out the exchange's own."""
        is_cancelled = await self._stop()
        if is_cancelled:
            self._winner = None
        outcome = "cancelled" if self._winner is None else GIVEN_UP
        others = [one for one in self._runners if one is not self._winner]
        for runner in others:
            runner.let_go(outcome)
        self._adopt(others if self._winner is None else [*others, self._winner])
        if is_cancelled:
            raise asyncio.CancelledError

    async def _stop(self) -> bool:
        """Cancel those that run, and wait for their end; returns whether this one was cancelled meanwhile."""
        is_cancelled = False
        for task in self._running():
            task.cancel()
        while running := self._running():
            try:
                await asyncio.wait(running)
            except asyncio.CancelledError:
                is_cancelled = True
        return is_cancelled

    def _adopt(self, runners: Sequence[_Runner]) -> None:
        """Take over the attempts of all, and what the last one found out."""
        exchange, last = self._exchange, runners[-1]
        exchange.attempts += [attempt for one in runners for attempt in one.exchange.attempts]
        for name in _FOUND_OUT:
            setattr(exchange, name, getattr(last.exchange, name))
        reply = last.reply if last is self._winner else None
        if reply is not None and isinstance(reply.body, Relay):
            reply.body.account_to(exchange)

    def _running(self) -> list[asyncio.Task[Reply]]:
        return [one.task for one in self._runners if not one.task.done()]
