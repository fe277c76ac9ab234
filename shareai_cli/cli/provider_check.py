"""Asks providers' free calls, one request a key."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import httpx
import msgspec

from shareai_cli import __version__
from shareai_cli.config import ProviderSettings
from shareai_cli.errors import ConfigurationError, ExitCode
from shareai_cli.secrets import Secret, SecretReference, conceal, resolve

Verdict = Literal["valid", "refused", "missing", "unreachable", "failed", "unchecked"]

ANTHROPIC_VERSION = "2023-06-01"
ANSWER_LIMIT = 8 << 20
"""Bytes of an answer that are looked at."""
LONGEST_WAIT = 30.0
AT_ONCE = 16

_REFUSALS = {
    # Gemini answers a key that it does not know with 400.
    400: "the key is refused",
    401: "the key is refused",
    402: "the account has no credit",
    403: "the key may not do this",
}


class CheckResult(msgspec.Struct, frozen=True):
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


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


def check_providers(
    providers: Sequence[ProviderSettings],
    environ: Mapping[str, str],
    clock: Callable[[], float] = time.monotonic,
) -> list[CheckResult]:
    """Ask every provider with each of its keys; failures are results, none is raised."""
    return asyncio.run(_check_all(providers, environ, clock))


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
    providers: Sequence[ProviderSettings], environ: Mapping[str, str], clock: Callable[[], float]
) -> list[CheckResult]:
    few = asyncio.Semaphore(AT_ONCE)
    # What the gateway does not follow, this does not either: no proxies, no redirects.
    async with httpx.AsyncClient(trust_env=False, follow_redirects=False) as client:

        async def check(provider: ProviderSettings, key: SecretReference | None) -> CheckResult:
            async with few:
                return await _check(client, provider, key, environ, clock)

        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(check(provider, key))
                for provider in providers
                for key in provider.keys or (None,)
            ]
    return [task.result() for task in tasks]


async def _check(
    client: httpx.AsyncClient,
    provider: ProviderSettings,
    key: SecretReference | None,
    environ: Mapping[str, str],
    clock: Callable[[], float],
) -> CheckResult:
    name = key.name if key is not None else "none"
    if provider.check is None:
        return CheckResult(provider.name, name, "unchecked", "no free call is known")
    try:
        secret = resolve(key, environ) if key is not None else None
    except ConfigurationError as error:
        return CheckResult(provider.name, name, "missing", error.message)
    limit = min(provider.timeouts.head, LONGEST_WAIT)
    began = clock()
    try:
        async with asyncio.timeout(limit):
            status, body = await _ask(client, provider, secret)
    except (TimeoutError, httpx.TimeoutException):
        return CheckResult(provider.name, name, "unreachable", f"no answer within {limit:g} s")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return CheckResult(provider.name, name, "unreachable", _in_words(error))
    milliseconds = round((clock() - began) * 1000)
    verdict, detail, models = _judge(status, body)
    return CheckResult(provider.name, name, verdict, detail, status, models, milliseconds)


async def _ask(
    client: httpx.AsyncClient, provider: ProviderSettings, secret: Secret | None
) -> tuple[int, bytes]:
    headers = {"User-Agent": f"shareai/{__version__}", "Accept-Encoding": "identity"}
    if secret is not None and provider.check_style == "anthropic":
        headers |= {"x-api-key": secret.reveal(), "anthropic-version": ANTHROPIC_VERSION}
    elif secret is not None:
        headers["Authorization"] = f"Bearer {secret.reveal()}"
    body = bytearray()
    async with client.stream(
        "GET", f"{provider.base_url}{provider.check}", headers=headers, timeout=LONGEST_WAIT
    ) as response:
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > ANSWER_LIMIT:
                break
    return response.status_code, bytes(body)


def _judge(status: int, body: bytes) -> tuple[Verdict, str, int | None]:
    if 200 <= status < 300:
        if not _is_json(body):
            return "failed", f"HTTP {status}, and no JSON: is the base URL right?", None
        return "valid", "", _count_models(body)
    if status in _REFUSALS:
        return "refused", f"HTTP {status}: {_REFUSALS[status]}", None
    return "failed", f"HTTP {status}", None


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _count_models(body: bytes) -> int | None:
    try:
        return len(msgspec.json.decode(body, type=_Models).data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _in_words(error: Exception) -> str:
    text = conceal(str(error)).strip()
    return text[:200] or type(error).__name__
