"""The frozen structs that cross folders, and the few aliases that every folder speaks in.

Times of day are Unix milliseconds (`*_ms`), durations microseconds (`*_us`), money nano-dollars (`*_nano`).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

Clock = Callable[[], float]
"""Seconds that only grow (`time.monotonic` unless a test injects its own)."""

WallClock = Callable[[], float]
"""Seconds since 1970 (`time.time` unless a test injects its own)."""

NODE = "node"
"""The provider name under which this machine's own models are targets: `node/<model>`."""

DEMO_MODEL = "shareai-demo"


class Caller(Struct, frozen=True):
    """Who presented a key: the key, and the team that it belongs to."""

    key_id: int
    key_name: str
    team: str


class Target(Struct, frozen=True):
    """One model at one provider or node: what a request can be sent to."""

    provider: str
    model: str

    @property
    def name(self) -> str:
        """`provider/model`, as configuration, headers and accounts write it."""
        return f"{self.provider}/{self.model}"


class LocalModel(Struct, frozen=True):
    """A model that this machine serves: its public id, its GGUF file, and how to load it."""

    id: str
    path: str
    context: int | None = None
    """Tokens of context; None lets the model and the memory decide."""
    threads: int | None = None
    """Threads that compute; None takes the physical cores."""


class Usage(Struct, frozen=True, array_like=True):
    """Token counts that never overlap: their sum is everything that was processed.

    `prompt` excludes `cached` and `cache_write`; `completion` excludes `reasoning`.
    """

    prompt: int = 0
    cached: int = 0
    cache_write: int = 0
    completion: int = 0
    reasoning: int = 0


class Attempt(Struct, frozen=True, array_like=True):
    """One try of one target: `outcome` is "ok", an `UpstreamError.outcome`, or "status" (see `status`)."""

    target: str
    key: str
    """Fingerprint of the provider's key, never the key; empty where none was sent."""
    outcome: str
    status: int
    """The upstream's HTTP status; 0 where no reply's head came."""
    duration_us: int


class Outcome(StrEnum):
    """How a request ended, as its row in the accounts says."""

    OK = "ok"
    """A complete reply of the upstream's, error replies passed back included."""
    FAILED = "failed"
    """No target could answer."""
    INCOMPLETE = "incomplete"
    """Content had flowed when the upstream failed, or this process ended before the reply did."""
    CANCELLED = "cancelled"
    """The client left before the end."""
    REFUSED = "refused"
    """A known key's request that was never sent on: malformed, unknown model, over a limit."""


class CostBasis(StrEnum):
    """How exact a recorded cost is."""

    EXACT = "exact"
    """The upstream's own usage and a known price (own machines cost zero, exactly)."""
    ESTIMATED = "estimated"
    """A known price; the tokens are our estimate."""
    UNKNOWN = "unknown"
    """No price is known, or nothing tells the tokens: the cost is NULL, never a silent zero."""
    NONE = "none"
    """Nothing was sent upstream, or it was refused there without usage: costs nothing."""
