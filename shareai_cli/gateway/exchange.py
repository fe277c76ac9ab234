"""One request on its way through the stages, and the shape that every stage has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, Protocol
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from shareai_cli.errors import MalformedRequest, ShareAIError, UpstreamError
from shareai_cli.gateway.body import (
    Fields,
    check_content_type,
    decode_fields,
    optional_flag,
    optional_object,
    required_array,
    required_string,
    required_text,
)
from shareai_cli.gateway.kinds import CHAT, KINDS, Kind
from shareai_cli.types import LONGEST_MODEL, Attempt, Caller, Outcome, Target, Usage
from shareai_cli.wire.message import Request, Response

Headers = list[tuple[bytes, bytes]]

JSON_TYPE = (b"content-type", b"application/json")
EVENTS_TYPE = (b"content-type", b"text/event-stream; charset=utf-8")
NO_CACHE = (b"cache-control", b"no-cache")

JSON_LINE = b"content-type: application/json\r\n"
"""`JSON_TYPE`, ready to be sent."""

CLIENT_LEFT = 499
"""The status in the accounts of a request whose client left before its reply (nginx's number)."""


Reply = Response
"""What a stage hands back; its body is bytes or pushes itself."""


class Choice(Struct, frozen=True):
    """What the router answers: the targets to try in order, under the route's name for the accounts.

    Without targets, `returns_at` is the clock's time at which one may serve again, and `reason` why not now.
    """

    route: str
    targets: Collection[Target]
    returns_at: float = 0.0
    reason: str = ""
    is_missing: bool = False
    """Whether no provider has the model, as each of them said."""
    answered_by: Callable[[str], None] | None = None
    """Told whose answer is taken, `provider/model`, where more than one was asked at a time."""


class Accounts(Protocol):
    """Who keeps account of exchanges."""

    def begin(self, exchange: Exchange) -> None:
        """Write that the request is about to be sent; raises `Overloaded` where that cannot be kept."""

    def settle(self, exchange: Exchange, outcome: Outcome) -> None:
        """Write how it ended, before the last bytes of the reply go; only the first call counts."""


class Exchange(Struct, eq=False):
    """One request and what has become known of it; each stage fills in what it finds out."""

    request: Request
    accounts: Accounts
    identity: int
    time_ms: int
    started: float
    caller: Caller | None = None
    fields: Fields = {}
    model: str = ""
    route: str = ""
    streamed: bool = False
    wants_usage: bool = False
    attempts: list[Attempt] = []
    beside: Sequence[Sequence[Attempt]] = ()
    """Where others make attempts for the same request: those of each, its own among them."""
    target: str = ""
    """Who was asked last, `provider/model`: who answered, where `answered`."""
    target_model: str = ""
    answered: bool = False
    price_as: str = ""
    provider_key: str = ""
    usage: Usage | None = None
    completion_bytes: int = 0
    first_content_at: float = 0.0
    status: int = 0
    error_code: str = ""
    fingerprint: bytes = b""
    """Salted hash of the prompt, once it was about to be sent."""
    settled: bool = False
    shortened: bool = False
    """Whether the answer may have far fewer tokens than the client's request lets it have."""
    kind: Kind = CHAT

    def __repr__(self) -> str:
        return f"<Exchange {self.identity:x} {self.model!r} [attempts: {len(self.attempts)}]>"

    def settle(self, outcome: Outcome) -> None:
        """Have it written how the exchange ended."""
        self.accounts.settle(self, outcome)


Replying = Coroutine[Any, Any, Reply]

Handler = Callable[[Exchange], Replying]
"""A stage that only looks at the request returns the next one's coroutine instead of one of its own."""

Stage = Callable[[Handler], Handler]


def understand(inner: Handler) -> Handler:
    """Stage: decode the body, and check the few fields that this gateway itself acts on."""

    def handle(exchange: Exchange) -> Replying:
        request = exchange.request
        check_content_type(request.headers.get(b"content-type"))
        fields = exchange.fields = decode_fields(request.body)
        exchange.model = required_string(fields, "model", LONGEST_MODEL)
        required_array(fields, "messages")
        if optional_flag(fields, "stream"):
            _have_streamed(exchange, fields)
        return inner(exchange)

    return handle


def understand_as(kind: Kind) -> Stage:
    """Return the stage that does so with what is no chat completion."""

    def stage(inner: Handler) -> Handler:
        def handle(exchange: Exchange) -> Replying:
            request = exchange.request
            check_content_type(request.headers.get(b"content-type"))
            fields = exchange.fields = decode_fields(request.body)
            exchange.kind = kind
            exchange.model = required_string(fields, "model", LONGEST_MODEL)
            required_text(fields, kind.prompt)
            # What is counted and kept of a request is its one prompt.
            for other in KINDS:
                if other is not kind and other.prompt in fields:
                    raise MalformedRequest(
                        f"The field '{other.prompt}' is for /v1{other.path}.", param=other.prompt
                    )
            if kind.streams and optional_flag(fields, "stream"):
                _have_streamed(exchange, fields)
            return inner(exchange)

        return handle

    return stage


def _have_streamed(exchange: Exchange, fields: Fields) -> None:
    exchange.streamed = True
    options = optional_object(fields, "stream_options")
    exchange.wants_usage = options is not None and optional_flag(options, "include_usage")


def with_stream_usage(fields: Fields) -> Fields:
    """Return the fields with `stream_options.include_usage` switched on and its other options kept."""
    options = optional_object(fields, "stream_options") or {}
    options["include_usage"] = Raw(b"true")
    return {**fields, "stream_options": Raw(msgspec.json.encode(options))}


def outcome_of(error: ShareAIError) -> Outcome:
    """Tell how an exchange ended that was answered with an error of this gateway's own."""
    ours = isinstance(error, UpstreamError) or error.status >= 500
    return Outcome.FAILED if ours else Outcome.REFUSED


def printable(name: str) -> bytes:
    """Encode a name that a client may have chosen so that it can stand in a header or on a terminal."""
    if name.isascii() and name.isprintable():
        return name.encode()
    return quote(name, safe="/:@._-+").encode("ascii")
