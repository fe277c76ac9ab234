"""What ended requests took: the same tokens and the same money that their rows in the accounts have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from shareai_cli.ledger import Closed, Costs, PricedTarget, broken_attempts

MOST_TARGETS = 20_000
"""Targets kept in memory; clients can make up models."""


class Taken(Struct, frozen=True):
    """Tokens of every kind, and nano-dollars; an unknown cost counts as none, as in the accounts' sums."""

    tokens: int
    nano: int


class Truth:
    """Works out what requests took."""

    def __init__(self, costs: Costs) -> None:
        self._costs = costs
        self._targets: dict[str, PricedTarget] = {}

    def know(self, targets: Mapping[str, str]) -> None:
        """Take in the name among the prices of each target's provider, as the accounts had it last."""
        told = {name: PricedTarget.named(name, 0, price_as) for name, price_as in targets.items()}
        self._targets = told | self._targets  # what was seen here is later

    def of(self, entry: Closed) -> Taken:
        """Return what a request took."""
        target = self._target(target_of(entry), entry.price_as)
        attempts = entry.attempts
        broken: Sequence[PricedTarget] = ()
        if attempts and (len(attempts) > 1 or attempts[0].outcome != "ok"):
            broken = [self._target(one.target, one.price_as) for one in broken_attempts(entry)]
        cost = self._costs.of(entry, target, broken)
        usage = cost.usage
        tokens = usage.prompt + usage.cached + usage.cache_write + usage.completion + usage.reasoning
        return Taken(tokens, cost.nano or 0)

    def _target(self, name: str, price_as: str) -> PricedTarget:
        """Return a target; an empty `price_as` leaves the one that is known."""
        known = self._targets.get(name)
        if known is None or (price_as and known.price_as != price_as):
            if len(self._targets) >= MOST_TARGETS:
                self._targets.clear()
            known = self._targets[name] = PricedTarget.named(name, 0, price_as)
        return known


def target_of(entry: Closed) -> str:
    """Return the target in a request's row: who answered, or was asked last; empty where nobody was."""
    return entry.target or (entry.attempts[-1].target if entry.attempts else "")
