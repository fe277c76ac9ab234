"""Keys are shown to their provider before anything is saved: what it says, and what follows from it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from shareai_cli.cli.console import note, print_line
from shareai_cli.errors import ConfigurationError, KeyRefused, ShareAIError, UpstreamError

if TYPE_CHECKING:
    from shareai_cli.cli.provider.check import Candidate, CheckResult
    from shareai_cli.config import ProviderSettings

UNSAVED: Final = "Nothing was saved."
GIVEN: Final = "the one given"
"""What a key is called that has no place yet."""


def prove(
    provider: ProviderSettings, keys: Sequence[Candidate], environ: Mapping[str, str], again: str
) -> list[CheckResult]:
    """Ask the provider's free call with each key; `again` is the command that would do it unchecked.

    Raises `KeyRefused`, `ConfigurationError` where a key cannot be had, and `UpstreamError` where the
    provider cannot be asked.
    """
    results = ask(provider, keys, environ)
    judge(provider, results, again)
    return results


def ask(
    provider: ProviderSettings, keys: Sequence[Candidate], environ: Mapping[str, str]
) -> list[CheckResult]:
    """Ask the provider's free call with each key, and tell a person who waits."""
    from shareai_cli.cli.provider.check import check_keys

    is_asked = provider.check is not None and any(key.problem is None for key in keys)
    if is_asked and sys.stderr.isatty():
        note(f"Asking {provider.base_url}{provider.check} ...")
    return check_keys(provider, keys, environ)


def judge(provider: ProviderSettings, results: Sequence[CheckResult], again: str) -> None:
    """Raise, as `prove` does, where the provider did not accept every key."""
    for result in results:
        problem = _problem(provider, result, again)
        if problem is not None:
            raise problem


def is_local(provider: ProviderSettings) -> bool:
    """Tell whether a provider is an engine on this machine."""
    from shareai_cli.config.address import check_base_url, is_loopback

    return is_loopback(check_base_url(provider.base_url)[1])


def title(provider: ProviderSettings) -> str:
    """Return a provider's name as its owner writes it, where it is known."""
    from shareai_cli.catalog.presets import PRESETS

    return PRESETS[provider.preset].title if provider.preset is not None else provider.name


def say_found(provider: ProviderSettings, results: Sequence[CheckResult]) -> None:
    """Print what the provider said of each key that it accepts."""
    from shareai_cli.cli.provider.check import NO_KEY

    for result in results:
        if result.verdict == "unchecked":
            note(f"No free call of {title(provider)} is known: its key is not checked.")
            continue
        which = "answers" if result.key == NO_KEY else "accepts the key"
        models = f"{result.models} models in " if result.models is not None else "in "
        limits = f"; limits: {', '.join(map(str, result.limits))}" if result.limits else ""
        where = f" ({result.key})" if len(results) > 1 else ""
        print_line(f"{title(provider)} {which}{where}: {models}{result.milliseconds} ms{limits}.")


def _problem(provider: ProviderSettings, result: CheckResult, again: str) -> ShareAIError | None:
    from shareai_cli.catalog.presets import PRESETS
    from shareai_cli.cli.provider.check import NO_KEY

    who = title(provider)
    if result.verdict == "missing":
        return ConfigurationError(
            f"{result.detail} {UNSAVED}",
            hint=result.hint
            or f"{again} --stdin < key-file, --key-env VARIABLE, or --no-check to declare it unchecked",
        )
    if result.verdict == "refused" and result.key == NO_KEY:
        return KeyRefused(
            f"{who} wants a key (HTTP {result.status}). {UNSAVED}",
            hint=f"{again} --key-env VARIABLE, or --stdin < key-file",
        )
    if result.verdict == "refused":
        page = PRESETS[provider.preset].key_page if provider.preset is not None else None
        return KeyRefused(
            f"{who} does not accept the key ({result.key}): {result.detail}. {UNSAVED}",
            hint=f"Its keys are made at {page}" if page else None,
        )
    elsewhere = "" if "--base-url" in again else f", or say where it is: {again} --base-url URL"
    unchecked = f"or unchecked: {again} --no-check"
    if result.verdict == "unreachable" and is_local(provider):
        return UpstreamError(
            f"{who} does not answer: {result.detail}. {UNSAVED}",
            hint=f"Start it{elsewhere}; {unchecked}",
        )
    if result.verdict == "unreachable":
        return UpstreamError(
            f"{who} cannot be asked about the key: {result.detail}. {UNSAVED}",
            hint=f"Once the network is there, try again; {unchecked}",
        )
    if result.verdict == "failed":
        return UpstreamError(
            f"{who} did not say whether the key is good: {result.detail}. {UNSAVED}",
            hint=f"Try again; {unchecked}",
        )
    return None
