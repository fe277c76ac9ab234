"""Reaching a provider step by step, each with its time: name, connection, proxy, TLS, answer.

It goes the way that the gateway goes, and sends no key: an answer of any kind shows that the way is open.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any

from msgspec import Struct

from shareai_cli import __version__
from shareai_cli.config import ProviderSettings
from shareai_cli.config.egress import Proxy as ProxySettings
from shareai_cli.errors import ConfigurationError, MalformedReply, UpstreamError
from shareai_cli.types import Clock
from shareai_cli.wire.origin import Origin, parse_base_url
from shareai_cli.wire.proxy import Proxy, check_answer, tunnel_request
from shareai_cli.wire.trust import client_context

STEP_SECONDS = 4.0
"""How long each step may take."""

_HEAD_LIMIT = 16 << 10


class Step(Struct, frozen=True):
    """One step that was made."""

    name: str
    milliseconds: float


class Reached(Struct, frozen=True):
    """How far it went."""

    steps: tuple[Step, ...]
    failure: str = ""
    """What went wrong at the next step."""
    status: int = 0
    date: float | None = None
    """Seconds since 1970 by the upstream's clock."""


class _Way:
    """One way under way: its steps so far, and the socket, as far as there is one."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.seconds = seconds
        self.steps: list[Step] = []
        self.now = ""
        self._clock = clock

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.now = name
        began = self._clock()
        yield
        self.steps.append(Step(name, round((self._clock() - began) * 1000, 1)))


def reach(
    provider: ProviderSettings, *, seconds: float = STEP_SECONDS, clock: Clock = time.monotonic
) -> Reached:
    """Go to a provider and ask for its list of models; failures are told, none is raised.

    `seconds` is the most that each step may take; a name server alone knows how long it takes.
    """
    way = _Way(clock, seconds)
    try:
        status, date = _go(provider, way)
    except TimeoutError:
        return Reached(tuple(way.steps), f"{way.now}: nothing within {seconds:g} s")
    except (ConfigurationError, UpstreamError) as error:
        return Reached(tuple(way.steps), str(error))
    except socket.gaierror:
        return Reached(tuple(way.steps), "name: it is not known")
    except ssl.SSLCertVerificationError as error:
        return Reached(tuple(way.steps), f"TLS: the certificate is not valid ({error.verify_message})")
    except ssl.SSLError as error:
        return Reached(tuple(way.steps), f"TLS: {error.reason or 'no handshake'}")
    except OSError as error:
        return Reached(tuple(way.steps), f"{way.now}: {(error.strerror or 'it ended').lower()}")
    return Reached(tuple(way.steps), status=status, date=date)


def _go(provider: ProviderSettings, way: _Way) -> tuple[int, float | None]:
    origin, prefix = parse_base_url(provider.base_url)
    egress = provider.egress
    context = client_context(egress.authorities) if _needs_tls(origin, egress.proxy) else None
    first = origin if egress.proxy is None else _proxy(egress.proxy).origin
    with way.step("name"):
        addresses = socket.getaddrinfo(first.host, first.port, type=socket.SOCK_STREAM)
    with way.step("connection"):
        connection = _connect(addresses, way.seconds)
    try:
        if egress.proxy is not None:
            with way.step("proxy"):
                connection = _tunnel(connection, _proxy(egress.proxy), origin, context)
        if origin.scheme == "https" and context is not None:
            with way.step("TLS"):
                connection = context.wrap_socket(connection, server_hostname=origin.host.rstrip("."))
        with way.step("answer"):
            path = provider.check or "/models"
            connection.sendall(_request(origin, prefix + path))
            return _understand(_read_head(connection))
    finally:
        connection.close()


def _needs_tls(origin: Origin, proxy: ProxySettings | None) -> bool:
    return origin.scheme == "https" or (proxy is not None and proxy.scheme == "https")


def _proxy(named: ProxySettings) -> Proxy:
    return Proxy(Origin(named.scheme, named.host, named.port), None, named.credentials, named.named_by)


def _connect(addresses: Sequence[tuple[int, int, int, str, Any]], seconds: float) -> socket.socket:
    failure: OSError = OSError("no address")
    for family, kind, protocol, _, address in addresses[:4]:
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(seconds)
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure


def _tunnel(
    connection: socket.socket, proxy: Proxy, origin: Origin, context: ssl.SSLContext | None
) -> socket.socket:
    if proxy.origin.scheme == "https" and context is not None:
        connection = context.wrap_socket(connection, server_hostname=proxy.origin.host)
    connection.sendall(tunnel_request(proxy, origin))
    check_answer(_read_head(connection), proxy, origin)
    return connection


def _request(origin: Origin, path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: {origin.authority}\r\nUser-Agent: shareai/{__version__}\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n"
    ).encode("ascii")


def _read_head(connection: socket.socket) -> bytes:
    """Return a head without its last line ends, byte by byte so that nothing behind it is taken."""
    head = bytearray()
    until = time.monotonic() + (connection.gettimeout() or STEP_SECONDS)
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte or len(head) > _HEAD_LIMIT:
            raise MalformedReply("answer: it ended before one was complete")
        if time.monotonic() > until:
            raise TimeoutError
        head += byte
    return bytes(head[:-4])


def _understand(head: bytes) -> tuple[int, float | None]:
    line, *fields = head.decode("latin-1").split("\r\n")
    version, _, rest = line.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise MalformedReply("answer: what came is not HTTP")
    for field in fields:
        name, _, value = field.partition(":")
        if name.lower() == "date":
            return int(rest[:3]), _seconds(value.strip())
    return int(rest[:3]), None


def _seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
