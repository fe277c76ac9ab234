"""Reads `[network]` and what a provider says of it, and works out each provider's way out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import UNSET, UnsetType

from shareai_cli.config.address import is_loopback
from shareai_cli.config.egress import Authority, Egress, Proxy
from shareai_cli.config.proxies import (
    exceptions_of_environment,
    is_excepted,
    parse_proxy,
    proxy_of_environment,
)
from shareai_cli.config.reading import Source, Table
from shareai_cli.config.settings import NetworkSettings
from shareai_cli.errors import ConfigurationError
from shareai_cli.paths import absolute

FILE_VARIABLE = "SSL_CERT_FILE"
FOLDER_VARIABLE = "SSL_CERT_DIR"

_MOST_EXCEPTIONS = 1_000
_PORTS = {"http": 80, "https": 443}


def read_network(root: Table, source: Source) -> NetworkSettings:
    """Check `[network]`; raises `ConfigurationError`."""
    table = root.table("network", NetworkSettings.__struct_fields__)
    no_proxy = table.texts("no_proxy", most=_MOST_EXCEPTIONS, limit=253)
    return NetworkSettings(
        proxy=read_proxy(table, "network"),
        no_proxy=no_proxy if table.has("no_proxy") else None,
        ca_file=read_authority(table, source, "network"),
    )


def read_proxy(table: Table, section: str) -> Proxy | UnsetType | None:
    """Return a table's proxy: None where it says that there is none, UNSET where it says nothing."""
    text = table.text("proxy", None)
    if text is None:
        return UNSET
    if not text:
        return None
    try:
        return parse_proxy(text, f"{section}.proxy")
    except ConfigurationError as error:
        raise table.error("proxy", error.message, hint=error.hint) from None


def read_authority(table: Table, source: Source, section: str) -> Authority | None:
    """Return the file of certificates that a table names; whether it can be used is seen when it is."""
    text = table.text("ca_file", "")
    if not text:
        return None
    return Authority(absolute(Path(text), source.file.parent), f"{section}.ca_file")


def way_out(
    base_url: str,
    network: NetworkSettings,
    environ: Mapping[str, str],
    proxy: Proxy | UnsetType | None = UNSET,
    authority: Authority | None = None,
) -> Egress:
    """Return how a base URL is reached, `proxy` and `authority` being what its provider says itself.

    The provider's proxy goes before `[network]`'s, that before the environment's. This machine itself and
    what is excepted is reached directly, unless the provider itself names a proxy. Raises
    `ConfigurationError` for a variable that is needed and wrong.
    """
    parts = urlsplit(base_url)
    if proxy is UNSET:
        proxy = _proxy_to(
            parts.hostname or "", parts.port or _PORTS[parts.scheme], parts.scheme, network, environ
        )
    has_tls = parts.scheme == "https" or (proxy is not None and proxy.scheme == "https")
    if not has_tls:
        return Egress(proxy)
    named = [one for one in (network.ca_file, authority) if one is not None]
    return Egress(proxy, (*authorities_of_environment(environ), *named))


def _proxy_to(
    host: str, port: int, scheme: str, network: NetworkSettings, environ: Mapping[str, str]
) -> Proxy | None:
    if is_loopback(host):
        return None
    exceptions = network.no_proxy if network.no_proxy is not None else exceptions_of_environment(environ)
    if is_excepted(host, port, exceptions):
        return None
    return proxy_of_environment(scheme, environ) if network.proxy is UNSET else network.proxy


def authorities_of_environment(environ: Mapping[str, str]) -> tuple[Authority, ...]:
    """Return what OpenSSL's variables name; of several folders those that are there, or else the first."""
    found = []
    if file := environ.get(FILE_VARIABLE, ""):
        found.append(Authority(absolute(Path(file)), FILE_VARIABLE))
    folders = [absolute(Path(one)) for one in environ.get(FOLDER_VARIABLE, "").split(os.pathsep) if one]
    there = [folder for folder in folders if folder.is_dir()] or folders[:1]
    found += [Authority(folder, FOLDER_VARIABLE, is_folder=True) for folder in there]
    return tuple(found)
