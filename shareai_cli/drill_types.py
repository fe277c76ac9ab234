"""The frozen structs of drills, which the gateway, its clients and the command share."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from shareai_cli.types import WrittenLimits

DRILL_HEADER: Final = "X-ShareAI-Drill"
"""Carries a scenario's token; means nothing without one, and is never sent on."""

FaultKind = Literal["refused", "error", "rate-limited", "unauthorized", "stalled", "error-event", "cut"]
"""How a target fails: no connection; HTTP 500; 429 with `Retry-After`; 401; silence before the first byte; a
200 that tells of an error; an end after some content."""

RETRY_AFTER: Final = 1
"""Seconds that a target says to wait which is made to answer 429."""

BY_HAND: Final = "command"
"""The cause of a drill that a person started, or a script."""

CheckName = Literal["answers", "failover", "cost", "cache", "limits"]

CHECKS: Final[tuple[CheckName, ...]] = ("answers", "failover", "cost", "cache", "limits")
"""What a drill looks at, in the order in which it does."""

Seconds = Annotated[float, Meta(gt=0, le=600)]


class Fault(Struct, frozen=True):
    """What goes wrong with attempts of a scenario's requests."""

    kind: FaultKind
    targets: tuple[str, ...] | None = None
    """`provider/model` of those that fail; None is whichever target a request asks first."""
    times: Annotated[int, Meta(ge=1)] | None = None
    """How many attempts fail before all is well again; None for as long as the scenario lasts."""


class Deadlines(Struct, frozen=True):
    """Seconds that a drill waits; where a provider's own limits are shorter, they count."""

    answer: Seconds = 60.0
    """For a whole reply, and for each of its phases."""
    silence: Seconds = 1.0
    """For the first byte of a target that was made to stall."""
    ejection: Seconds = 1.0
    """How long a target's first ejection lasts."""


class ScenarioWanted(Struct, frozen=True):
    """A scenario: requests with a failover, limits and a cache of their own, under these faults."""

    route: str | None = None
    """The route that can be asked for; None for `provider/model` alone."""
    faults: tuple[Fault, ...] = ()
    keys: tuple[str, ...] = ()
    """Fingerprints: of providers that have one of these keys, it is the only one that is used."""
    deadlines: Deadlines = Deadlines()
    limits: WrittenLimits = {}
    """What the scenario's key is limited to, as a person writes it."""


class FaultsWanted(Struct, frozen=True):
    """The faults that a scenario has from now on, in place of those before."""

    faults: tuple[Fault, ...]


class DrillWanted(Struct, frozen=True):
    """A drill, or a part of one, whose requests are reported by themselves."""

    part_of: str | None = None
    """The drill's id, which lasts as long as its part does."""


class Scenario(Struct, frozen=True):
    """What requests of a scenario have to present, as long as it lasts."""

    number: int
    token: str
    """Goes into `DRILL_HEADER`."""
    key: str
    """A client's key, good for these requests alone."""
    other_key: str
    """One of another team's, good for the same."""
    seconds: float
    """How long the token is valid."""

    def __repr__(self) -> str:
        return f"Scenario(number={self.number}, token=********, keys=********)"


class DrillTarget(Struct, frozen=True):
    """A target that can be drilled."""

    name: str
    """`provider/model`."""
    keys: tuple[str, ...]
    """Fingerprints of the provider's keys; one that is empty where it takes none."""
    price_as: str
    """The provider's name among the prices; empty where it has none."""
    prompt_nano: int | None
    """Nano-dollars for a million tokens of a prompt; None is unknown."""
    completion_nano: int | None
    head_seconds: float = 0.0
    """How long it is given for the head of a stream, outside a drill."""
    total_seconds: float = 0.0
    """How long it is given for a whole reply."""


class DrillRoute(Struct, frozen=True):
    """A route that can be drilled."""

    name: str
    strategy: str
    targets: tuple[str, ...]
    has_cache: bool
    shares_cache: bool
    """Whether teams get replies that were kept for other ones."""
    is_plain: bool
    """Whether every target takes every request."""


class DrillSubjects(Struct, frozen=True):
    """Everything that can be drilled."""

    routes: tuple[DrillRoute, ...]
    targets: tuple[DrillTarget, ...]


class DrillRecord(Struct, frozen=True):
    """A drill that was run, as the accounts keep it."""

    id: str
    began_ms: int
    ended_ms: int
    cause: str
    """What it was started by: `BY_HAND`, or the name of a schedule."""
    verdict: str
    """"passed", "failed" or "partly"."""
    report: str
    """The whole report, as JSON."""
