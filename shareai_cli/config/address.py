"""Addresses that a person writes: base URLs, host names and ports."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from shareai_cli.errors import ConfigurationError

LONGEST_URL = 2048
HIGHEST_PORT = 65535

_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*\.?", re.IGNORECASE
)


def check_base_url(url: str) -> tuple[str, str]:
    """Return a base URL without a slash at its end, and its host.

    `ConfigurationError` never repeats the URL: a user name or a query in it may be a secret.
    """
    if (
        len(url) > LONGEST_URL
        or not url.isprintable()
        or any(character in url for character in ' "<>\\^`{|}')
    ):
        raise ConfigurationError("has characters that a URL cannot have, or too many.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        ascii_host = host if ":" in host else host.encode("idna").decode("ascii")
    except (ValueError, UnicodeError):
        raise ConfigurationError("cannot be read as a URL.", hint="https://api.example.com/v1") from None
    if parts.scheme not in ("http", "https"):
        raise ConfigurationError("should begin with https:// or http://.", hint="https://api.example.com/v1")
    if "@" in parts.netloc:
        raise ConfigurationError("has a user name or password in it.", hint="Keys go into keys = [...].")
    if "?" in url or "#" in url:
        raise ConfigurationError("has a query or a fragment in it.", hint="Keys go into keys = [...].")
    is_bracketed = "[" in parts.netloc
    if port == 0 or not is_host(ascii_host) or is_bracketed != (":" in ascii_host):
        raise ConfigurationError("names no host that can be reached.", hint="https://api.example.com/v1")
    if not parts.path.isascii():
        raise ConfigurationError("has characters in its path that have to be percent-encoded.")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/"), ascii_host


def is_host(text: str) -> bool:
    """Tell whether a text is a host name or an IP address (without brackets)."""
    if ":" in text:
        try:
            ipaddress.IPv6Address(text)
        except ValueError:
            return False
        return "%" not in text
    return bool(_HOST_NAME.fullmatch(text))


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
