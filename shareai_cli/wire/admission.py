"""What a server lets in: its limits, the names that it answers to, and what it holds in memory now."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from msgspec import Struct

from shareai_cli.errors import MalformedRequest


class ServerLimits(Struct, frozen=True, kw_only=True):
    """Bounds on what clients send, on how long they take, and on how many there are."""

    head_bytes: int = 32 << 10
    head_fields: int = 100
    head_seconds: float = 10.0
    """From a head's first byte (or from the connection, for its first request) to its end."""
    body_bytes: int = 20 << 20
    held_bytes: int = 1 << 30
    """All bodies together that are received or answered at a time."""
    least_body_rate: int = 1 << 10
    """Bytes a second of a body, on average over `rate_seconds` each."""
    rate_seconds: float = 10.0
    idle_seconds: float = 75.0
    stall_seconds: float = 60.0
    """How long a client may take nothing of a reply that waits for it."""
    connections: int = 4096


_host = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{0,5})?").fullmatch

_REMEMBERED = 64
"""Host fields that are known to be good: clients send few, and whoever sends many gets no memory for it."""


class Admission:
    """One server's limits, names and held bytes; what every connection of it asks."""

    __slots__ = ("_hostnames", "good_hosts", "held", "limits")

    def __init__(self, limits: ServerLimits, hostnames: Iterable[str]) -> None:
        self.limits = limits
        self.held = 0
        """Bytes of bodies in memory."""
        self.good_hosts: set[bytes] = set()
        """Host fields that were checked already."""
        self._hostnames = _lowered(hostnames)

    def __repr__(self) -> str:
        return f"<Admission [held: {self.held} bytes]>"

    def replace(self, limits: ServerLimits, hostnames: Iterable[str]) -> None:
        """Take up a changed configuration."""
        self.limits = limits
        self._hostnames = _lowered(hostnames)
        self.good_hosts.clear()

    def check_host(self, host: bytes, local: str) -> None:
        """Raise `MalformedRequest` unless a Host field (any port) names this server.

        Good are loopback names and addresses, `local` (the address that the client connected to) and the
        configured names: a web page whose name is pointed here (DNS rebinding) is none of them.
        """
        found = _host(host.strip())
        if found is None:
            raise MalformedRequest("The request has no valid Host field.", hint="Send exactly one.")
        name = found[1].decode("ascii").lower().strip("[]")
        if not (name in self._hostnames or _is_loopback(name) or _same_address(name, local)):
            raise MalformedRequest(
                f"This server does not go by the name '{name[:100]}'.",
                hint="Use its address, or add the name to the configuration (server.hostnames).",
            )
        if len(self.good_hosts) < _REMEMBERED:
            self.good_hosts.add(host)


def _lowered(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower().strip("[]") for name in names)


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _same_address(name: str, local: str) -> bool:
    try:
        return ipaddress.ip_address(name) == ipaddress.ip_address(local.partition("%")[0])
    except ValueError:
        return False
