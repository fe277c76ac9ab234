"""Connecting: every address of a name is raced, and what can go wrong is said in words."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Callable
from itertools import zip_longest
from typing import Any, TypeVar

from shareai_cli.errors import ConnectionRefused, UpstreamTimeout
from shareai_cli.wire.origin import Origin

NEXT_ADDRESS = 0.25
"""Seconds before the next address is tried beside the one under way (RFC 8305, section 5)."""

Address = tuple[socket.AddressFamily, tuple[Any, ...]]

Protocol = TypeVar("Protocol", bound=asyncio.BaseProtocol)


async def dial(
    origin: Origin, tls: ssl.SSLContext | None, seconds: float, make: Callable[[], Protocol]
) -> Protocol:
    """Connect to an origin within `seconds`, TLS included, and return the protocol in use.

    Raises `ConnectionRefused` and `UpstreamTimeout`.
    """
    loop = asyncio.get_running_loop()
    where = origin.authority
    name = origin.host.rstrip(".") if tls is not None else None
    try:
        async with asyncio.timeout(seconds):
            if _is_address(origin.host):
                _, protocol = await loop.create_connection(
                    make, origin.host, origin.port, ssl=tls, server_hostname=name
                )
                return protocol
            connected = await race(await resolve(origin.host, origin.port))
            _, protocol = await loop.create_connection(make, sock=connected, ssl=tls, server_hostname=name)
            return protocol
    except TimeoutError:
        raise UpstreamTimeout(f"no connection to {where} within {seconds:g} s", phase="connect") from None
    except ssl.SSLCertVerificationError as error:
        raise ConnectionRefused(f"the certificate of {where} is not valid: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise ConnectionRefused(f"no TLS with {where}: {error.reason or 'handshake failed'}") from None
    except socket.gaierror:
        raise ConnectionRefused(f"the name {origin.host} is not known") from None
    except OSError as error:
        raise ConnectionRefused(f"no connection to {where}: {_words(error)}") from None


async def resolve(host: str, port: int) -> list[Address]:
    """Return a name's addresses in the order in which they are tried."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return _alternate([(family, address) for family, _, _, _, address in found])


async def race(addresses: list[Address]) -> socket.socket:
    """Return the first socket that is connected, the others closed; OSError where none could be.

    The next address is tried once the one before failed, or took longer than a quarter of a second.
    """
    loop = asyncio.get_running_loop()
    waiting = list(addresses)
    running: dict[asyncio.Task[socket.socket], None] = {}
    failure: OSError = OSError(errno.EHOSTUNREACH, "no address")
    try:
        while waiting or running:
            if waiting:
                running[loop.create_task(_connect(*waiting.pop(0)))] = None
            done, _ = await asyncio.wait(
                running,
                timeout=NEXT_ADDRESS if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                del running[task]
                error = task.exception()
                if error is None:
                    return task.result()
                if isinstance(error, OSError):
                    failure = error
        raise failure
    finally:
        await _close(running)


async def _close(losers: dict[asyncio.Task[socket.socket], None]) -> None:
    for task in losers:
        task.cancel()
    if losers:
        done, _ = await asyncio.wait(losers)
        for task in done:
            if not task.cancelled() and task.exception() is None:
                task.result().close()


async def _connect(family: socket.AddressFamily, address: tuple[Any, ...]) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


def _alternate(addresses: list[Address]) -> list[Address]:
    """Take the two families in turn, beginning with that of the first address (RFC 8305, section 4)."""
    first = [one for one in addresses if one[0] == addresses[0][0]]
    second = [one for one in addresses if one[0] != addresses[0][0]]
    return [one for pair in zip_longest(first, second) for one in pair if one is not None]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _words(error: OSError) -> str:
    """Say an operating system's error without the addresses that Python adds."""
    if error.errno == errno.ECONNREFUSED:
        return "connection refused"
    return errno.errorcode.get(error.errno or 0, "it ended before it was ready")
