"""A provider that answers and fails as a test scripts it, on a real socket of the loopback.

    async with FaultUpstream([status(500), stream("a", "b").reset(after=2)], default=chat()) as upstream:
        upstream.base_url         # "http://127.0.0.1:43210/v1"
        upstream.requests         # what came, oldest first

Each request but `GET .../models` takes the next behaviour of the script, and once that is used up the
default, which may be a function of the request. A behaviour (`tests.support.behaviours`) is what is
answered and how it is delivered:
`chat("hi").sliced()`, `stream("a", "b").stall(after=2)`, `status(429, {"Retry-After": "3"}).closing()`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from types import TracebackType

from tests.support.behaviours import Behaviour, Received, chat, model_list


class FaultUpstream:
    """The provider; see the top of this module."""

    def __init__(
        self,
        script: Sequence[Behaviour] = (),
        *,
        default: Behaviour | Callable[[Received], Behaviour] | None = None,
        models: Behaviour | None = None,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        reads: bool | asyncio.Event = True,
    ) -> None:
        """`reads` says whether bodies are read before the answer; an event, that they are once it is set."""
        self.script = deque(script)
        self.default = default or chat()
        self.models = models or model_list("m1", "m2")
        self.requests: list[Received] = []
        self.accepted = 0
        """Connections accepted so far."""
        self._tls = tls
        self._host = host
        self._reads = reads
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> FaultUpstream:
        self._server = await asyncio.start_server(self._accept, self._host, 0, ssl=self._tls, limit=1 << 20)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def origin(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def open(self) -> int:
        """Connections that neither side has ended."""
        return len(self._writers)

    @property
    def completions(self) -> list[Received]:
        """The requests that were no questions for models."""
        return [one for one in self.requests if one.method == "POST"]

    def say(self, data: bytes) -> None:
        """Write bytes that nobody asked for on every open connection."""
        for writer in self._writers:
            writer.write(data)

    def drop(self, *, reset: bool = False) -> None:
        """Close every open connection, or reset it."""
        for writer in list(self._writers):
            if reset:
                _reset(writer)
            else:
                writer.close()

    async def stop_listening(self) -> None:
        """Refuse connections from now on; those that are open stay."""
        if self._server is not None:
            self._server.close()

    async def close(self) -> None:
        """End everything."""
        if self._server is None:
            return
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer, self.accepted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self._writers.add(writer)
        try:
            while (request := await _receive(reader, number, self._reads)) is not None:
                self.requests.append(request)
                if not await _Delivery(reader, writer, self._choose(request)).run(request):
                    break
                while not self._reads and await reader.read(1 << 20):
                    pass
            if not writer.is_closing():
                writer.close()
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._writers.discard(writer)
            await _ended(writer)

    def _choose(self, request: Received) -> Behaviour:
        if request.method == "GET" and request.path.partition("?")[0].endswith("/models"):
            return self.models
        if self.script:
            return self.script.popleft()
        return self.default if isinstance(self.default, Behaviour) else self.default(request)


class _Delivery:
    """Writes one reply as its behaviour says."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, behaviour: Behaviour
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._behaviour = behaviour

    async def run(self, request: Received) -> bool:
        """Return whether the connection goes on."""
        behaviour = self._behaviour
        if behaviour.delay:
            await asyncio.sleep(behaviour.delay)
        parts: Iterable[bytes] = behaviour.parts(request)
        if behaviour.joins:
            parts = (b"".join(parts),)
        sent = 0
        for number, part in enumerate(parts):
            if number and behaviour.gap:
                await asyncio.sleep(behaviour.gap)
            if self._reader.at_eof():
                return False
            place = self._place(number, sent, len(part))
            if place is None:
                await self._write(part)
            else:
                await self._write(part[:place])
                if not await self._fail():
                    return False
                await self._write(part[place:])
            sent += len(part)
        return not behaviour.closes and "close" not in request.headers.get("connection", "")

    def _place(self, number: int, sent: int, length: int) -> int | None:
        """Return where in this part the fault lies."""
        behaviour = self._behaviour
        if behaviour.after is not None:
            return 0 if number == behaviour.after else None
        if behaviour.at is not None and sent <= behaviour.at < sent + max(1, length):
            return behaviour.at - sent
        return None

    async def _write(self, data: bytes) -> None:
        if not self._behaviour.slices:
            self._writer.write(data)
            await self._writer.drain()
            return
        for number in range(len(data)):
            self._writer.write(data[number : number + 1])
            await self._writer.drain()
            await asyncio.sleep(0)

    async def _fail(self) -> bool:
        """Do what goes wrong here; returns whether the reply goes on."""
        behaviour = self._behaviour
        if behaviour.fault == "reset":
            await self._reach()
            _reset(self._writer)
        elif behaviour.fault == "end":
            self._writer.close()
        elif behaviour.fault == "abrupt":
            await self._reach()
            self._writer.transport.abort()
        elif behaviour.until is not None:
            await behaviour.until.wait()
            return True
        else:
            while await self._reader.read(65536):
                pass
        return False

    async def _reach(self) -> None:
        """Let what was written reach the client: a reset overtakes what it has not yet read."""
        await asyncio.sleep(0.02)


async def _receive(reader: asyncio.StreamReader, number: int, reads: bool | asyncio.Event) -> Received | None:
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, path, _ = lines[0].split(" ", 2)
    headers: dict[str, str] = {}
    for line in lines[1:-2]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if isinstance(reads, asyncio.Event):
        await reads.wait()
    if not reads:
        body = b""
    elif "chunked" in headers.get("transfer-encoding", ""):
        body = b"".join([piece async for piece in _chunks(reader)])
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(method, path, headers, body, number)


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST (SO_LINGER without time), on a duplicate: not every loop hands out the socket."""
    with contextlib.suppress(OSError):
        duplicate = socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno()))
        duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        duplicate.close()
    writer.transport.abort()


async def _ended(writer: asyncio.StreamWriter) -> None:
    """Wait until the connection has ended, a client that does not read notwithstanding."""
    try:
        async with asyncio.timeout(1):
            await writer.wait_closed()
    except (TimeoutError, OSError, ssl.SSLError):
        writer.transport.abort()
    except asyncio.CancelledError:
        writer.transport.abort()
        raise


# -- who does not


@contextlib.contextmanager
def refused_port() -> Iterator[int]:
    """Hold a port on which nobody listens, so that nobody else gets it meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@contextlib.contextmanager
def unanswered_port() -> Iterator[int]:
    """Hold a port whose queue is full: connecting to it is neither accepted nor refused (on Linux)."""
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
