"""A server with a handler of the test's, raw connections to it, and time that a test moves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from shareai_cli.errors import ShareAIError
from shareai_cli.wire.deadlines import Deadlines
from shareai_cli.wire.message import Handler, Request, Response
from shareai_cli.wire.server import Server
from tests.support.clock import FakeClock

TEXT = (b"content-type", b"text/plain")


def refuse(error: ShareAIError) -> Response:
    """Render an error as its message."""
    return Response(error.status, [TEXT], str(error).encode())


class Echo:
    """A handler that keeps what it is asked, and answers with method, path and body."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        said = f"{request.method} {request.path} ".encode() + request.body
        return Response(200, [TEXT], said)

    @property
    def last(self) -> Request:
        return self.requests[-1]


class Held:
    """A handler that answers once it is let go, and tells whether it was cancelled."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.gate = asyncio.Event()

    async def __call__(self, request: Request) -> Response:
        self.begun += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Response(200, [TEXT], request.path.encode())


class Pieces:
    """A streamed body: `pieces`, then perhaps `error`; endless where `endless` is a piece to repeat."""

    def __init__(
        self, *pieces: bytes, error: BaseException | None = None, endless: bytes = b"", waits: bool = False
    ) -> None:
        self.given = 0
        self.closed = 0
        self.cancelled = 0
        self.gate = asyncio.Event()
        self._pieces = pieces
        self._error = error
        self._endless = endless
        self._waits = waits

    async def __call__(self, request: Request) -> Response:
        return Response(200, [TEXT], self)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            if self.given < len(self._pieces):
                self.given += 1
                return self._pieces[self.given - 1]
            if self._waits:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self._endless:
            self.given += 1
            return self._endless
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed += 1


@dataclass(frozen=True)
class Answer:
    """One reply as it came; `body` without its chunks, which are in `chunks`."""

    status: int
    headers: dict[str, str]
    body: bytes
    chunks: tuple[bytes, ...] = ()


class Client:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes in one write."""
        self.writer.write(data)
        await self.writer.drain()

    async def send_slowly(self, data: bytes) -> None:
        """Send each byte by itself."""
        for number in range(len(data)):
            self.writer.write(data[number : number + 1])
            await asyncio.sleep(0)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Return the next reply's status and fields."""
        text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = text[:-4].split("\r\n")
        version, status, _ = line.split(" ", 2)
        assert version == "HTTP/1.1"
        headers: dict[str, str] = {}
        for field in fields:
            name, _, value = field.partition(": ")
            assert name.lower() not in headers
            headers[name.lower()] = value
        return int(status), headers

    async def answer(self, *, bodiless: bool = False) -> Answer:
        """Return the next reply."""
        status, headers = await self.head()
        if bodiless or status in (204, 304):
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            chunks = [chunk async for chunk in self.chunks()]
            return Answer(status, headers, b"".join(chunks), tuple(chunks))
        if "content-length" in headers:
            return Answer(status, headers, await self.reader.readexactly(int(headers["content-length"])))
        assert headers.get("connection") == "close"
        return Answer(status, headers, await self.reader.read())

    async def chunks(self) -> AsyncIterator[bytes]:
        """Return the chunks of the reply whose head was read."""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            yield await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        assert await self.reader.readexactly(2) == b"\r\n"

    async def ask(self, data: bytes) -> Answer:
        """Send a request and return its reply."""
        await self.send(data)
        return await self.answer(bodiless=data.startswith(b"HEAD "))

    async def ended(self) -> bytes:
        """Wait for the end of the connection, and return what came before it."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""

    def leave(self) -> None:
        """Send FIN, and read on."""
        self.writer.write_eof()

    def reset(self) -> None:
        """Send RST (SO_LINGER without time), on a duplicate: not every loop hands out the socket."""
        duplicate = socket.socket(fileno=os.dup(self.writer.get_extra_info("socket").fileno()))
        duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        duplicate.close()
        self.writer.transport.abort()

    async def close(self) -> None:
        """Close the connection."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class Serving:
    """The servers of one test, their clock, and the connections to them."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.deadlines = Deadlines(3600.0, clock)
        self._servers: list[Server] = []
        self._clients: list[Client] = []

    async def start(self, handler: Handler, **options: Any) -> Server:
        """Start a server on a free port."""
        server = Server(handler, refuse=refuse, deadlines=self.deadlines, clock=self.clock, **options)
        self._servers.append(server)
        await server.start("127.0.0.1", 0)
        return server

    async def client(self, server: Server, *, receive_bytes: int = 0) -> Client:
        """Connect; `receive_bytes` makes the socket's buffer small."""
        connected = socket.socket()
        connected.setblocking(False)
        if receive_bytes:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        await asyncio.get_running_loop().sock_connect(connected, ("127.0.0.1", server.port))
        reader, writer = await asyncio.open_connection(sock=connected, limit=1 << 16)
        client = Client(reader, writer)
        self._clients.append(client)
        return client

    async def connect(self, handler: Handler, **options: Any) -> Client:
        """Start a server and connect to it."""
        return await self.client(await self.start(handler, **options))

    def pass_time(self, seconds: float) -> None:
        """Let time pass and what it ends end."""
        self.clock.forward(seconds)
        self.deadlines.sweep()

    async def close(self) -> None:
        """End everything."""
        for client in self._clients:
            await client.close()
        for server in self._servers:
            await server.close(1.0)
        self.deadlines.close()


def request(
    method: str = "GET",
    path: str = "/",
    *fields: str,
    body: bytes = b"",
    version: str = "1.1",
    host: str | None = "localhost",
) -> bytes:
    """Return a request's bytes; Content-Length is added to a body that has no other framing."""
    lines = [f"{method} {path} HTTP/{version}", *([f"Host: {host}"] if host is not None else ()), *fields]
    if body and not any(field.lower().startswith("transfer-encoding") for field in fields):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """Return a body in chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + end


CHUNKED = "Transfer-Encoding: chunked"
