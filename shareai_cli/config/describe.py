"""Settings as plain values, for JSON and for people; keys as references only."""

from __future__ import annotations

from typing import Any

import msgspec

from shareai_cli.config.settings import ProviderSettings, RouteSettings, Settings
from shareai_cli.types import LocalModel


def describe(settings: Settings) -> dict[str, Any]:
    """Return the settings in effect as plain values; keys as references only."""
    return {
        "source": str(settings.source) if settings.source is not None else None,
        "discovered": list(settings.discovered),
        "server": msgspec.to_builtins(settings.server),
        "providers": {name: describe_provider(one) for name, one in settings.providers.items()},
        "routes": {name: describe_route(one) for name, one in settings.routes.items()},
        "local": {
            "models": [describe_local_model(one) for one in settings.local.models],
            "context": settings.local.context,
            "threads": settings.local.threads,
        },
    }


def describe_provider(provider: ProviderSettings) -> dict[str, Any]:
    """Return a provider as plain values, as `[providers.NAME]` would write it in full."""
    return {
        "preset": provider.preset,
        "base_url": provider.base_url,
        "keys": [key.name for key in provider.keys],
        "timeouts": msgspec.to_builtins(provider.timeouts),
        "check": provider.check or "",
        "check_style": provider.check_style,
        "price_as": provider.price_as,
        "stream_usage": provider.stream_usage,
        "models": list(provider.models),
        "allow_http": provider.allow_http,
    }


def describe_local_model(model: LocalModel) -> dict[str, Any]:
    """Return a local model as plain values, as an item of `[local] models` would write it in full."""
    return {"path": model.path, "name": model.id, "context": model.context, "threads": model.threads}


def describe_route(route: RouteSettings) -> dict[str, Any]:
    """Return a route as plain values."""
    return {
        "strategy": route.strategy,
        "targets": [{"target": one.target.name, "weight": one.weight} for one in route.targets],
    }
