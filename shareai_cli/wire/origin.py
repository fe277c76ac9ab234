"""Where an upstream is: scheme, host and port, out of a base URL."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from msgspec import Struct

from shareai_cli.errors import ConfigurationError

DEFAULT_PORTS = {"http": 80, "https": 443}

_is_name = re.compile(r"[a-z0-9._-]{1,253}").fullmatch
_is_path = re.compile(r"[!-~]*").fullmatch


class Origin(Struct, frozen=True):
    """Scheme, host and port (RFC 6454); an IPv6 address has no brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """`host` or `host:port`, as a Host header names it."""
        if DEFAULT_PORTS[self.scheme] == self.port:
            return self._bracketed
        return self.host_and_port

    @property
    def host_and_port(self) -> str:
        """`host:port`, as a CONNECT request names it."""
        return f"{self._bracketed}:{self.port}"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def parse_base_url(url: str) -> tuple[Origin, str]:
    """Split a base URL into its origin and the prefix of its paths, without a slash at the end.

    Whatever passes can stand in a request's head. Raises `ConfigurationError`, which never repeats the URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        host = _ascii_host(parts.hostname or "")
    except (ValueError, UnicodeError):
        raise ConfigurationError("The base URL cannot be read.") from None
    if parts.scheme not in DEFAULT_PORTS or not host or port == 0:
        raise ConfigurationError("A base URL begins with https:// or http:// and names a host.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError("A base URL has no user name, query or fragment.")
    if not _is_path(parts.path):
        raise ConfigurationError("The base URL's path has characters that have to be percent-encoded.")
    return Origin(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme]), parts.path.rstrip("/")


def _ascii_host(host: str) -> str:
    """Return a host as it is sent; ValueError for what is none."""
    if ":" in host:
        return str(ipaddress.IPv6Address(host.partition("%")[0]))
    name = host.encode("idna").decode("ascii").lower()
    if name and not _is_name(name):
        raise ValueError("not a host's name")
    return name
