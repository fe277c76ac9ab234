"""A tunnel through an HTTP proxy: what is asked of it, and what its answer means (RFC 9110, section 9.3.6).

Plain http:// upstreams are tunnelled too, not asked for in absolute form: a request's bytes are the same
whichever way it goes, a connection belongs to one upstream, and the proxy sees no key that TLS would hide.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from base64 import b64encode

from msgspec import Struct

from shareai_cli.errors import ConnectionRefused
from shareai_cli.secrets import Secret
from shareai_cli.wire.origin import Origin

HEAD_BYTES = 16 << 10
"""The largest head of a proxy's answer."""

_status_line = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?(?:\r\n|\Z)").match
_challenge = re.compile(rb"\r\nproxy-authenticate:[ \t]*([A-Za-z][A-Za-z0-9-]{0,30})", re.IGNORECASE).findall


class Proxy(Struct, frozen=True):
    """An HTTP proxy, ready to be used."""

    origin: Origin
    """Where it is, and how it is spoken to."""
    tls: ssl.SSLContext | None
    """For an https:// one."""
    credentials: Secret | None = None
    """`user:password`."""
    named_by: str = ""
    """The setting or the variable that names it, told where something has to be mended."""

    def __str__(self) -> str:
        return f"the proxy {self.origin.host_and_port}{f' ({self.named_by})' if self.named_by else ''}"


class Answer(asyncio.Protocol):
    """Waits for a proxy's answer, and sees whether anything follows before it was asked for."""

    def __init__(self) -> None:
        self.head: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        """The answer's head without its last line ends; empty where no whole one came."""
        self.has_surplus = False
        self._received = bytearray()

    def data_received(self, data: bytes) -> None:
        """Read up to the end of the head."""
        if self.head.done():
            self.has_surplus = True
            return
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end >= 0:
            self.has_surplus = len(self._received) > end + 4
            self.head.set_result(bytes(self._received[:end]))
        elif len(self._received) > HEAD_BYTES:
            self.head.set_result(b"")

    def connection_lost(self, error: Exception | None) -> None:
        """End the wait."""
        if not self.head.done():
            self.head.set_result(b"")


def tunnel_request(proxy: Proxy, target: Origin) -> bytes:
    """Return the request for a tunnel to a target."""
    where = target.host_and_port.encode("ascii")
    lines = [b"CONNECT %b HTTP/1.1" % where, b"Host: %b" % where]
    if proxy.credentials is not None:
        encoded = b64encode(proxy.credentials.reveal().encode("utf-8", "surrogateescape"))
        lines.append(b"Proxy-Authorization: Basic " + encoded)
    return b"\r\n".join((*lines, b"", b""))


def check_answer(head: bytes, proxy: Proxy, target: Origin) -> None:
    """Raise `ConnectionRefused`, in words that say what to do, unless the tunnel was made."""
    found = _status_line(head)
    if found is None:
        raise ConnectionRefused(
            f"{proxy} does not answer as an HTTP proxy does: are its scheme and port right?"
        )
    status = int(found[1])
    if 200 <= status < 300:
        return
    if status == 407:
        raise ConnectionRefused(_unauthenticated(head, proxy))
    where = target.host_and_port
    if status in (502, 503, 504):
        raise ConnectionRefused(f"{proxy} cannot reach {where} (HTTP {status})")
    raise ConnectionRefused(f"{proxy} refuses to connect to {where} (HTTP {status})")


def _unauthenticated(head: bytes, proxy: Proxy) -> str:
    kinds = [kind.decode("ascii") for kind in _challenge(head)]
    if kinds and "basic" not in map(str.lower, kinds):
        return f"{proxy} wants {' or '.join(kinds[:4])} authentication (407), and Basic alone is known"
    if proxy.credentials is None:
        return (
            f"{proxy} wants a user name and a password (407): write them into its URL, "
            "http://USER:PASSWORD@HOST:PORT"
        )
    return (
        f"{proxy} does not accept the user name and password in its URL (407): are special characters "
        "percent-encoded, such as @ as %40?"
    )
