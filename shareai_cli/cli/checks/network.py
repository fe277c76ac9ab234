"""The way to the providers: proxies, each provider's reachability, and the clock beside theirs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from urllib.parse import urlsplit

from shareai_cli.cli.checks.finding import Check, Finding, Level, Subject
from shareai_cli.cli.checks.reach import Reached, reach
from shareai_cli.config import ProviderSettings
from shareai_cli.config.address import is_loopback

MOST_PROVIDERS = 32

_VARIABLES = ("https_proxy", "http_proxy", "all_proxy", "no_proxy")
_SLIGHT, _GRAVE = 30.0, 300.0
"""Seconds by which a clock may be wrong before it is told, and before signatures and certificates fail."""


def check_proxies(subject: Subject) -> Sequence[Finding]:
    """Say which proxy each provider is reached through; user names and passwords are masked."""
    ways: dict[str, list[str]] = {}
    for provider in subject.settings.providers.values():
        proxy = provider.egress.proxy
        if proxy is not None:
            named = f"{proxy.url} ({proxy.named_by})" if proxy.named_by else proxy.url
            ways.setdefault(named, []).append(provider.name)
    if ways:
        return [Finding("proxies", "ok", f"{', '.join(names)} through {way}") for way, names in ways.items()]
    names = [
        name for variable in _VARIABLES for name in (variable, variable.upper()) if subject.environ.get(name)
    ]
    if names:
        return [Finding("proxies", "ok", f"{', '.join(names)} set, and no provider is reached through one")]
    return [Finding("proxies", "ok", "none")]


def provider_checks(providers: Sequence[ProviderSettings]) -> list[Check]:
    """Return a check of each provider's reachability."""

    def check(provider: ProviderSettings) -> Check:
        name = f"provider {provider.name}"
        return Check(name, lambda subject: [_reachable(name, provider, subject)], late="problem")

    return [check(provider) for provider in providers[:MOST_PROVIDERS]]


def compare_clocks(findings: Sequence[Finding]) -> Finding:
    """Say how this machine's clock stands beside those that upstreams told."""
    offsets = [one.clock_offset for one in findings if one.clock_offset is not None]
    if not offsets:
        return Finding("clock", "skipped", "nobody who was reached told the time")
    ahead = statistics.median(offsets)
    if abs(ahead) < _SLIGHT:
        return Finding("clock", "ok", "right to a few seconds")
    text = f"{_duration(abs(ahead))} {'slow' if ahead > 0 else 'fast'}, by the providers' clocks"
    level: Level = "problem" if abs(ahead) >= _GRAVE else "warning"
    return Finding("clock", level, text, "sudo timedatectl set-ntp true")


def _reachable(name: str, provider: ProviderSettings, subject: Subject) -> Finding:
    reached = reach(provider)
    times = ", ".join(f"{step.name} {step.milliseconds:.0f} ms" for step in reached.steps)
    if reached.failure:
        text = f"{reached.failure}{f' (after {times})' if times else ''}"
        return Finding(name, "problem", text, _mend(provider, reached))
    answered = f"HTTP {reached.status} without a key; {times}"
    offset = _offset(provider, reached, subject)
    if reached.status >= 500:
        mend = f"shareai provider test {provider.name}"
        return Finding(name, "warning", answered, mend, clock_offset=offset)
    return Finding(name, "ok", answered, clock_offset=offset)


def _offset(provider: ProviderSettings, reached: Reached, subject: Subject) -> float | None:
    """Return by how much the upstream's clock is ahead; an engine on this machine has the same clock."""
    if reached.date is None or is_loopback(urlsplit(provider.base_url).hostname or ""):
        return None
    return round(reached.date - subject.wall(), 1)


def _mend(provider: ProviderSettings, reached: Reached) -> str:
    if is_loopback(urlsplit(provider.base_url).hostname or ""):
        return f"Start what should listen at {provider.base_url}, or: shareai provider remove {provider.name}"
    if reached.failure.startswith("TLS"):
        return "A company's authority is named by [network] ca_file, or by SSL_CERT_FILE."
    if reached.failure.startswith("name"):
        return "Is this machine online? A network without a way out wants HTTPS_PROXY."
    return "Is this machine online, and is a proxy needed (HTTPS_PROXY)?"


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
