"""Reads `config.toml`, the environment and flags into one checked `Settings`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from shareai_cli.config.address import HIGHEST_PORT, is_host
from shareai_cli.config.drills import MOST as MOST_DRILLS
from shareai_cli.config.drills import read_drill
from shareai_cli.config.limiting import read_limiting
from shareai_cli.config.local import read_local
from shareai_cli.config.network import read_network
from shareai_cli.config.preset import Preset
from shareai_cli.config.provider import preset_provider, read_provider
from shareai_cli.config.reading import Source, Table, decode, parse, read_bytes
from shareai_cli.config.routes import read_route
from shareai_cli.config.sections import MOST_NAMED, read_server
from shareai_cli.config.settings import NetworkSettings, ProviderSettings, RouteSettings, Settings
from shareai_cli.config.webhook import read_webhook
from shareai_cli.errors import ConfigurationError
from shareai_cli.paths import Paths, absolute

HOST_VARIABLE = "SHAREAI_HOST"
PORT_VARIABLE = "SHAREAI_PORT"

SECTIONS: Final = ("server", "network", "providers", "routes", "local", "limits", "drills", "webhook")
"""The tables of the file."""


def load(
    paths: Paths,
    environ: Mapping[str, str],
    *,
    presets: Mapping[str, Preset],
    config_file: Path | None = None,
    host: str | None = None,
    port: int | None = None,
) -> Settings:
    """Return the settings in effect: flags before environment before file before defaults.

    A file that does not exist declares nothing, unless `config_file` names it. Where no provider is declared
    (there is no `[providers]`), known key variables make some. Raises `ConfigurationError`.
    """
    file = absolute(config_file) if config_file is not None else paths.config_file
    try:
        text = decode(file, read_bytes(file))
    except FileNotFoundError:
        if config_file is not None:
            raise ConfigurationError(
                f"There is no file {file}.",
                hint="shareai config path tells which one is read without --config.",
            ) from None
        providers, variables = _discover(environ, presets, NetworkSettings())
        settings = Settings(providers=providers, discovered=variables)
    else:
        settings = load_text(text, file, environ, presets)
    return _override(settings, environ, host, port)


def load_text(text: str, file: Path, environ: Mapping[str, str], presets: Mapping[str, Preset]) -> Settings:
    """Return what a text declares; `file` names it in messages, and relative paths start from its folder.

    Raises `ConfigurationError`.
    """
    source = Source(file, text)
    values = parse(file, text)
    root = Table(source, (), values, SECTIONS)
    network = read_network(root, source)
    variables: tuple[str, ...] = ()
    providers: Mapping[str, ProviderSettings] = root.tables(
        "providers",
        lambda name, item: read_provider(source, name, item, environ, presets, network),
        most=MOST_NAMED,
    )
    if not root.has("providers"):
        providers, variables = _discover(environ, presets, network)
    routes: Mapping[str, RouteSettings] = root.tables(
        "routes", lambda name, item: read_route(source, name, item, providers), most=MOST_NAMED
    )
    return Settings(
        server=read_server(root),
        network=network,
        providers=providers,
        routes=routes,
        local=read_local(root, source),
        limits=read_limiting(root, source, routes, providers),
        drills=root.tables(
            "drills", lambda name, item: read_drill(source, name, item, routes), most=MOST_DRILLS
        ),
        webhook=read_webhook(root, source, network, environ),
        source=file,
        discovered=variables,
    )


def _discover(
    environ: Mapping[str, str], presets: Mapping[str, Preset], network: NetworkSettings
) -> tuple[dict[str, ProviderSettings], tuple[str, ...]]:
    """Return the providers whose key stands in a known variable, and those variables."""
    providers: dict[str, ProviderSettings] = {}
    variables: list[str] = []
    for preset in presets.values():
        variable = next((name for name in preset.key_variables if environ.get(name, "").strip()), None)
        address = preset.address(environ) if variable is not None else None
        if variable is not None and address is not None:
            providers[preset.name] = preset_provider(preset, address, environ, network)
            variables.append(variable)
    return providers, tuple(variables)


def _override(settings: Settings, environ: Mapping[str, str], host: str | None, port: int | None) -> Settings:
    server = settings.server
    for value, origin in ((environ.get(HOST_VARIABLE) or None, HOST_VARIABLE), (host, "--host")):
        if value is not None:
            if not is_host(value):
                raise ConfigurationError(f"{origin} is not a host name or an IP address.")
            server = replace(server, host=value)
    for number, origin in ((environ.get(PORT_VARIABLE) or None, PORT_VARIABLE), (port, "--port")):
        if number is not None:
            server = replace(server, port=_port(number, origin))
    return replace(settings, server=server) if server is not settings.server else settings


def _port(value: str | int, origin: str) -> int:
    text = str(value).strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= HIGHEST_PORT):
        raise ConfigurationError(f"{origin} should be a whole number from 0 to {HIGHEST_PORT}.")
    return int(text)
