"""An HTTP proxy that makes tunnels, on a real socket of the loopback.

    async with TunnelProxy(upstream.port, credentials="user:password") as proxy:
        proxy.url       # "http://user:password@127.0.0.1:43210"
        proxy.asked     # what it was asked for, oldest first

Every tunnel ends at one port of the loopback, whatever name was asked for: so names that nobody knows have
servers behind them. `answer` is said instead of making a tunnel; an empty one is waited for in vain.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from base64 import b64decode
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import quote

MADE = b"HTTP/1.1 200 Connection established\r\n\r\n"
UNAUTHENTICATED = b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\n\r\n'


@dataclass(frozen=True)
class Asked:
    """One CONNECT request."""

    target: str
    headers: dict[str, str]

    @property
    def credentials(self) -> str | None:
        """User name and password, as Basic authentication carries them."""
        kind, _, encoded = self.headers.get("proxy-authorization", "").partition(" ")
        return b64decode(encoded).decode() if kind == "Basic" else None


class TunnelProxy:
    """The proxy; see the top of this module."""

    def __init__(
        self,
        port: int = 0,
        *,
        credentials: str | None = None,
        answer: bytes | None = None,
        closes: bool = True,
        made: bytes = MADE,
        slices: bool = False,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        upstream_host: str = "127.0.0.1",
    ) -> None:
        """`made` is said where a tunnel was made, byte by byte where it `slices`.

        `closes` says whether the connection is closed after an `answer`.
        """
        self.asked: list[Asked] = []
        self._upstream = (upstream_host, port)
        self._credentials = credentials
        self._answer = answer
        self._closes = closes
        self._made = made
        self._slices = slices
        self._tls = tls
        self._host = host
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> TunnelProxy:
        self._server = await asyncio.start_server(self._accept, self._host, 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def address(self) -> str:
        """Host and port, as messages name them."""
        return f"{f'[{self._host}]' if ':' in self._host else self._host}:{self.port}"

    @property
    def url(self) -> str:
        """Its URL with the credentials that it wants."""
        return self.url_with(self._credentials)

    def url_with(self, credentials: str | None) -> str:
        """Return its URL with other credentials."""
        user, _, password = (credentials or "").partition(":")
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if credentials else ""
        return f"{'https' if self._tls else 'http'}://{login}{self.address}"

    @property
    def open(self) -> int:
        """Connections that have not ended."""
        return len(self._tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._tunnel(reader, writer)
        finally:
            writer.transport.abort()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, version = lines[0].split(" ")
        assert (method, version) == ("CONNECT", "HTTP/1.1")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:-2])}
        asked = Asked(target, headers)
        self.asked.append(asked)
        answer = self._answer
        if answer is None and self._credentials is not None and asked.credentials != self._credentials:
            answer = UNAUTHENTICATED
        if answer is not None:
            writer.write(answer)
            await writer.drain()
            if not answer or not self._closes:
                await reader.read()
            else:
                writer.close()
                await writer.wait_closed()
            return
        up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        try:
            await self._say_made(writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, up_writer))
                group.create_task(_pump(up_reader, writer))
        except* OSError:
            pass
        finally:
            up_writer.transport.abort()

    async def _say_made(self, writer: asyncio.StreamWriter) -> None:
        step = 1 if self._slices else len(self._made)
        for start in range(0, len(self._made), step):
            writer.write(self._made[start : start + step])
            await writer.drain()
            await asyncio.sleep(0)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
    else:
        writer.close()
