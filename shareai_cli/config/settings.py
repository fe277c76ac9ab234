"""What a person can declare, each setting with its type, its default and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType, field

from shareai_cli.config.egress import Authority, Egress, Proxy
from shareai_cli.config.preset import KeyStyle
from shareai_cli.drill_types import CheckName
from shareai_cli.secrets import Secret, SecretReference
from shareai_cli.types import IDLE_SECONDS, Limits, LocalModel, Preference, Subject, Target

Strategy = Literal["priority", "weighted", "cheapest", "fastest", "least-busy", "sticky"]

PLAIN: Final = ("priority", "weighted")
"""Strategies that go by the configuration alone."""

MOST_PLAIN: Final = 32
"""Targets that can be looked at one by one for every request."""

MEBIBYTE = 1 << 20


class TimeLimits(Struct, frozen=True):
    """Seconds that an attempt may take, each phase for itself."""

    connect: float = 10.0
    """To a connection, TLS included."""
    head: float = 30.0
    """To a stream's head."""
    content: float = 120.0
    """To a stream's first content: reasoning models are silent for long."""
    gap: float = 120.0
    """Between two events of a stream."""
    total: float = 600.0
    """Any reply as a whole."""


class ServerSettings(Struct, frozen=True):
    """`[server]`: where the gateway listens and what it takes."""

    host: str = "127.0.0.1"
    """The address to listen on."""
    port: int = 6161
    """0 takes a free one."""
    hostnames: tuple[str, ...] = ()
    """Names by which clients call it, beside loopback names and its own address."""
    keep_alive_comments: float = 0.0
    """Seconds between comments in a stream that waits for its first content; 0 sends none."""
    drain: float = 30.0
    """Seconds that streams have to end in when the gateway stops."""
    connections: int = 4096
    """The most clients' connections at a time."""
    body_limit: int = 20 * MEBIBYTE
    """Bytes of a request's body."""


class NetworkSettings(Struct, frozen=True):
    """`[network]`: how providers are reached, unless one says otherwise."""

    proxy: Proxy | UnsetType | None = UNSET
    """None goes directly; UNSET goes by HTTPS_PROXY, HTTP_PROXY and ALL_PROXY."""
    no_proxy: tuple[str, ...] | None = None
    """Hosts that are reached directly; None goes by NO_PROXY."""
    ca_file: Authority | None = None
    """Certificates in PEM that are trusted beside the system's."""


class Header(Struct, frozen=True):
    """A header field that goes with every request to a provider."""

    name: str
    value: SecretReference | Secret
    """Where it is kept, or itself as it was written out."""


class ProviderSettings(Struct, frozen=True):
    """`[providers.NAME]`: a cloud endpoint that speaks the OpenAI API."""

    name: str
    preset: str | None
    """Which preset filled in what was not declared."""
    base_url: str
    """Without a slash at its end; `/chat/completions` follows it."""
    keys: tuple[SecretReference, ...] = ()
    """Where its keys are kept; none for an endpoint that wants none."""
    timeouts: TimeLimits = TimeLimits()
    """Its time limits."""
    check: str | None = None
    """Path under the base URL whose GET is free; None where there is none."""
    key_style: KeyStyle = "bearer"
    """How requests present the key."""
    check_style: KeyStyle = "bearer"
    """How the free call presents it."""
    price_as: str | None = None
    """Under which of genai-prices' providers its prices are looked up."""
    stream_usage: bool = True
    """Whether it takes `stream_options.include_usage`."""
    models: tuple[str, ...] = ()
    """Models that it offers beside those that its `/models` names."""
    allow_http: bool = False
    """Whether a key may go unencrypted to another machine."""
    headers: tuple[Header, ...] = ()
    """Fields that go with every request, beside those that carry the key."""
    egress: Egress = Egress()
    """How it is reached, the network's settings and the environment taken into account."""


class Conditions(Struct, frozen=True):
    """What a target can do, or what every request of a route takes; None goes by what is known."""

    context: int | None = None
    """Tokens of context."""
    tools: bool | None = None
    vision: bool | None = None
    json_schema: bool | None = None


class OwnPrice(Struct, frozen=True):
    """What a target is taken to cost where the cheapest is looked for: nano-dollars for a million tokens."""

    prompt_nano: int
    completion_nano: int


ANY: Final = Conditions()


class CacheSettings(Struct, frozen=True):
    """`cache` of a route: how long and how much of its replies is kept for requests that are equal."""

    age: float
    """Seconds up to which a reply is given again."""
    size: int = 64 * MEBIBYTE
    """Bytes of replies in memory."""
    disk: int = 0
    """Bytes of replies in a file, where they outlast the process; 0 writes none there."""
    shared: bool = False
    """Whether a reply to one team is given to all others, too."""


class HedgeSettings(Struct, frozen=True):
    """`hedge` of a route: when a second target is asked beside one that has not answered yet."""

    after: float
    """Seconds without an answer, of a stream without its first content."""
    extra: float = 0.1
    """The share of the route's requests, from 0 to 1, that are asked twice at most."""


class RouteTarget(Struct, frozen=True):
    """One target of a route."""

    target: Target
    weight: int = 1
    """Its share where the strategy is `weighted` or `sticky`, its room where it is `least-busy`."""
    conditions: Conditions = ANY
    price: OwnPrice | None = None
    """None goes by the catalogue's prices; own machines cost nothing."""


class RouteSettings(Struct, frozen=True):
    """`[routes.NAME]`: a public model name and the targets behind it."""

    name: str
    strategy: Strategy
    targets: tuple[RouteTarget, ...]
    prefer: Preference | None = None
    private: bool = False
    """Whether requests never leave this person's machines."""
    fit: bool = False
    """Whether requests go only to targets that can serve them: context, tools, vision, JSON schema."""
    conditions: Conditions = ANY
    """What every request is taken to need, whatever it shows."""
    cache: CacheSettings | None = None
    """None keeps nothing."""
    hedge: HedgeSettings | None = None
    """None asks one target at a time."""

    @property
    def is_plain(self) -> bool:
        """Whether the order depends on nothing that is in a request, measured or known of the models."""
        return (
            self.strategy in PLAIN
            and self.prefer is None
            and not (self.private or self.fit)
            and len(self.targets) <= MOST_PLAIN
        )


class LocalSettings(Struct, frozen=True):
    """`[local]`: the models that this machine serves, as `node/NAME`.

    What follows `models` is of those that say nothing else themselves: see `LocalModel`.
    """

    models: tuple[LocalModel, ...] = ()
    """Each with an absolute path; its name is the file's, without .gguf, unless it is given one."""
    context: int | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    slots: int | None = None
    flash_attention: bool | None = None
    idle: float = IDLE_SECONDS


class DrillSettings(Struct, frozen=True):
    """`[drills.NAME]`: a smoke test that the gateway runs by itself."""

    name: str
    at: tuple[int, ...] = ()
    """Minutes after midnight, by this machine's clock, at which it is run each day."""
    every: float | None = None
    """Seconds from one run to the next; None goes by `at`."""
    checks: tuple[CheckName, ...] = ()
    """None for all of them, as is no route."""
    routes: tuple[str, ...] = ()
    most_nano: int = 50_000_000
    """Nano-dollars that a run may spend."""


class WebhookSettings(Struct, frozen=True):
    """`[webhook]`: who is told what this person should know, signed."""

    url: str
    """May hold a secret in its path or query: it is shown by `describe_webhook` alone."""
    secret: SecretReference
    """Where the signing secret is kept: `whsec_` and base64, as Standard Webhooks has it."""
    egress: Egress = Egress()
    """How it is reached, the network's settings and the environment taken into account."""

    def __repr__(self) -> str:
        return f"<WebhookSettings [secret: {self.secret.name}]>"


class Settings(Struct, frozen=True):
    """Everything declared, checked and filled in."""

    server: ServerSettings = ServerSettings()
    network: NetworkSettings = NetworkSettings()
    providers: Mapping[str, ProviderSettings] = field(default_factory=dict)
    routes: Mapping[str, RouteSettings] = field(default_factory=dict)
    local: LocalSettings = LocalSettings()
    limits: Mapping[Subject, Limits] = field(default_factory=dict)
    """Of the organization, routes and targets; those of teams and keys are in the accounts."""
    drills: Mapping[str, DrillSettings] = field(default_factory=dict)
    webhook: WebhookSettings | None = None
    """None tells nobody."""
    source: Path | None = None
    """The file that was read; None where there is none."""
    discovered: tuple[str, ...] = ()
    """Environment variables whose keys made preset providers, nothing having been declared."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing can serve: then the demo model does."""
        return not self.providers and not self.local.models
