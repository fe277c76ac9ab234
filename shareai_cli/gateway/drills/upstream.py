"""Sends the attempts of one scenario: in a hurry, and where its faults say so to a provider that fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from shareai_cli.config import TimeLimits
from shareai_cli.drill_types import Deadlines, Fault
from shareai_cli.gateway.drills.failing import FailingProvider
from shareai_cli.gateway.endpoints import Endpoint, EndpointKey
from shareai_cli.gateway.exchange import Exchange, Reply
from shareai_cli.gateway.relay import Broken
from shareai_cli.gateway.upstream import Failure, Upstream
from shareai_cli.types import Clock, Target, WallClock
from shareai_cli.wire.client import Pool


class DrillUpstream(Upstream):
    """`Upstream`, whose attempts fail as a scenario says; whatever answers is judged and relayed as ever."""

    def __init__(
        self,
        faults: Sequence[Fault],
        deadlines: Deadlines,
        failing: FailingProvider,
        clock: Clock,
        wall_clock: WallClock,
    ) -> None:
        super().__init__(clock, wall_clock)
        self.fail(faults)
        self._deadlines = deadlines
        self._failing = failing

    def fail(self, faults: Sequence[Fault]) -> None:
        """Let attempts from now on fail so, and no more as they did before."""
        self._faults = [_Faulty(fault) for fault in faults]

    async def attempt(
        self,
        exchange: Exchange,
        endpoint: Endpoint,
        target: Target,
        key: EndpointKey,
        began: float,
        remaining: float,
        broken: Broken | None,
    ) -> Reply | Failure:
        """See `Upstream`."""
        hurried = endpoint.variant(shorter(endpoint.limits, self._deadlines))
        for faulty in self._faults:
            if faulty.take(exchange, target):
                kind, silence = faulty.fault.kind, self._deadlines.silence
                pool = self._failing.pool(kind, silence, streamed=exchange.streamed)
                hurried.pool = cast(Pool, pool)
                break
        return await super().attempt(exchange, hurried, target, key, began, remaining, broken)


class _Faulty:
    """A fault, and how many attempts it is still for."""

    __slots__ = ("_left", "fault")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._left = fault.times

    def take(self, exchange: Exchange, target: Target) -> bool:
        """Tell whether it is for this attempt, and count that one."""
        targets, attempts = self.fault.targets, exchange.attempts
        if targets is None:
            is_meant = not attempts or attempts[0].target == target.name
        else:
            is_meant = target.name in targets
        if not is_meant or self._left == 0:
            return False
        if self._left is not None:
            self._left -= 1
        return True


def shorter(limits: TimeLimits, deadlines: Deadlines) -> TimeLimits:
    """Return a provider's time limits, none of which is longer than a drill waits."""
    most = deadlines.answer
    return TimeLimits(
        connect=min(limits.connect, most),
        head=min(limits.head, most),
        content=min(limits.content, most),
        gap=min(limits.gap, most),
        total=min(limits.total, most),
    )
