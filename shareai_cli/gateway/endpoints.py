"""Where targets live: each provider's address, keys, connections and time limits, ready to be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy

from shareai_cli import __version__
from shareai_cli.config import Egress, Header, KeyStyle, ProviderSettings, TimeLimits
from shareai_cli.errors import ConfigurationError
from shareai_cli.gateway.hiding import without_key
from shareai_cli.gateway.kinds import BESIDE_CHAT, CHAT
from shareai_cli.gateway.pools import PoolFactory
from shareai_cli.secrets import Secret, SecretReference, resolve, resolve_header
from shareai_cli.types import NODE
from shareai_cli.wire.client import Pool, Timeouts, parse_base_url

NODE_LIMITS = TimeLimits(connect=10, head=300, content=300, gap=120, total=600)
"""A node has longer: a model loads, a CPU reads a long prompt."""

NO_KEY = ""

ANTHROPIC_VERSION = b"2023-06-01"

SHORTEST_SECRET = 8
"""Characters; shorter words of a header field are too common to be taken out of replies."""


class EndpointKey:
    """One of a provider's keys: shown by its fingerprint, sent in a request's head, never printed."""

    __slots__ = ("_secret", "fingerprint", "head", "heads", "hidden", "reference")

    def __init__(self, secret: Secret | None, reference: str) -> None:
        self._secret = secret
        self.hidden = [secret] if secret is not None else []
        """What is taken out of replies: the key, and secrets in the provider's header fields."""
        self.reference = reference
        self.fingerprint = secret.fingerprint if secret is not None else NO_KEY
        self.head = b""
        """The head of a chat completion's request with this key, up to its Content-Length."""
        self.heads: dict[str, bytes] = {}
        """Those of what else can be asked for, by its path."""

    def __repr__(self) -> str:
        return f"<EndpointKey {self.reference} {self.fingerprint}>"

    def presented(self, style: KeyStyle) -> bytes:
        """Return the header lines that present this key; empty for a provider that takes none."""
        if self._secret is None:
            return b""
        key = self._secret.reveal().encode("latin-1")
        if style == "anthropic":
            return b"x-api-key: %b\r\nanthropic-version: %b\r\n" % (key, ANTHROPIC_VERSION)
        return (b"api-key: %b\r\n" if style == "api-key" else b"Authorization: Bearer %b\r\n") % key

    def hide(self, data: bytes) -> bytes:
        """Take this key, and what is secret beside it, out of what an upstream sent back."""
        for secret in self.hidden:
            data = without_key(data, secret.reveal())
        return data


class Endpoint:
    """One provider or node, ready to be asked."""

    __slots__ = ("_headers", "_turn", "check", "keys", "limits", "name", "origin", "pool", "prefix",
                 "price_as", "settings", "stream_timeouts", "stream_usage", "timeouts")  # fmt: skip

    def __init__(
        self,
        settings: ProviderSettings,
        keys: list[EndpointKey],
        pool: Pool,
        headers: Sequence[tuple[str, Secret]] = (),
    ) -> None:
        """`headers` are the names and values of `settings.headers`."""
        self.settings = settings
        self._headers = headers
        self.name = settings.name
        self.origin, self.prefix = parse_base_url(settings.base_url)
        self.keys = keys
        self.price_as = settings.price_as or ""
        self.stream_usage = settings.stream_usage
        self.check = settings.check
        self.pool = pool
        self._turn = 0
        self._limit(settings.timeouts)
        hidden = _secrets_among(settings.headers, headers) if headers else []
        for key in keys:
            key.hidden += hidden
            fields = key.presented(settings.key_style) + b"Content-Type: application/json\r\n"
            key.head = self._head(b"POST", CHAT.path, fields)
            key.heads = {kind.path: self._head(b"POST", kind.path, fields) for kind in BESIDE_CHAT}

    def __repr__(self) -> str:
        return f"<Endpoint {self.name} {self.settings.base_url} [keys: {len(self.keys)}]>"

    def variant(self, limits: TimeLimits, keys: list[EndpointKey] | None = None) -> Endpoint:
        """Return this endpoint, over the same connections, with other time limits, or some of its keys."""
        made = copy(self)
        made._limit(limits)
        made.keys = keys or self.keys
        return made

    def get_head(self, path: str, key: EndpointKey) -> bytes:
        """Return the head of a free call, a GET of `path` under the base URL."""
        return self._head(b"GET", path, key.presented(self.settings.check_style))

    def rotation(self) -> list[EndpointKey]:
        """Return the keys, each call beginning with the next one."""
        if len(self.keys) == 1:
            return self.keys
        self._turn = turn = (self._turn + 1) % len(self.keys)
        return self.keys[turn:] + self.keys[:turn]

    def fingerprints(self) -> list[str]:
        """Return the keys' fingerprints."""
        return [key.fingerprint for key in self.keys]

    def _limit(self, limits: TimeLimits) -> None:
        self.limits = limits
        self.timeouts = Timeouts(limits.connect, limits.total, limits.total)
        self.stream_timeouts = Timeouts(limits.connect, min(limits.head, limits.total), limits.total)

    def _head(self, method: bytes, path: str, fields: bytes) -> bytes:
        return b"".join(
            (
                method,
                b" ",
                (self.prefix + path).encode("ascii"),
                b" HTTP/1.1\r\nHost: ",
                self.origin.authority.encode("ascii"),
                b"\r\n",
                fields,
                self._fixed_fields(fields),
                b"Accept: */*\r\nAccept-Encoding: identity\r\nUser-Agent: shareai/",
                __version__.encode("ascii"),
                b"\r\n",
            )
        )

    def _fixed_fields(self, fields: bytes) -> bytes:
        """Return the provider's own fields, but those in which `fields` presents the key already."""
        written = {line.partition(b":")[0].lower() for line in fields.split(b"\r\n")}
        lines = [f"{name}: {value.reveal()}\r\n".encode("ascii") for name, value in self._headers]
        return b"".join(line for line in lines if line.partition(b":")[0].lower() not in written)


class Endpoints:
    """Every endpoint of one configuration, by provider name."""

    __slots__ = ("_by_name",)

    def __init__(self, by_name: Mapping[str, Endpoint]) -> None:
        self._by_name = dict(by_name)

    @classmethod
    def build(
        cls,
        providers: Mapping[str, ProviderSettings],
        environ: Mapping[str, str],
        make_pool: PoolFactory,
        former: Endpoints | None = None,
    ) -> Endpoints:
        """Resolve every provider's keys, keeping the connections of origins that stay.

        Raises `ConfigurationError` naming the provider and the reference that cannot be resolved, or the
        certificates that cannot be used.
        """
        pools = {(one.origin, one.settings.egress): one.pool for one in former} if former is not None else {}
        built: dict[str, Endpoint] = {}
        for name, settings in providers.items():
            origin, _ = parse_base_url(settings.base_url)
            keys = [_resolve(name, reference, environ) for reference in settings.keys]
            headers = resolve_headers(settings, environ)
            way = (origin, settings.egress)
            pool = pools.get(way) or pools.setdefault(way, make_pool(*way))
            built[name] = Endpoint(settings, keys or [EndpointKey(None, "none")], pool, headers)
        return cls(built)

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._by_name.values())

    def find(self, name: str) -> Endpoint | None:
        """Return the endpoint of that name."""
        return self._by_name.get(name)


def node_endpoint(base_url: str, secret: Secret, make_pool: PoolFactory) -> Endpoint:
    """Return the endpoint of this machine's own node agent."""
    settings = ProviderSettings(
        name=NODE, preset=None, base_url=base_url, keys=(), timeouts=NODE_LIMITS, price_as=NODE
    )
    origin, _ = parse_base_url(base_url)
    return Endpoint(settings, [EndpointKey(secret, "made at start")], make_pool(origin, Egress()))


def resolve_headers(settings: ProviderSettings, environ: Mapping[str, str]) -> list[tuple[str, Secret]]:
    """Fetch the values of a provider's header fields; raises `ConfigurationError`."""
    return [(one.name, _resolve_header(settings.name, one, environ)) for one in settings.headers]


def _resolve_header(provider: str, header: Header, environ: Mapping[str, str]) -> Secret:
    if isinstance(header.value, Secret):
        return header.value
    try:
        return resolve_header(header.value, environ)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"Provider '{provider}', header {header.name}: {error.message}", hint=error.hint
        ) from None


def _secrets_among(declared: Sequence[Header], headers: Sequence[tuple[str, Secret]]) -> list[Secret]:
    """Return the words of fields that are kept elsewhere: what is written out in the file is no secret."""
    return [
        Secret(word)
        for one, (_, value) in zip(declared, headers, strict=True)
        if isinstance(one.value, SecretReference)
        for word in value.reveal().split()
        if len(word) >= SHORTEST_SECRET
    ]


def _resolve(provider: str, reference: SecretReference, environ: Mapping[str, str]) -> EndpointKey:
    try:
        secret = resolve(reference, environ)
        secret.reveal().encode("latin-1")
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"The key of provider '{provider}' at {reference.kind}:{reference.location} has characters "
            "that no HTTP header can carry.",
            hint="Store the key again, without quotes or line breaks.",
        ) from None
    except ConfigurationError as error:
        raise ConfigurationError(f"Provider '{provider}': {error.message}", hint=error.hint) from None
    return EndpointKey(secret, f"{reference.kind}:{reference.location}")
