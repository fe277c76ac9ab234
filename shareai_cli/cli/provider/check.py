"""Asks providers' free calls, one request a key, over the way and with the fields of every other request."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from shareai_cli.catalog.listing import read_listing
from shareai_cli.config import ProviderSettings
from shareai_cli.errors import ConfigurationError, ExitCode, MalformedReply, UpstreamError
from shareai_cli.gateway.endpoints import Endpoint, EndpointKey, resolve_headers
from shareai_cli.gateway.pools import PoolFactory, pool_factory
from shareai_cli.secrets import Secret, SecretReference, conceal, resolve
from shareai_cli.types import Clock
from shareai_cli.wire.client import Timeouts, parse_base_url
from shareai_cli.wire.deadlines import Deadlines

Verdict = Literal["valid", "refused", "missing", "unreachable", "failed", "unchecked"]

ANSWER_LIMIT: Final = 8 << 20
"""Bytes of an answer that are looked at."""
LONGEST_WAIT: Final = 30.0
AT_ONCE: Final = 16
NO_KEY: Final = "none"

_REFUSALS: Final[Mapping[int, str]] = {
    # Gemini and xAI answer a key that they do not know with 400.
    400: "the key is refused",
    401: "the key is refused",
    402: "the account has no credit",
    403: "the key may not do this",
}
_LIMIT = re.compile(
    rb"(?:x-ratelimit-limit-(?:req|requests|tokens)|anthropic-ratelimit-(?:requests|tokens)-limit)"
    rb"(?:-(second|minute|hour|day|month))?"
)
"""How providers name the fields that tell of limits (platform.openai.com/docs/guides/rate-limits,
console.groq.com/docs/rate-limits, docs.claude.com/en/api/rate-limits, docs.mistral.ai, Cerebras)."""


class Candidate(Struct, frozen=True):
    """A key to be tried."""

    name: str
    """Where it is, or whence it came; `none` where no key is sent."""
    secret: Secret | None
    problem: str | None = None
    """Why there is no secret, where there should be one."""
    hint: str | None = None
    """What mends that."""


class Limit(Struct, frozen=True):
    """How much a provider says that it takes."""

    amount: int
    of: Literal["requests", "tokens"]
    per: str | None = None
    """The period, where the provider says it."""

    def __str__(self) -> str:
        return f"{self.amount} {self.of}{f' a {self.per}' if self.per else ''}"


class CheckResult(Struct, frozen=True):
    """What one key got."""

    provider: str
    key: str
    """The reference; `none` where no key is sent."""
    verdict: Verdict
    detail: str = ""
    status: int | None = None
    """HTTP status, where there was an answer."""
    models: int | None = None
    """How many models the answer lists, where it lists models."""
    milliseconds: int | None = None
    limits: tuple[Limit, ...] = ()
    hint: str | None = None
    """What mends a key that cannot be had, where it is more than to set a variable."""


def candidate(reference: SecretReference, environ: Mapping[str, str]) -> Candidate:
    """Fetch a key; what is wrong with its place is in `problem`."""
    try:
        return Candidate(reference.name, resolve(reference, environ))
    except ConfigurationError as error:
        hint = None if reference.kind == "env" else error.hint
        return Candidate(reference.name, None, error.message, hint)


def check_providers(
    providers: Sequence[ProviderSettings],
    environ: Mapping[str, str],
    clock: Clock = time.monotonic,
    answered: Callable[[], None] = lambda: None,
) -> list[CheckResult]:
    """Ask every provider with each of its keys; failures are results, none is raised.

    `answered` is told of each that is done, one for a provider without keys.
    """
    asked = [
        (provider, one)
        for provider in providers
        for one in [candidate(key, environ) for key in provider.keys] or [Candidate(NO_KEY, None)]
    ]
    return asyncio.run(_check_all(asked, environ, clock, answered))


def check_keys(
    provider: ProviderSettings,
    keys: Sequence[Candidate],
    environ: Mapping[str, str],
    clock: Clock = time.monotonic,
) -> list[CheckResult]:
    """Ask one provider with each of these keys, whichever it has; failures are results, none is raised."""
    return asyncio.run(_check_all([(provider, one) for one in keys], environ, clock))


def exit_code(results: Sequence[CheckResult]) -> ExitCode:
    """Return what a command's exit status says of the results together."""
    verdicts = {one.verdict for one in results} - {"unchecked"}
    if verdicts <= {"valid"}:
        return ExitCode.OK
    if "valid" in verdicts:
        return ExitCode.PARTLY
    if verdicts == {"refused"}:
        return ExitCode.AUTHENTICATION
    if verdicts == {"missing"}:
        return ExitCode.CONFIGURATION
    return ExitCode.UPSTREAM


async def _check_all(
    asked: Sequence[tuple[ProviderSettings, Candidate]],
    environ: Mapping[str, str],
    clock: Clock,
    answered: Callable[[], None] = lambda: None,
) -> list[CheckResult]:
    few = asyncio.Semaphore(AT_ONCE)
    deadlines = Deadlines()
    make_pool = pool_factory(deadlines, None, clock)

    async def check(provider: ProviderSettings, key: Candidate) -> CheckResult:
        async with few:
            result = await _check(provider, key, environ, make_pool, clock)
            answered()
            return result

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(check(provider, key)) for provider, key in asked]
    finally:
        deadlines.close()
    return [task.result() for task in tasks]


async def _check(
    provider: ProviderSettings,
    key: Candidate,
    environ: Mapping[str, str],
    make_pool: PoolFactory,
    clock: Clock,
) -> CheckResult:
    if key.problem is not None:
        return CheckResult(provider.name, key.name, "missing", key.problem, hint=key.hint)
    if provider.check is None:
        return CheckResult(provider.name, key.name, "unchecked", "no free call is known")
    began = clock()
    try:
        status, headers, body = await _ask(provider, provider.check, key, environ, make_pool)
    except ConfigurationError as error:
        return CheckResult(provider.name, key.name, "missing", error.message, hint=error.hint)
    except MalformedReply as error:
        return CheckResult(provider.name, key.name, "failed", conceal(error.message))
    except UpstreamError as error:
        return CheckResult(provider.name, key.name, "unreachable", conceal(error.message))
    milliseconds = round((clock() - began) * 1000)
    verdict, detail, models = _judge(status, body, has_key=key.secret is not None)
    return CheckResult(
        provider.name, key.name, verdict, detail, status, models, milliseconds, _limits(headers)
    )


async def _ask(
    provider: ProviderSettings,
    path: str,
    key: Candidate,
    environ: Mapping[str, str],
    make_pool: PoolFactory,
) -> tuple[int, Mapping[bytes, bytes], bytes]:
    origin, _ = parse_base_url(provider.base_url)
    pool = make_pool(origin, provider.egress)
    presented = EndpointKey(key.secret, key.name)
    endpoint = Endpoint(provider, [presented], pool, resolve_headers(provider, environ))
    wait = min(provider.timeouts.head, LONGEST_WAIT)
    patience = Timeouts(min(provider.timeouts.connect, wait), wait, LONGEST_WAIT)
    try:
        reply = await pool.send(endpoint.get_head(path, presented), b"", patience)
        return reply.status, reply.headers, await reply.read(ANSWER_LIMIT)
    finally:
        pool.abort()
        await pool.close()


def _judge(status: int, body: bytes, *, has_key: bool) -> tuple[Verdict, str, int | None]:
    if 200 <= status < 300:
        if not _is_json(body):
            return "failed", f"HTTP {status}, and no JSON: is the base URL right?", None
        listed = read_listing(body)
        return "valid", "", len(listed) if listed is not None else None
    if status in _REFUSALS:
        return "refused", f"HTTP {status}: {_REFUSALS[status] if has_key else 'it wants a key'}", None
    return "failed", f"HTTP {status}", None


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _limits(headers: Mapping[bytes, bytes]) -> tuple[Limit, ...]:
    found = []
    for name, value in sorted(headers.items()):
        named = _LIMIT.fullmatch(name)
        if named is not None and value.isdigit() and len(value) <= 15:
            kind: Literal["requests", "tokens"] = "tokens" if b"tokens" in name else "requests"
            period = named[1]
            found.append(Limit(int(value), kind, period.decode("ascii") if period else None))
    return tuple(found)
