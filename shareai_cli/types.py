"""The frozen structs that cross folders, and the few aliases that every folder speaks in.

Times of day are Unix milliseconds (`*_ms`), durations microseconds (`*_us`), money nano-dollars (`*_nano`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, Literal

from msgspec import UNSET, Struct, UnsetType

Clock = Callable[[], float]
"""Seconds that only grow (`time.monotonic` unless a test injects its own)."""

WallClock = Callable[[], float]
"""Seconds since 1970 (`time.time` unless a test injects its own)."""

NODE = "node"
"""The provider name under which this machine's own models are targets: `node/<model>`."""

DEMO_MODEL = "shareai-demo"

Preference = Literal["own", "cloud"]
"""Which targets come first, whatever the strategy: this person's machines, or all others."""

WrittenLimits = Mapping[str, int | str]
"""Limits by their names, as a person writes them: `{"requests_per_minute": 60, "budget_total": "50 USD"}`."""

LimitChanges = Mapping[str, int | str | None]
"""The same, of those that are to become otherwise; None takes one away."""


class Caller(Struct, frozen=True):
    """Who presented a key: the key, and the team that it belongs to."""

    key_id: int
    key_name: str
    team: str
    allowed: tuple[str, ...] = ()
    """See `KeySettings`, as for what follows."""
    preferences: tuple[str, ...] = ()
    expires_ms: int | None = None
    """When what was presented is no longer valid."""
    prefer: Preference | None = None
    ancestors: tuple[int, ...] = ()
    """The ids of the keys that it was minted from, the nearest first."""
    bounds: tuple[tuple[str, ...], ...] = ()
    """What those may use, as `allowed`: it may use nothing that one of them may not."""


class Target(Struct, frozen=True):
    """One model at one provider or node: what a request can be sent to."""

    provider: str
    model: str

    @property
    def name(self) -> str:
        """`provider/model`, as configuration, headers and accounts write it."""
        return f"{self.provider}/{self.model}"


IDLE_SECONDS: Final = 600.0
"""How long a model stays loaded that nobody asks for, unless the configuration says otherwise."""


class LocalModel(Struct, frozen=True):
    """A model that this machine serves: its public id, its GGUF file, and how to load it."""

    id: str
    path: str
    context: int | None = None
    """Tokens of context; None lets the model and the memory decide."""
    threads: int | None = None
    """Threads that compute; None takes the physical cores."""
    gpu_layers: int | None = None
    """Layers that GPUs hold; None lets their memory decide, a negative number is all of them."""
    slots: int | None = None
    """Replies that are computed at a time; None lets the cache decide."""
    flash_attention: bool | None = None
    """None lets llama.cpp decide."""
    idle: float = IDLE_SECONDS
    """Seconds without a request after which it is unloaded; 0 keeps it."""


class Layout(Struct, frozen=True):
    """How a model is put into a machine's memory."""

    cells: int | None = None
    """Tokens of KV cache; None lets the model decide."""
    gpu_layers: int = -1
    """Layers that GPUs hold, where there are any; a negative number is all of them."""
    slots: int = 16
    """Replies that are computed at a time."""


Ability = Literal["tools", "vision", "reasoning", "embeddings"]
"""What a model can do beside answering text with text."""


class Usage(Struct, frozen=True, array_like=True, gc=False):
    """Token counts that never overlap: their sum is everything that was processed.

    `prompt` excludes `cached` and `cache_write`; `completion` excludes `reasoning`.
    """

    prompt: int = 0
    cached: int = 0
    cache_write: int = 0
    completion: int = 0
    reasoning: int = 0
    has_audio: bool = False
    """Whether some of them are of audio, which is priced apart: a cost worked out of these is an estimate."""


class Attempt(Struct, frozen=True, array_like=True, gc=False):
    """One try of one target.

    `outcome` is "ok", an `UpstreamError.outcome`, "status" (see `status`), "cancelled" where the client left,
    or "hedged" where it was given up, as another target that was asked beside it answered first.
    """

    target: str
    key: str
    """Fingerprint of the provider's key, never the key; empty where none was sent."""
    outcome: str
    status: int
    """The upstream's HTTP status; 0 where no reply's head came."""
    duration_us: int
    price_as: str = ""
    """The provider's name among the prices, where it gave no answer: what it did until then may cost."""


class Outcome(StrEnum):
    """How a request ended, as its row in the accounts says."""

    OK = "ok"
    """A complete answer of the upstream's."""
    FAILED = "failed"
    """No target could answer."""
    INCOMPLETE = "incomplete"
    """Content had flowed when the upstream failed, or this process ended before the reply did."""
    CANCELLED = "cancelled"
    """The client left before the end."""
    REFUSED = "refused"
    """A known key's request that nobody was to answer: malformed, over a limit, or of a model nobody has."""
    REJECTED = "rejected"
    """The upstream's own refusal of what the client sent (400, 413, 422 and the like), passed back."""
    HIT = "hit"
    """A complete answer that was kept: nobody was asked."""
    JOINED = "joined"
    """A complete answer of the call of an equal request, in whose row the cost is."""


class CostBasis(StrEnum):
    """How exact a recorded cost is."""

    EXACT = "exact"
    """The upstream's own usage and a known price (own machines cost zero, exactly)."""
    ESTIMATED = "estimated"
    """A known price; the tokens are our estimate, or some of what they cost is."""
    UNKNOWN = "unknown"
    """No price is known, or nothing tells the tokens: the cost is NULL, never a silent zero."""
    NONE = "none"
    """Nothing was sent upstream, or every attempt was refused or failed before a reply: costs nothing."""


class RequestRow(Struct, frozen=True):
    """One request, as the accounts have it."""

    id: str
    """As `x-request-id` gave it."""
    time_ms: int
    key: str
    team: str
    route: str
    """What was asked for."""
    target: str
    """Who answered, or was asked last; empty where nobody was."""
    provider_key: str
    """Fingerprint of the provider's key."""
    status: int
    """0 where the process ended before the reply did."""
    streamed: bool
    outcome: Outcome | None
    """None while the request is under way: then nothing that follows is known."""
    error: str
    attempts: tuple[Attempt, ...]
    usage: Usage
    estimated_tokens: bool
    cost_nano: int | None
    basis: CostBasis
    first_token_us: int
    """0 where no content came."""
    total_us: int
    prompt_bytes: int
    completion_bytes: int
    fingerprint: bytes
    """Salted hash of the prompt: equal prompts have equal ones."""


DEFAULT_TEAM: Final = "default"

AUTO: Final = "auto"
"""The model that stands for a key's preferred ones."""

LONGEST_MODEL: Final = 256
"""Characters of what a client may ask for."""

LATEST_MS: Final = 253_402_300_799_999
"""The end of the year 9999, Unix milliseconds: dates go no further."""


class KeySettings(Struct, frozen=True):
    """What a client's key is for."""

    team: str = DEFAULT_TEAM
    allowed: tuple[str, ...] = ()
    """Routes, `provider/model`, `provider/*` and bare names that may be asked for; empty is everything."""
    preferences: tuple[str, ...] = ()
    """What the model `auto` means: the first of these that can serve."""
    expires_ms: int | None = None
    prefer: Preference | None = None
    """Which targets come first for it, before what a route itself prefers."""
    may_mint: bool = False
    """Whether it may make keys itself, none of which is for more than it is."""
    limits: WrittenLimits = {}


PLAIN_KEY: Final = KeySettings()
"""For everything, for good."""


class KeyChanges(Struct, frozen=True, omit_defaults=True):
    """What is to become otherwise of a key that there is; what is not said stays. See `KeySettings`."""

    allowed: tuple[str, ...] | UnsetType = UNSET
    preferences: tuple[str, ...] | UnsetType = UNSET
    expires_ms: int | UnsetType | None = UNSET
    prefer: Preference | UnsetType | None = UNSET
    may_mint: bool | UnsetType = UNSET
    limits: LimitChanges | UnsetType = UNSET


class KeyInfo(Struct, frozen=True):
    """A client's key, without the key."""

    id: int
    name: str
    team: str
    shown: str
    """What may be shown of it, to tell it from others."""
    created_ms: int
    revoked_ms: int | None = None
    allowed: tuple[str, ...] = ()
    """See `KeySettings`, as for what follows."""
    preferences: tuple[str, ...] = ()
    expires_ms: int | None = None
    rotated_ms: int | None = None
    """When its secret was last replaced."""
    former_until_ms: int | None = None
    """Until when a secret of before is valid beside it."""
    prefer: Preference | None = None
    may_mint: bool = False
    limits: WrittenLimits = {}
    parent: int | None = None
    """The id of the key that it was minted from."""


class TeamInfo(Struct, frozen=True):
    """A team, to which keys belong."""

    id: int
    name: str
    created_ms: int
    removed_ms: int | None = None
    limits: WrittenLimits = {}
    keys: int = 0
    """How many of its keys are not revoked."""


class NodeInfo(Struct, frozen=True):
    """A machine that serves models."""

    id: int
    name: str
    facts: Mapping[str, Any]
    models: tuple[str, ...]
    registered_ms: int
    updated_ms: int


class NodeRegistration(Struct, frozen=True):
    """A machine that serves models: its facts, and the ids of the models."""

    name: str
    facts: Mapping[str, Any]
    models: tuple[str, ...] = ()


class Actor(Struct, frozen=True):
    """Who changes something, and from where."""

    name: str
    """The operating system's user, as the command says it; "gateway" for what nobody asked for."""
    origin: str
    """"command", "admin API", "public API" (a key that mints), "configuration file", "gateway".

    Where requests are refused, with the address: "public API from 192.0.2.7"."""


GATEWAY: Final = Actor("gateway", "gateway")
"""The gateway of its own accord."""


class AuditRow(Struct, frozen=True):
    """One change that was made."""

    id: int
    time_ms: int
    actor: str
    origin: str
    action: str
    """`key.create` and the like."""
    subject: str
    before: str | None
    """JSON, as is `after`; None where there was nothing."""
    after: str | None
    previous: str
    """The hash of the row before, 64 hex digits."""
    hash: str


class AuditFault(Struct, frozen=True):
    """Rows of the audit that are not as they were written."""

    first: int
    """The row's id; 0 is the record of the end."""
    last: int
    text: str
    """What is wrong, for a person."""


class AuditVerdict(Struct, frozen=True):
    """What a look at the whole chain found."""

    rows: int
    head: str
    """The hash of the last row, as the record of the end has it; empty where there is no such record."""
    faults: tuple[AuditFault, ...]


LimitScope = Literal["organization", "team", "key", "route", "target"]
"""What limits can stand on."""

Window = Literal["second", "minute", "hour", "day"]
BudgetPeriod = Literal["day", "week", "month", "total"]
"""Days, weeks (from Monday) and months are those of UTC."""


class RateLimit(Struct, frozen=True):
    """How many requests, or tokens, may come within any stretch of time of this length."""

    measure: Literal["requests", "tokens"]
    window: Window
    most: int

    @property
    def name(self) -> str:
        """`requests_per_minute` and the like, as configuration, commands and errors write it."""
        return f"{self.measure}_per_{self.window}"


class Budget(Struct, frozen=True):
    """How much money may be spent within a period."""

    period: BudgetPeriod
    nano: int
    """Nano-dollars."""
    soft: bool = False
    """Whether it only warns when it is used up."""

    @property
    def name(self) -> str:
        """`budget_per_month`, `soft_budget_per_month` and the like; in all, `budget_total`."""
        soft = "soft_" if self.soft else ""
        return f"{soft}budget_total" if self.period == "total" else f"{soft}budget_per_{self.period}"


class Limits(Struct, frozen=True):
    """Everything that limits a subject; each limit's name is there once."""

    rates: tuple[RateLimit, ...] = ()
    budgets: tuple[Budget, ...] = ()
    concurrent: int | None = None
    """Requests under way at a time; written `concurrent_requests`."""


NO_LIMITS: Final = Limits()


class Subject(Struct, frozen=True):
    """What limits stand on: the organization, or one of the others by its name."""

    scope: LimitScope
    name: str = ""
    """Empty for the organization; a target's is `provider/model`."""
    keys: tuple[int, ...] = ()
    """Of a key: its number, then those of the keys that were minted from it, whose use counts as its own."""

    @property
    def label(self) -> str:
        """`organization`, `team/dev`, `target/openai/gpt-5-mini`, as commands and errors write it."""
        return f"{self.scope}/{self.name}" if self.name else self.scope


class LimitUse(Struct, frozen=True):
    """How much of a limit is used just now. Money is in nano-dollars."""

    subject: str
    """See `Subject.label`."""
    limit: str
    """`requests_per_minute`, `concurrent_requests`, `budget_per_month` and the like."""
    most: int
    used: int
    """Settled: what ended requests took, and of requests and concurrency what was admitted."""
    reserved: int = 0
    """What requests under way may still take, of tokens and money."""
    soft: bool = False
    resets_ms: int | None = None
    """When all of it is free again if nothing more comes, or the budget's period ends; None for never."""


Grouping = Literal["model", "route", "target", "provider", "node", "key", "team", "day"]
"""What a report can be grouped by. A node is one of this person's machines: this one, or an engine's."""

SlotLength = Literal["hour", "day"]


class UsageSums(Struct, frozen=True):
    """Sums over some requests.

    The token counts are as OpenAI's `usage` has them: `prompt_tokens` includes `cached_tokens` and
    `cache_write_tokens`, `completion_tokens` includes `reasoning_tokens`; prompt and completion together
    are everything. `cost_nano_usd` sums the known costs: `unknown_cost` requests are not in it, and
    `estimated_cost` ones are in it by an estimate.
    """

    name: str
    """What the rows are grouped by has this name; empty for the total, and for requests that came to none."""
    requests: int = 0
    failed: int = 0
    """No target could answer."""
    incomplete: int = 0
    """Ended after content had flowed, or this program was ended meanwhile."""
    cancelled: int = 0
    refused: int = 0
    """Never sent on: malformed, of an unknown model, over a limit."""
    rejected: int = 0
    """Sent on, and refused by the upstream as the client's own mistake."""
    hit: int = 0
    """Answered with replies that were kept: they have no tokens and no cost."""
    joined: int = 0
    """Answered by the calls of equal requests, which have the tokens and the cost."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    estimated_tokens: int = 0
    """Requests whose tokens are an estimate, as the upstream counted none."""
    cost_nano_usd: int = 0
    estimated_cost: int = 0
    unknown_cost: int = 0
    average_first_token_us: int | None = None
    """Over the requests that had content; None where none had."""
    average_total_us: int | None = None


class UsageReport(Struct, frozen=True):
    """The sums over everything asked for, and over each group, the most expensive first (days in order)."""

    by: Grouping | None
    since_ms: int | None
    total: UsageSums
    rows: tuple[UsageSums, ...]


class UsageLine(Struct, frozen=True):
    """What became of one group over time: a number for each slot of its series."""

    name: str
    requests: tuple[int, ...]
    tokens: tuple[int, ...]
    cost_nano: tuple[int, ...]
    """Known costs alone."""
    is_rest: bool = False
    """Whether it is all the groups that have no line of their own."""


class UsageSeries(Struct, frozen=True):
    """Sums over equal parts of a time, the groups that cost the most first; the rest is the last line."""

    by: Grouping | None
    slots: tuple[str, ...]
    """When each part begins, where the accounts are: `2026-11-25`, of hours `2026-11-25 13:00`."""
    lines: tuple[UsageLine, ...]


class PromptUse(Struct, frozen=True):
    """Every request with one and the same prompt."""

    sums: UsageSums
    """Named by the prompt's fingerprint, in hexadecimal digits."""
    latest: str
    """The latest such request's id; what follows is that one's."""
    route: str
    target: str
    prompt_bytes: int


class BudgetUse(Struct, frozen=True):
    """How much of a budget is spent, and when it will be used up if spending goes on as it did lately."""

    subject: str
    """See `Subject.label`."""
    limit: str
    """`budget_per_month` and the like."""
    most: int
    """Nano-dollars, as are the next two."""
    used: int
    """In the period in which it is."""
    daily: int
    """Spent in a day, on average over the last seven days; of a budget per day, over the last day."""
    soft: bool = False
    resets_ms: int | None = None
    """When the period ends; None for never."""
    used_up_ms: int | None = None
    """None where the period ends before, or nothing is spent."""


class CacheUse(Struct, frozen=True):
    """What is kept of a route's replies, and how much use it was; bytes include what keeping costs."""

    route: str
    replies: int = 0
    """In memory."""
    size: int = 0
    """Bytes in memory."""
    stored_replies: int = 0
    """In the cache's file."""
    stored_size: int = 0
    """Bytes in the cache's file."""
    hits: int = 0
    """Since the gateway's start, as are the next two."""
    joined: int = 0
    misses: int = 0


ModelKind = Literal["route", "local", "provider"]

ModelState = Literal[
    "serving", "trial", "probing", "cooling", "ejected", "aside", "key aside",
    "disabled", "draining", "paused",
    "loaded", "loading", "not loaded", "waiting", "broken", "missing", "unknown",
]  # fmt: skip
"""How what can be asked for stands. Of providers: serving, or why it is left alone (`gateway.health.State`),
and whether every key is put aside. Of this machine's models: how their processes are, a file that cannot be
read, a model that is not there. Of all: whether a person keeps requests from it. Unknown where no gateway
runs."""


class ModelInfo(Struct, frozen=True):
    """Something that a request's `model` can name, and what is known of it; None is unknown, never zero.

    A route's context is the smallest of its targets', its abilities are those that all of them have, its
    prices the highest.
    """

    id: str
    """A route's name, `node/model` or `provider/model`."""
    kind: ModelKind
    targets: tuple[str, ...]
    """Where it is served: a route's targets in their order, else the one that it is."""
    state: ModelState
    seconds: float = 0.0
    """Until the state is over; 0 where no time is known."""
    reason: str = ""
    context: int | None = None
    """Tokens."""
    abilities: tuple[Ability, ...] | None = None
    prompt_nano: int | None = None
    """Nano-dollars for a million tokens of a (short) prompt."""
    completion_nano: int | None = None
    """Nano-dollars for a million tokens of an answer."""

    @property
    def provider(self) -> str:
        """The provider's name, `node` for this machine, empty for a route."""
        return "" if self.kind == "route" else self.id.partition("/")[0]


class TargetPlace(Struct, frozen=True):
    """Where a target comes for a request, and what is known of it; None is unknown, never zero."""

    target: str
    """`provider/model`."""
    place: int | None
    """1 is asked first; None is not asked."""
    reason: str
    """Why it is out, or what is not known of it; empty where there is nothing to say."""
    cost_nano: int | None
    """Nano-dollars that the request is expected to cost there."""
    answer_tokens: int
    """Tokens that its answer is expected to have."""
    weight: int = 1
    cached_share: float | None = None
    """What of prompts came from its cache lately, from 0 to 1."""
    context: int | None = None
    """Tokens."""
    in_flight: int = 0
    """Requests that are under way there."""
    first_token_us: int | None = None
    tokens_per_second: float | None = None


class LimitsAsked(Struct, frozen=True):
    """Limits that a request has to pass."""

    subject: str
    """Whose they are; see `Subject.label`."""
    limits: WrittenLimits


class RouteExplanation(Struct, frozen=True):
    """What would become of a request: its targets in the order of being asked, and the others."""

    model: str
    """What was asked for."""
    route: str
    strategy: str
    prefer: str | None
    private: bool
    prompt_tokens: int
    """As estimated from the prompt's length."""
    is_live: bool
    """Whether a running gateway told how targets stand, how fast and how busy they are."""
    targets: tuple[TargetPlace, ...]
    hedge_after: float | None = None
    """Seconds without an answer after which a second target is asked beside the first; None is never."""
    hedge_extra: float = 0.0
    """The share of requests, from 0 to 1, for which that is done at most."""
    limits: tuple[LimitsAsked, ...] = ()
    """Those of the organization, the route and the targets; those of a key and its team come beside them."""


class ModelListing(Struct, frozen=True):
    """Everything that can be asked for: routes, this machine's models, each provider's; and what is amiss."""

    models: tuple[ModelInfo, ...]
    notices: tuple[str, ...] = ()
    """Of which providers the list is not their own, and why."""
