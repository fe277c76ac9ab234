"""The error tree.

    ShareAIError
    ├── RequestError                 the client's request cannot be served as it stands
    │   ├── MalformedRequest         400
    │   │   └── ContextTooLong       400
    │   ├── NoTargetFits             400
    │   ├── PriceUnknown             400
    │   ├── UnknownModel             404
    │   ├── UnknownPath              404
    │   ├── UnknownKey               404
    │   ├── MethodNotAllowed         405
    │   ├── RequestTimeout           408
    │   ├── RequestTooLarge          413
    │   └── UnsupportedMediaType     415
    ├── AuthenticationFailed         401
    ├── PermissionRefused            403
    │   └── ModelNotAllowed          403
    ├── LimitReached                 429, a limit that a person has set
    │   ├── RateLimited              429, of requests, tokens or concurrency: later there is room
    │   │   └── BeyondLimit          429, one request alone is more than the limit
    │   └── QuotaExhausted           429, of money
    ├── Overloaded                   503
    ├── EngineBusy                   429
    ├── ModelUnavailable             503
    │   └── MemoryTaken              503
    ├── EngineFailed                 500
    ├── UpstreamError                what was asked for could not be had from a provider or node
    │   ├── NoTargetLeft             503
    │   ├── KeyRefused               502
    │   ├── ConnectionRefused        ┐
    │   ├── ConnectionReset          │
    │   ├── UpstreamTimeout          │ one attempt's failure; `outcome` names it in the accounts
    │   ├── MalformedReply           │
    │   └── TruncatedReply           ┘
    ├── ConfigurationError           the configuration file, a flag or a variable is wrong
    ├── UsageError                   the command line is wrong
    └── StateError                   the state folder cannot be used as it is
        ├── AlreadyRunning
        ├── GatewayUnreachable
        ├── LedgerUnavailable
        └── AddressInUse

Each class carries what the edges need: an HTTP status, OpenAI's `type` and `code`
(platform.openai.com/docs/guides/error-codes), whether retrying is useless, and the exit code of a command.
A message says what happened and where; `hint` says what to do about it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar, Literal, NamedTuple


class ExitCode(IntEnum):
    """What a command's exit status means, the same for every command."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    CONFIGURATION = 3
    AUTHENTICATION = 4
    UPSTREAM = 5
    PARTLY = 6


class ShareAIError(Exception):
    """The root: everything that this package raises on purpose.

    `message` is one sentence for a person, `hint` the command or change that mends it, `param` the request's
    field, `retry_after` the seconds after which trying again makes sense.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "api_error"
    code: ClassVar[str | None] = None
    retry_useless: ClassVar[bool] = False
    exit_code: ClassVar[ExitCode] = ExitCode.FAILURE

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.param = param
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class RequestError(ShareAIError):
    """The client's request cannot be served as it stands."""

    status = 400
    type = "invalid_request_error"
    retry_useless = True


class MalformedRequest(RequestError):
    """The request is not HTTP, not JSON, or not of the shape that its path wants."""


class ContextTooLong(MalformedRequest):
    """The messages take more tokens than the model's context has room for."""

    code = "context_length_exceeded"


class NoTargetFits(RequestError):
    """None of a route's targets can do what the request asks for."""

    code = "no_target_fits"


class UnknownModel(RequestError):
    """No route, provider, node or target goes by the name in `model`."""

    status = 404
    code = "model_not_found"


class UnknownPath(RequestError):
    """Nothing is served under this path."""

    status = 404
    code = "unknown_url"


class UnknownKey(RequestError):
    """A key that mints asks for one that it has not minted."""

    status = 404
    code = "key_not_found"


class MethodNotAllowed(RequestError):
    """The path exists and does not take this method."""

    status = 405
    code = "method_not_allowed"


class RequestTimeout(RequestError):
    """The client was too slow in sending its request."""

    status = 408
    code = "request_timeout"
    retry_useless = False


class RequestTooLarge(RequestError):
    """The request's body, or its head, is beyond the limit."""

    status = 413
    code = "request_too_large"


class HeadTooLarge(RequestTooLarge):
    """The request's head is beyond the limit (RFC 6585, section 5)."""

    status = 431
    code = "head_too_large"


class UnsupportedMediaType(RequestError):
    """The body is not of a type that the path takes."""

    status = 415
    code = "unsupported_media_type"


class AuthenticationFailed(ShareAIError):
    """No key, or not one of ours: every refusal reads the same."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"
    retry_useless = True
    exit_code = ExitCode.AUTHENTICATION


class PermissionRefused(ShareAIError):
    """The caller is known and may not do this."""

    status = 403
    type = "permission_error"
    code = "permission_denied"
    retry_useless = True
    exit_code = ExitCode.AUTHENTICATION


class ModelNotAllowed(PermissionRefused):
    """The caller's key is not for the model that it asks for."""

    code = "model_not_allowed"


class PriceUnknown(RequestError):
    """A hard budget is to be kept, and nobody knows what the target costs."""

    code = "price_unknown"


class LimitReached(ShareAIError):
    """A limit that a person has set has no room for the request."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class RateState(NamedTuple):
    """How a limit of requests or tokens stands, for the header fields that tell it."""

    measure: Literal["requests", "tokens"]
    most: int
    remaining: int
    reset: float
    """Seconds until all of it is free again if nothing more comes."""


class RateLimited(LimitReached):
    """Too many requests, tokens or requests at a time; `rate` is None of the latter."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        retry_after: float | None = None,
        rate: RateState | None = None,
    ) -> None:
        super().__init__(message, hint=hint, retry_after=retry_after)
        self.rate = rate


class BeyondLimit(RateLimited):
    """A single request asks for more than the limit ever has room for."""

    retry_useless = True


class QuotaExhausted(LimitReached):
    """A budget is used up, or what is left of it cannot pay for the request."""

    type = "insufficient_quota"
    code = "insufficient_quota"
    retry_useless = True


class Overloaded(ShareAIError):
    """This process is at one of its bounds (connections, bodies in memory, a disk that is full)."""

    status = 503
    type = "overloaded_error"
    code = "overloaded"


class EngineBusy(ShareAIError):
    """As many requests wait for this machine's engine as may wait."""

    status = 429
    type = "rate_limit_error"
    code = "engine_busy"


class ModelUnavailable(ShareAIError):
    """A local model cannot be served now: an unreadable file, a dead process, no llama.cpp."""

    status = 503
    type = "overloaded_error"
    code = "model_unavailable"
    exit_code = ExitCode.UPSTREAM


class MemoryTaken(ModelUnavailable):
    """Other models have the memory that one would need, and are busy: later there is room."""


class EngineFailed(ShareAIError):
    """llama.cpp refused to go on with a request; it takes the next one."""

    code = "engine_failed"


class UpstreamError(ShareAIError):
    """What was asked for could not be had from a provider or a node."""

    status = 502
    type = "upstream_error"
    code = "upstream_error"
    exit_code = ExitCode.UPSTREAM
    outcome: ClassVar[str] = "failed"


class NoTargetLeft(UpstreamError):
    """Every target of the route failed, or is put aside."""

    status = 503
    code = "no_target_available"


class KeyRefused(UpstreamError):
    """A provider does not accept the key that it was shown."""

    code = "key_refused"
    retry_useless = True
    exit_code = ExitCode.AUTHENTICATION


class ConnectionRefused(UpstreamError):
    """No connection: refused, unreachable, an unknown name, or TLS that was not accepted."""

    outcome = "refused"


class ConnectionReset(UpstreamError):
    """The connection ended, or was reset, before the reply's head was complete."""

    outcome = "reset"


class UpstreamTimeout(UpstreamError):
    """A time limit passed; `phase` is connect, head, content, gap or total."""

    status = 504
    code = "upstream_timeout"
    outcome = "timeout"

    def __init__(self, message: str, *, phase: str) -> None:
        super().__init__(message)
        self.phase = phase


class MalformedReply(UpstreamError):
    """The reply is not HTTP, is larger than its bound, or does not hold what its status promises."""

    outcome = "malformed"


class TruncatedReply(UpstreamError):
    """The connection ended in the middle of the reply's body."""

    outcome = "truncated"


class ConfigurationError(ShareAIError):
    """The configuration is wrong: names the file, the line, the key and the nearest known one."""

    exit_code = ExitCode.CONFIGURATION
    status = 400
    type = "invalid_request_error"
    code = "configuration_error"
    retry_useless = True


class UsageError(ShareAIError):
    """The command line, or an admin request, asks for what cannot be done."""

    exit_code = ExitCode.USAGE
    status = 400
    type = "invalid_request_error"
    code = "usage_error"
    retry_useless = True


class StateError(ShareAIError):
    """The state folder cannot be used as it is."""


class AlreadyRunning(StateError):
    """Another process holds the lock of the state folder."""


class GatewayUnreachable(StateError):
    """A gateway should be running and its admin interface does not answer."""


class LedgerUnavailable(StateError):
    """The database is locked, newer than this program, damaged, or on a disk that refuses it."""

    status = 503
    type = "overloaded_error"
    code = "ledger_unavailable"


class AddressInUse(StateError):
    """The port is taken."""
