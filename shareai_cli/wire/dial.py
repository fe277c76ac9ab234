"""Connecting, directly or through a proxy: every address of a name is raced, and what goes wrong is said."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Callable
from itertools import zip_longest
from typing import Any, TypeVar

from shareai_cli.errors import ConnectionRefused, UpstreamError, UpstreamTimeout
from shareai_cli.wire.origin import Origin
from shareai_cli.wire.proxy import Answer, Proxy, check_answer, tunnel_request

NEXT_ADDRESS = 0.25
"""Seconds before the next address is tried beside the one under way (RFC 8305, section 5)."""

_UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21)
"""X509_V_ERR_*: nobody who is trusted has signed (openssl-verification-options(1))."""

_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
"""What OpenSSL calls an answer that is no TLS, by its version."""

Address = tuple[socket.AddressFamily, tuple[Any, ...]]

Protocol = TypeVar("Protocol", bound=asyncio.BaseProtocol)


async def dial(
    origin: Origin,
    tls: ssl.SSLContext | None,
    seconds: float,
    make: Callable[[], Protocol],
    proxy: Proxy | None = None,
) -> Protocol:
    """Connect to an origin within `seconds`, proxy and TLS included, and return the protocol in use.

    Raises `ConnectionRefused` and `UpstreamTimeout`.
    """
    try:
        async with asyncio.timeout(seconds):
            if proxy is not None:
                return await _tunnel(proxy, origin, tls, make)
            _, protocol = await _open(origin, tls, make, origin.authority)
            return protocol
    except TimeoutError:
        where = origin.authority if proxy is None else f"{origin.authority} through {proxy}"
        raise UpstreamTimeout(f"no connection to {where} within {seconds:g} s", phase="connect") from None


async def _open(
    origin: Origin, tls: ssl.SSLContext | None, make: Callable[[], Protocol], where: str
) -> tuple[asyncio.Transport, Protocol]:
    """Connect to an origin, which messages call `where`."""
    loop = asyncio.get_running_loop()
    name = _tls_name(origin, tls)
    try:
        if _is_address(origin.host):
            return await loop.create_connection(make, origin.host, origin.port, ssl=tls, server_hostname=name)
        connected = await race(await resolve(origin.host, origin.port))
        return await loop.create_connection(make, sock=connected, ssl=tls, server_hostname=name)
    except OSError as error:
        raise _refused(where, error) from None


async def _tunnel(
    proxy: Proxy, origin: Origin, tls: ssl.SSLContext | None, make: Callable[[], Protocol]
) -> Protocol:
    """Connect to a proxy, have it connect to the origin, and speak TLS with the origin through it."""
    transport, answer = await _open(proxy.origin, proxy.tls, Answer, str(proxy))
    try:
        transport.write(tunnel_request(proxy, origin))
        check_answer(await answer.head, proxy, origin)
        if transport.is_closing():  # TLS would wait on it until the time is over
            raise ConnectionRefused(f"no connection to {origin.authority}: {proxy} ended it")
        if tls is not None:
            transport = await _start_tls(transport, answer, tls, origin)
        if answer.has_surplus:
            raise ConnectionRefused(f"{proxy} sends what nobody asked {origin.authority} for")
        # Nothing is awaited from here on, so that no byte and no end goes past the new protocol.
        protocol = make()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
    except BaseException:
        transport.abort()
        raise
    return protocol


async def _start_tls(
    transport: asyncio.Transport, protocol: asyncio.Protocol, tls: ssl.SSLContext, origin: Origin
) -> asyncio.Transport:
    try:
        encrypted = await asyncio.get_running_loop().start_tls(
            transport, protocol, tls, server_hostname=_tls_name(origin, tls)
        )
        if encrypted is None:  # the connection ended in the middle of the handshake
            raise ConnectionResetError
    except OSError as error:
        raise _refused(origin.authority, error) from None
    return encrypted


def _tls_name(origin: Origin, tls: ssl.SSLContext | None) -> str | None:
    return origin.host.rstrip(".") if tls is not None else None


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


def _refused(where: str, error: OSError) -> UpstreamError:
    """Say what the operating system or TLS found, without the addresses that Python adds."""
    if isinstance(error, TimeoutError):  # the system's own limit, as a passed one of ours is no OSError here
        return UpstreamTimeout(f"no connection to {where}: it does not answer", phase="connect")
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectionRefused(f"the certificate of {where} is not valid: {_doubt(error)}")
    if isinstance(error, ssl.SSLError):
        reason = error.reason or "handshake failed"
        if reason in _NO_TLS:
            reason = "it speaks another protocol; is it http://, not https://?"
        return ConnectionRefused(f"no TLS with {where}: {reason}")
    if isinstance(error, socket.gaierror):
        return ConnectionRefused(f"no connection to {where}: its name is not known")
    return ConnectionRefused(f"no connection to {where}: {_words(error)}")


def _doubt(error: ssl.SSLCertVerificationError) -> str:
    """Say why a certificate was not accepted, and how its authority is added where that is unknown."""
    if error.verify_code not in _UNKNOWN_AUTHORITY:
        return error.verify_message
    return (
        f'{error.verify_message}; a company\'s own authority is added with [network] ca_file = "FILE.pem" '
        "or SSL_CERT_FILE"
    )


def _words(error: OSError) -> str:
    if error.errno == errno.ECONNREFUSED:
        return "connection refused"
    return errno.errorcode.get(error.errno or 0, "it ended before it was ready")
