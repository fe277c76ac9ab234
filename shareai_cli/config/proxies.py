"""Proxies as people write them: their URLs, the customary variables, and the hosts that need none."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Literal, cast
from urllib.parse import unquote, urlsplit

from shareai_cli.config.address import LONGEST_URL, is_host
from shareai_cli.config.egress import Proxy
from shareai_cli.errors import ConfigurationError
from shareai_cli.secrets import Secret

EXAMPLE = "http://proxy.example:3128"

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PORT = re.compile(r"(.*):(\d{1,5})")


def parse_proxy(text: str, named_by: str) -> Proxy:
    """Read a proxy's URL; without a scheme it is an http:// one.

    `ConfigurationError` is worded to follow its setting's name and never repeats the URL, which may hold a
    password.
    """
    url = text if "://" in text else f"http://{text}"
    scheme = url.partition("://")[0].lower()
    if scheme.startswith("socks"):
        raise ConfigurationError(
            "names a SOCKS proxy; HTTP proxies alone are known.",
            hint=f'Name one such as {EXAMPLE}, or write [network] proxy = "" to go without.',
        )
    if scheme not in _DEFAULT_PORTS:
        raise ConfigurationError("should be an http:// or https:// URL.", hint=EXAMPLE)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host = host if ":" in host else host.encode("idna").decode("ascii")
    except (ValueError, UnicodeError):
        host, port = "", None
    if len(url) > LONGEST_URL or not is_host(host) or port == 0 or parts.path not in ("", "/"):
        raise ConfigurationError(
            "cannot be read as a proxy's URL.",
            hint=f"{EXAMPLE}; in a user name or password @ : / # ? and % are percent-encoded, @ as %40.",
        )
    return Proxy(
        scheme=cast(Literal["http", "https"], scheme),
        host=host,
        port=port or _DEFAULT_PORTS[scheme],
        credentials=_credentials(parts.username, parts.password),
        named_by=named_by,
    )


def proxy_of_environment(scheme: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that the environment names for an upstream's scheme; raises `ConfigurationError`.

    A variable in small letters goes before the same one in capitals, also where it is empty.
    """
    for variable in (f"{scheme}_proxy", "all_proxy"):
        name, value = _either_case(variable, environ)
        if value:
            try:
                return parse_proxy(value, name)
            except ConfigurationError as error:
                raise ConfigurationError(f"{name} {error.message}", hint=error.hint) from None
    return None


def exceptions_of_environment(environ: Mapping[str, str]) -> list[str]:
    """Return the hosts that NO_PROXY names, separated by commas or spaces."""
    return _either_case("no_proxy", environ)[1].replace(",", " ").split()


def is_excepted(host: str, port: int, exceptions: Iterable[str]) -> bool:
    """Tell whether one of NO_PROXY's entries means a host: no proxy leads there.

    An entry is `*`, a name, which means what is under it too (`example.com`, `.example.com`,
    `*.example.com`), an address or a network (`10.0.0.0/8`), each perhaps with a port. Names are not looked
    up: a network means addresses that are written as such.
    """
    host = host.lower().rstrip(".")
    return any(_means(entry.strip().lower(), host, port) for entry in exceptions)


def _means(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    if not _is_address(entry):
        with_port = _PORT.fullmatch(entry)
        if with_port is not None:
            entry, wanted = with_port.groups()
            if int(wanted) != port:
                return False
    entry = entry.strip("[]")
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        name = entry.removeprefix("*").strip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    return _is_address(host) and ipaddress.ip_address(host) in network


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _either_case(variable: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return a variable's name as it is set, and its value; empty where it is not."""
    name = variable if variable in environ else variable.upper()
    return name, environ.get(name, "").strip()


def _credentials(user: str | None, password: str | None) -> Secret | None:
    if not user and not password:
        return None
    # Bytes that are not UTF-8 stay as they are, for proxies of another time.
    parts = (unquote(part or "", errors="surrogateescape") for part in (user, password))
    return Secret(":".join(parts))
