"""What a person declares: TOML, environment and flags become one frozen `Settings`.

`config.edit` (tomlkit) and `config.watch` (asyncio) are imported by those who need them: commands start fast.
"""

from __future__ import annotations

from shareai_cli.config.egress import Authority, Egress, Proxy
from shareai_cli.config.load import HOST_VARIABLE, PORT_VARIABLE, load, load_text
from shareai_cli.config.preset import Blank, KeyStyle, Preset
from shareai_cli.config.sections import parse_target
from shareai_cli.config.settings import (
    CacheSettings,
    Conditions,
    DrillSettings,
    Header,
    HedgeSettings,
    LocalSettings,
    NetworkSettings,
    OwnPrice,
    ProviderSettings,
    RouteSettings,
    RouteTarget,
    ServerSettings,
    Settings,
    Strategy,
    TimeLimits,
    WebhookSettings,
)

__all__ = [
    "HOST_VARIABLE",
    "PORT_VARIABLE",
    "Authority",
    "Blank",
    "CacheSettings",
    "Conditions",
    "DrillSettings",
    "Egress",
    "Header",
    "HedgeSettings",
    "KeyStyle",
    "LocalSettings",
    "NetworkSettings",
    "OwnPrice",
    "Preset",
    "ProviderSettings",
    "Proxy",
    "RouteSettings",
    "RouteTarget",
    "ServerSettings",
    "Settings",
    "Strategy",
    "TimeLimits",
    "WebhookSettings",
    "load",
    "load_text",
    "parse_target",
]
