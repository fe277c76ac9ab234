"""What a person declares: TOML, environment and flags become one frozen `Settings`."""

from __future__ import annotations

from shareai_cli.config.settings import (
    LocalSettings,
    Preset,
    ProviderSettings,
    RouteSettings,
    RouteTarget,
    ServerSettings,
    Settings,
    Strategy,
    TimeLimits,
)

__all__ = [
    "LocalSettings",
    "Preset",
    "ProviderSettings",
    "RouteSettings",
    "RouteTarget",
    "ServerSettings",
    "Settings",
    "Strategy",
    "TimeLimits",
]
