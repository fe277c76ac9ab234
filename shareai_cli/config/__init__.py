"""What a person declares: TOML, environment and flags become one frozen `Settings`."""

from __future__ import annotations

from shareai_cli.config.load import HOST_VARIABLE, PORT_VARIABLE, load, load_text
from shareai_cli.config.sections import parse_target
from shareai_cli.config.settings import (
    CheckStyle,
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
from shareai_cli.config.watch import ConfigWatcher

__all__ = [
    "HOST_VARIABLE",
    "PORT_VARIABLE",
    "CheckStyle",
    "ConfigWatcher",
    "LocalSettings",
    "Preset",
    "ProviderSettings",
    "RouteSettings",
    "RouteTarget",
    "ServerSettings",
    "Settings",
    "Strategy",
    "TimeLimits",
    "load",
    "load_text",
    "parse_target",
]
