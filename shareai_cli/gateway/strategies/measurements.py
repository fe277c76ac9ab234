"""What is measured of targets: how many requests are under way, how fast and how long answers are.

All of it is this one object. It is fed by the exchanges of routes that go by it, each through its `Flight`;
requests of other routes cost nothing here, and are not counted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

from msgspec import Struct

from shareai_cli.gateway.exchange import Accounts, Exchange
from shareai_cli.types import Clock, Outcome, Target

NEWEST_COUNTS: Final = 0.2
HABIT_COUNTS: Final = 0.05
"""The share of the newest value in a decaying mean: of how fast answers come, and of what is in them."""

TYPICAL_ANSWER: Final = 300
"""Tokens of an answer, where nothing was measured yet."""

EIGHTHS: Final = 8

WARM_SECONDS: Final = 3600.0
"""How long a target is taken to remember a conversation's prompt."""
MOST_CONVERSATIONS: Final = 10_000

BYTES_PER_TOKEN: Final = 4


class Measure(Struct):
    """What was measured of one target; None where nothing was."""

    in_flight: int = 0
    first: float | None = None
    """Seconds from the attempt to the first token of a stream, a decaying mean."""
    token: float | None = None
    """Seconds a token."""
    cached: float | None = None
    """The share of prompts that came from the target's cache."""
    answer: float | None = None
    """Tokens of an answer, reasoning included."""
    usual_eighths: int = 0
    usual_answer: int = TYPICAL_ANSWER
    """`cached` in eighths and `answer`, changed only when they have moved far: what goes by them lasts."""

    @property
    def seconds(self) -> float | None:
        """How long a typical answer takes."""
        return (self.first or 0.0) + self.token * TYPICAL_ANSWER if self.token is not None else None


Changed = Callable[[Target], None]
"""Told of a target whose measure has changed."""


class Measurements:
    """The measures of targets, and where conversations are."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._measures: dict[Target, Measure] = {}
        self._warm: OrderedDict[bytes, tuple[Target, float]] = OrderedDict()
        self._watchers: dict[Target, list[Changed]] = {}

    def __repr__(self) -> str:
        return f"<Measurements of {len(self._measures)} targets>"

    @property
    def in_flight(self) -> int:
        """Requests that are under way at all measured targets."""
        return sum(one.in_flight for one in self._measures.values())

    def of(self, target: Target) -> Measure:
        """Return the measure of a target; it goes on changing."""
        measure = self._measures.get(target)
        if measure is None:
            measure = self._measures[target] = Measure()
        return measure

    def keep(self, targets: Collection[Target]) -> None:
        """Forget the measures of all other targets, and whoever watches: the configuration changed."""
        self._measures = {one: measure for one, measure in self._measures.items() if one in targets}
        self._watchers.clear()

    def watch(self, target: Target, changed: Changed) -> None:
        """Tell `changed` of every change of a target's measure."""
        self._watchers.setdefault(target, []).append(changed)

    def warm(self, conversation: bytes) -> Target | None:
        """Return the target that answered a conversation last, and may remember its prompt."""
        found = self._warm.get(conversation)
        if found is None or self._clock() - found[1] > WARM_SECONDS:
            return None
        return found[0]

    def moved(self, left: Target | None, entered: Target | None) -> None:
        """Note that a request is under way at another target, or at none."""
        if left is not None:
            self.of(left).in_flight -= 1
            self._changed(left)
        if entered is not None:
            self.of(entered).in_flight += 1
            self._changed(entered)

    def answered(self, exchange: Exchange, target: Target, conversation: bytes) -> None:
        """Take in what a complete answer tells; called before the exchange is settled."""
        if conversation:
            self._warm[conversation] = (target, self._clock())
            self._warm.move_to_end(conversation)
            if len(self._warm) > MOST_CONVERSATIONS:
                self._warm.popitem(last=False)
        measure, usage = self.of(target), exchange.usage
        tokens = exchange.completion_bytes // BYTES_PER_TOKEN
        if usage is not None:
            tokens = usage.completion + usage.reasoning
            if prompt := usage.prompt + usage.cached + usage.cache_write:
                measure.cached = cached = _mean(measure.cached, usage.cached / prompt, HABIT_COUNTS)
                if abs(cached * EIGHTHS - measure.usual_eighths) >= 1:
                    measure.usual_eighths = round(cached * EIGHTHS)
        if tokens > 0 and exchange.attempts:
            measure.answer = answer = _mean(measure.answer, tokens, HABIT_COUNTS)
            if abs(answer - measure.usual_answer) > measure.usual_answer / 3:
                measure.usual_answer = max(1, round(answer))
            seconds = exchange.attempts[-1].duration_us / 1e6
            if exchange.first_content_at:
                writing = min(seconds, max(0.0, self._clock() - exchange.first_content_at))
                measure.first = _mean(measure.first, seconds - writing)
            else:
                writing = max(0.0, seconds - (measure.first or 0.0))
            measure.token = _mean(measure.token, writing / tokens)
        self._changed(target)

    def _changed(self, target: Target) -> None:
        for changed in self._watchers.get(target, ()):
            changed(target)


class Flight:
    """Stands between one exchange and its accounts, and knows at which target the request is."""

    __slots__ = ("_accounts", "_at", "_conversation", "_measurements")

    def __init__(self, accounts: Accounts, measurements: Measurements, conversation: bytes) -> None:
        self._accounts = accounts
        self._measurements = measurements
        self._conversation = conversation
        self._at: Target | None = None

    def begin(self, exchange: Exchange) -> None:
        """See `Accounts`."""
        self._accounts.begin(exchange)

    def settle(self, exchange: Exchange, outcome: Outcome) -> None:
        """Leave the target, with what its answer tells; see `Accounts`."""
        if not exchange.settled and self._at is not None:
            answered = self._at
            self.move(None)
            if outcome is Outcome.OK:
                self._measurements.answered(exchange, answered, self._conversation)
        self._accounts.settle(exchange, outcome)

    def move(self, target: Target | None) -> None:
        """Be under way at another target, or at none."""
        self._measurements.moved(self._at, target)
        self._at = target

    def stay(self, target: str) -> None:
        """Be under way at the target of that name, although others were asked after it."""
        provider, _, model = target.partition("/")
        self.move(Target(provider, model))


class FollowedTargets(Collection[Target]):
    """A request's targets in their order: as one is taken to be tried, the request is under way there."""

    __slots__ = ("_flight", "_targets")

    def __init__(self, targets: Sequence[Target], flight: Flight) -> None:
        self._targets = targets
        self._flight = flight

    def __iter__(self) -> Iterator[Target]:
        for target in self._targets:
            self._flight.move(target)
            yield target

    def __len__(self) -> int:
        return len(self._targets)

    def __contains__(self, target: object) -> bool:
        return target in self._targets


def _mean(former: float | None, newest: float, counts: float = NEWEST_COUNTS) -> float:
    return newest if former is None else former + counts * (newest - former)
