"""The frozen structs that cross folders, and the few aliases that every folder speaks in.

Times of day are Unix milliseconds (`*_ms`), durations microseconds (`*_us`), money nano-dollars (`*_nano`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

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


class KeyInfo(Struct, frozen=True):
    """A client's key, as everybody may see it."""

    name: str
    team: str
    fingerprint: str
    """Eight hex digits of its SHA-256."""
    created_ms: int
    revoked_ms: int | None = None


class NodeRegistration(Struct, frozen=True):
    """A machine that serves models: its facts, and the ids of the models."""

    name: str
    facts: Mapping[str, Any]
    models: tuple[str, ...] = ()


class NodeInfo(Struct, frozen=True):
    """A registered machine."""

    name: str
    facts: Mapping[str, Any]
    models: tuple[str, ...]
    registered_ms: int
    """When it was registered first."""
    updated_ms: int
    """When it was registered last."""


class UsageTotal(Struct, frozen=True):
    """What the accounts hold of a group of requests.

    `prompt_tokens` and `completion_tokens` are counted as OpenAI counts them: cached and cache-write tokens are
    part of the prompt, reasoning is part of the completion, and each is told apart beside.
    """

    requests: int = 0
    failed: int = 0
    incomplete: int = 0
    refused: int = 0
    cancelled: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano_usd: int = 0
    """The sum of the known costs, exact and estimated."""
    estimated_costs: int = 0
    """Requests whose cost is an estimate."""
    unknown_costs: int = 0
    """Requests whose cost is not known, and not in the sum."""
    first_token_us: int | None = None
    """The mean time to first token, over the requests that have one."""
    total_us: int | None = None
    """The mean time in all."""


class UsageRow(UsageTotal, frozen=True, kw_only=True):
    """The total of one group."""

    name: str


class UsageReport(Struct, frozen=True):
    """Totals in all, and by group where a grouping was asked for."""

    total: UsageTotal
    rows: tuple[UsageRow, ...] = ()
    by: str | None = None
    since_ms: int | None = None
