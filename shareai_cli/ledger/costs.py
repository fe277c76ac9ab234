"""What a request cost, and how exact that is: worked out in the writer's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from shareai_cli.ledger.entries import Closed
from shareai_cli.types import NODE, Attempt, CostBasis, Outcome, Usage

BYTES_PER_TOKEN: Final = 4
"""What a token is taken to be where the upstream counted none: four bytes of the request's body, or of the
reply's text. English text has some four; JSON around it makes this estimate rather too high than too low."""

MOST_TOKENS: Final = (1 << 27) - 1
"""Tokens of a kind that one request may have used; an upstream that says more is not believed."""

_NO_USAGE: Final = Usage()

_GIVEN_UP: Final = ("hedged", "cancelled")
"""Outcomes of attempts of which nobody waited for the reply: a model may have worked all the same."""

_SET_TO_WORK: Final = (Outcome.OK, Outcome.INCOMPLETE, Outcome.CANCELLED)
"""How requests ended on which a model may have worked even if nothing of it came back."""


class Prices(Protocol):
    """What tokens cost."""

    def cost_nano(self, price_as: str, model: str, usage: Usage, time_ms: int) -> int | None:
        """Return nano-dollars, None where no price is known; never raises."""
        ...


class PricedTarget(Struct, frozen=True, gc=False):
    """A target as the accounts know it: its number there, and what its prices go by."""

    number: int
    model: str
    """As the provider calls it."""
    price_as: str
    """The provider's name among the prices; empty where it has none."""
    is_own: bool
    """Whether it is one of this person's machines, or an engine on one, which cost nothing."""

    @classmethod
    def named(cls, name: str, number: int, price_as: str) -> PricedTarget:
        """Return the target of the name `provider/model`."""
        provider, _, model = name.partition("/")
        return cls(number, model, price_as, NODE in (provider, price_as))


class Cost(Struct, frozen=True, gc=False):
    """Tokens and money of one request; `nano` is None where it is unknown."""

    usage: Usage
    estimated_tokens: bool
    nano: int | None
    basis: CostBasis


_NOTHING: Final = Cost(_NO_USAGE, False, 0, CostBasis.NONE)


class Costs:
    """Works out costs; the prices are made when the first one is needed, as that is slow."""

    def __init__(self, make_prices: Callable[[], Prices]) -> None:
        self._make_prices = make_prices
        self._prices: Prices | None = None

    @property
    def prepared(self) -> bool:
        """Whether the prices were made."""
        return self._prices is not None

    def prepare(self) -> Prices:
        """Return the prices, made now if they were not yet."""
        if self._prices is None:
            self._prices = self._make_prices()
        return self._prices

    def of(self, entry: Closed, target: PricedTarget, broken: Sequence[PricedTarget] = ()) -> Cost:
        """Return what a request cost that went to `target`, and of the `broken_attempts` before.

        The tokens are those of the target that answered, or was asked last. Replies that had begun and broke,
        or that were given up, are billed by some providers: their prompts are added as an estimate. What was
        refused, or failed before a reply, costs nothing.
        """
        cost = self._of_last(entry, target)
        for one in broken:
            cost = self._with_broken(cost, one, entry)
        return cost

    def _with_broken(self, cost: Cost, target: PricedTarget, entry: Closed) -> Cost:
        """Add the prompt of a broken attempt; a known cost stays in the sums where this one's is unknown."""
        if target.is_own or cost.basis is CostBasis.UNKNOWN:
            return cost
        nano = None
        if target.price_as and entry.prompt_bytes:
            usage = estimate(entry.prompt_bytes, 0)
            nano = self.prepare().cost_nano(target.price_as, target.model, usage, entry.time_ms)
        if nano is None and cost.basis is CostBasis.NONE:
            return replace(cost, nano=None, basis=CostBasis.UNKNOWN)
        return replace(cost, nano=(cost.nano or 0) + (nano or 0), basis=CostBasis.ESTIMATED)

    def _of_last(self, entry: Closed, target: PricedTarget) -> Cost:
        if not entry.attempts and (entry.status or entry.outcome is not Outcome.INCOMPLETE):
            return _NOTHING  # without a status, the process was ended, and nobody knows who was asked
        usage = entry.usage
        estimated = usage is None
        if usage is None:
            if not _may_have_cost(entry):
                return _NOTHING
            usage = estimate(entry.prompt_bytes, entry.completion_bytes)
        elif not 0 <= _every_bit(usage) <= MOST_TOKENS:
            usage = _bounded(usage)
        if target.is_own:
            return Cost(usage, estimated, 0, CostBasis.EXACT)
        if not target.price_as or (estimated and usage == _NO_USAGE):
            return Cost(usage, estimated, None, CostBasis.UNKNOWN)
        nano = self.prepare().cost_nano(target.price_as, target.model, usage, entry.time_ms)
        if nano is None:
            return Cost(usage, estimated, None, CostBasis.UNKNOWN)
        is_exact = not (estimated or usage.has_audio)
        return Cost(usage, estimated, nano, CostBasis.EXACT if is_exact else CostBasis.ESTIMATED)


def broken_attempts(entry: Closed) -> list[Attempt]:
    """Return the attempts whose replies began and broke, or that were given up while others went on.

    The one of which the row itself tells is left out.
    """
    attempts = entry.attempts if entry.outcome is Outcome.FAILED else entry.attempts[:-1]
    return [
        one
        for one in attempts
        if one.outcome in _GIVEN_UP or (200 <= one.status < 300 and one.outcome != "ok")
    ]


def estimate(prompt_bytes: int, completion_bytes: int) -> Usage:
    """Estimate tokens from the sizes of the request's body and of the reply's text."""
    return Usage(
        prompt=-(-prompt_bytes // BYTES_PER_TOKEN), completion=-(-completion_bytes // BYTES_PER_TOKEN)
    )


def _every_bit(usage: Usage) -> int:
    """Return the bits that any count has: negative where one is, too large where one is."""
    return usage.prompt | usage.cached | usage.cache_write | usage.completion | usage.reasoning


def _bounded(usage: Usage) -> Usage:
    """Return the counts, or what is left of counts that no model can have used: sums have to stay numbers."""

    def bounded(count: int) -> int:
        return min(max(count, 0), MOST_TOKENS)

    return Usage(
        bounded(usage.prompt),
        bounded(usage.cached),
        bounded(usage.cache_write),
        bounded(usage.completion),
        bounded(usage.reasoning),
        usage.has_audio,
    )


def _may_have_cost(entry: Closed) -> bool:
    """Tell whether a model may have worked for a request that was sent and came back without counts."""
    return bool(entry.completion_bytes) or entry.outcome in _SET_TO_WORK
