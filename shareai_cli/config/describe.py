"""Settings as plain values, for JSON and for people; keys as references only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET

from shareai_cli.config.drills import NANO, write_time
from shareai_cli.config.egress import Proxy
from shareai_cli.config.limiting import SECTIONS
from shareai_cli.config.limits import write_limits
from shareai_cli.config.local import NEVER
from shareai_cli.config.settings import (
    Conditions,
    DrillSettings,
    Header,
    LocalSettings,
    NetworkSettings,
    ProviderSettings,
    RouteSettings,
    RouteTarget,
    Settings,
    WebhookSettings,
)
from shareai_cli.config.webhook import shown_url
from shareai_cli.secrets import MASK, SecretReference
from shareai_cli.types import Limits, LocalModel, Subject

_ABSENT: Final = object()


def describe(settings: Settings) -> dict[str, Any]:
    """Return the settings in effect as plain values; keys as references only."""
    return {
        "source": str(settings.source) if settings.source is not None else None,
        "discovered": list(settings.discovered),
        "server": msgspec.to_builtins(settings.server),
        "network": describe_network(settings.network),
        "providers": {name: describe_provider(one) for name, one in settings.providers.items()},
        "routes": {name: describe_route(one) for name, one in settings.routes.items()},
        "local": {
            "models": [describe_local_model(one) for one in settings.local.models],
            **_loading(settings.local),
        },
        "limits": describe_limits(settings.limits),
        "drills": {name: describe_drill(one) for name, one in settings.drills.items()},
        "webhook": describe_webhook(settings.webhook),
    }


def describe_drill(drill: DrillSettings) -> dict[str, Any]:
    """Return a drill as plain values; an empty list stands for everything."""
    return {
        "at": [write_time(minute) for minute in drill.at],
        "every": drill.every,
        "checks": list(drill.checks),
        "routes": list(drill.routes),
        "max_cost": drill.most_nano / NANO,
    }


def differences(
    former: Mapping[str, Any], current: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what two descriptions have that the other has not, or has otherwise."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name in [*former, *(name for name in current if name not in former)]:
        old, new = former.get(name, _ABSENT), current.get(name, _ABSENT)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            old, new = differences(old, new)
        before |= {name: old} if old is not _ABSENT else {}
        after |= {name: new} if new is not _ABSENT else {}
    return before, after


def describe_network(network: NetworkSettings) -> dict[str, Any]:
    """Return `[network]` as it is declared; None where it says nothing, and the environment counts."""
    return {
        "proxy": None if network.proxy is UNSET else _proxy(network.proxy),
        "no_proxy": list(network.no_proxy) if network.no_proxy is not None else None,
        "ca_file": str(network.ca_file.path) if network.ca_file is not None else None,
    }


def describe_provider(provider: ProviderSettings) -> dict[str, Any]:
    """Return a provider as plain values, as `[providers.NAME]` would write it in full."""
    return {
        "preset": provider.preset,
        "base_url": provider.base_url,
        "keys": [key.name for key in provider.keys],
        "timeouts": msgspec.to_builtins(provider.timeouts),
        "check": provider.check or "",
        "key_style": provider.key_style,
        "check_style": provider.check_style,
        "price_as": provider.price_as,
        "stream_usage": provider.stream_usage,
        "models": list(provider.models),
        "allow_http": provider.allow_http,
        "headers": {one.name: _header(one) for one in provider.headers},
        "proxy": _proxy(provider.egress.proxy),
        "ca_file": _ca_file(provider),
    }


def describe_limits(limits: Mapping[Subject, Limits]) -> dict[str, Any]:
    """Return limits as `[limits]` would write them."""
    described: dict[str, Any] = {}
    for subject, one in limits.items():
        if subject.name:
            described.setdefault(SECTIONS[subject.scope], {})[subject.name] = write_limits(one)
        else:
            described[subject.scope] = write_limits(one)
    return described


def describe_webhook(webhook: WebhookSettings | None) -> dict[str, Any] | None:
    """Return `[webhook]` as plain values; what follows the host is masked, as many put a secret there."""
    if webhook is None:
        return None
    return {"url": shown_url(webhook.url), "secret": webhook.secret.name}


def describe_local_model(model: LocalModel) -> dict[str, Any]:
    """Return a local model as plain values, as an item of `[local] models` would write it in full."""
    return {"path": model.path, "name": model.id, **_loading(model)}


def _loading(one: LocalSettings | LocalModel) -> dict[str, Any]:
    """Return how models are loaded; what is None is left to the model and the machine."""
    return {
        "context": one.context,
        "threads": one.threads,
        "gpu_layers": one.gpu_layers,
        "slots": one.slots,
        "flash_attention": one.flash_attention,
        "idle": f"{one.idle:g}s" if one.idle else NEVER,
    }


def describe_route(route: RouteSettings) -> dict[str, Any]:
    """Return a route as plain values; conditions that are not declared are left out."""
    return {
        "strategy": route.strategy,
        "prefer": route.prefer,
        "private": route.private,
        "fit": route.fit,
        **_conditions(route.conditions),
        "cache": msgspec.to_builtins(route.cache),
        "hedge": msgspec.to_builtins(route.hedge),
        "targets": [_describe_target(one) for one in route.targets],
    }


def _describe_target(one: RouteTarget) -> dict[str, Any]:
    described = {"target": one.target.name, "weight": one.weight, **_conditions(one.conditions)}
    if one.price is not None:
        dollars = (one.price.prompt_nano / 1e9, one.price.completion_nano / 1e9)
        described["price"] = dict(zip(("prompt", "completion"), dollars, strict=True))
    return described


def _conditions(conditions: Conditions) -> dict[str, Any]:
    return {key: value for key, value in msgspec.to_builtins(conditions).items() if value is not None}


def _proxy(proxy: Proxy | None) -> str:
    return proxy.url if proxy is not None else ""


def _header(header: Header) -> str:
    """Return where a value is kept; what is written out may be a secret, whatever it looks like."""
    return header.value.name if isinstance(header.value, SecretReference) else MASK


def _ca_file(provider: ProviderSettings) -> str | None:
    own = f"providers.{provider.name}.ca_file"
    return next((str(one.path) for one in provider.egress.authorities if one.named_by == own), None)
