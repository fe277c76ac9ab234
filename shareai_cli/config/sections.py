"""Reads `[server]`."""

from __future__ import annotations

import re

from shareai_cli.config.address import HIGHEST_PORT, is_host
from shareai_cli.config.reading import Table, shown
from shareai_cli.config.settings import MEBIBYTE, ServerSettings
from shareai_cli.errors import ConfigurationError
from shareai_cli.types import Target

ROUTE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
MOST_NAMED = 1_000
"""Providers, and routes."""

_LONGEST_MODEL = 512


def read_server(root: Table) -> ServerSettings:
    """Check `[server]`; raises `ConfigurationError`."""
    table = root.table("server", ServerSettings.__struct_fields__)
    default = ServerSettings()
    host = table.text("host", default.host, limit=253)
    if not is_host(host):
        raise table.error("host", "is not a host name or an IP address.", hint='host = "127.0.0.1"')
    hostnames = tuple(name.lower() for name in table.texts("hostnames", most=64, limit=253))
    if not all(map(is_host, hostnames)):
        raise table.error("hostnames", "are names by which clients call this machine, without a port.")
    return ServerSettings(
        host=host,
        port=table.integer("port", default.port, least=0, most=HIGHEST_PORT),
        hostnames=hostnames,
        keep_alive_comments=table.number(
            "keep_alive_comments", default.keep_alive_comments, least=0, most=3600
        ),
        drain=table.number("drain", default.drain, least=0, most=3600),
        connections=table.integer("connections", default.connections, least=1, most=1_000_000),
        body_limit=table.integer("body_limit", default.body_limit, least=1024, most=1024 * MEBIBYTE),
    )


def parse_target(text: str) -> Target:
    """Split `provider/model` at its first slash; `ConfigurationError` where that is not its form."""
    provider, slash, model = text.partition("/")
    if not slash or not provider or not model or len(text) > _LONGEST_MODEL or not text.isprintable():
        raise ConfigurationError(
            f"{shown(text)} is not a target.", hint="A target is provider/model, such as openai/gpt-5-mini."
        )
    return Target(provider, model)
