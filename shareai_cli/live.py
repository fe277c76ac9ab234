"""What a running gateway tells those who watch it, as it happens: the events of `/admin/v1/events`.

The first event of a stream is whole; each one after it has what is new. Times of day are Unix milliseconds,
durations microseconds, money nano-dollars.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from shareai_cli.types import LimitUse, Outcome

MOST_RECENT: Final = 1_000
"""Requests that a gateway remembers for those who begin to watch."""

MOST_MINUTES: Final = 60
MOST_NEWS: Final = 100


class Settled(Struct, frozen=True):
    """A request that has ended."""

    id: str
    time_ms: int
    """When it came."""
    key: str
    """The name of the client's key."""
    route: str
    target: str
    """Who answered, or was asked last; empty where nobody was."""
    status: int
    outcome: Outcome
    error: str
    streamed: bool
    attempts: tuple[str, ...]
    """The targets that were asked, in their order."""
    tokens: int
    """As the upstream counted; 0 where it did not."""
    first_token_us: int
    """0 where no content came."""
    total_us: int


class Minute(Struct, frozen=True):
    """What ended within one minute."""

    start_ms: int
    requests: int = 0
    errors: int = 0
    """No target could answer, or the answer broke off."""
    tokens: int = 0
    first_p50_us: int | None = None
    """Half of the first tokens came within that; None where none came. Within an eighth of the truth."""
    first_p95_us: int | None = None


class Rates(Struct, frozen=True):
    """How much ends in a second, over the last seconds."""

    requests: float = 0.0
    errors: float = 0.0
    tokens: float = 0.0


class LiveTarget(Struct, frozen=True):
    """A target of a route: how it stands, and what it did within the last hour for this route."""

    target: str
    """`provider/model`."""
    state: str
    """`gateway.health.State`, or what a person has ordered."""
    seconds: float = 0.0
    """Until the state is over, as of this event; 0 where no time is known."""
    reason: str = ""
    weight: int = 1
    asked: int = 0
    """Attempts."""
    failed: int = 0
    """Attempts that did not end well."""
    first_token_us: int | None = None
    """Half of the first tokens came within that; where no answer was streamed, of the answers."""
    prompt_nano: int | None = None
    """Nano-dollars for a million tokens of a prompt; None is unknown."""
    completion_nano: int | None = None
    is_own: bool = False
    """Whether it is one of this person's machines."""
    declared_weight: int | None = None
    """What the configuration says, where a person has ordered another weight."""


class LiveRoute(Struct, frozen=True):
    """A route and its targets in their order; without a name, targets that were asked for by their own."""

    name: str
    strategy: str
    targets: tuple[LiveTarget, ...]


class LiveModel(Struct, frozen=True):
    """A model that a machine serves, and its process; what is None is not known."""

    id: str
    state: str
    """"unloaded", "starting", "ready", "waiting" (its process ended, and is not started again yet)."""
    problem: str = ""
    memory: int | None = None
    """Bytes of its process."""
    context: int | None = None
    """Tokens of all of its slots together."""
    slots: int | None = None
    """Answers that are written at a time."""
    running: int | None = None
    waiting: int | None = None
    """Requests in its queue."""
    tokens_per_second: float | None = None
    """Of all answers together, as measured lately."""


class LiveGpu(Struct, frozen=True):
    """A graphics processor; what is None is not known."""

    name: str
    memory: int | None = None
    """Bytes."""
    memory_used: int | None = None
    load: float | None = None
    """From 0 to 1."""
    temperature: float | None = None
    """Degrees Celsius."""
    power: float | None = None
    """Watts."""


class LiveNode(Struct, frozen=True):
    """A machine that serves models; what is None or empty is not known."""

    name: str
    """`node` is the gateway's own."""
    state: str
    """"serving", "offline" (no agent runs there), or what a person has ordered: "paused", "draining"."""
    reason: str = ""
    """Why it gets no requests."""
    hostname: str = ""
    system: str = ""
    processor: str = ""
    cores: int | None = None
    """Physical ones."""
    memory: int | None = None
    """Bytes."""
    memory_used: int | None = None
    load: float | None = None
    """What of its processors is busy, from 0 to 1."""
    temperature: float | None = None
    """The hottest of its processors', degrees Celsius."""
    gpus: tuple[LiveGpu, ...] = ()
    models: tuple[LiveModel, ...] = ()


class News(Struct, frozen=True):
    """Something that happened, for a person."""

    time_ms: int
    text: str


class Today(Struct, frozen=True):
    """Sums since midnight, where the gateway runs."""

    requests: int = 0
    kept: int = 0
    """Requests that were answered from the cache, or by an equal request's call."""
    tokens: int = 0
    own_tokens: int = 0
    """Those of this person's machines."""
    saved_nano: int | None = None
    """What these would have cost at the cheapest other target of their routes; None where nobody knows."""
    cost_nano: int = 0
    estimated_cost: int = 0
    """Requests whose cost is an estimate."""
    unknown_cost: int = 0
    """Requests whose cost is not known, and not in the sum."""


class Event(Struct, frozen=True):
    """One event of the stream; what is None is as it was."""

    requests: int
    """Since the gateway's start, refused ones included."""
    in_flight: int
    settled: tuple[Settled, ...] = ()
    """Those that have ended since the last event, the newest last."""
    missed: int = 0
    """How many more there were than this event tells of."""
    is_whole: bool = False
    """Whether this is everything that there is, in place of all events of before."""
    rates: Rates | None = None
    minutes: tuple[Minute, ...] = ()
    """Those that have changed, the newest last."""
    routes: tuple[LiveRoute, ...] | None = None
    nodes: tuple[LiveNode, ...] | None = None
    news: tuple[News, ...] = ()
    today: Today | None = None
    limits: tuple[LimitUse, ...] | None = None
