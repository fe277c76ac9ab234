"""Bodies that write themselves: framing, ends, failures, clients that leave or do not keep up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from shareai_cli.errors import EngineBusy
from shareai_cli.wire.message import PushedBody, Request, Response, Writer
from shareai_cli.wire.server import ServerLimits
from tests.support.waiting import turns, until
from tests.wire.serving import TEXT, Client, Serving, request

SOON = 1.0

PIECE = b"x" * 16384


class Pushed(PushedBody):
    """A body that a test writes; `first` does so within `start`. It answers requests with itself."""

    def __init__(self, first: Callable[[Writer], None] | None = None, status: int = 200) -> None:
        self.started = 0
        self.pauses = 0
        self.resumes = 0
        self.closed = 0
        self.paused = False
        self._first = first
        self._status = status
        self._writer: Writer | None = None

    async def __call__(self, request: Request) -> Response:
        return Response(self._status, [TEXT], self)

    @property
    def writer(self) -> Writer:
        assert self._writer is not None
        return self._writer

    def start(self, writer: Writer) -> None:
        self.started += 1
        self._writer = writer
        if self._first is not None:
            self._first(writer)

    def pause(self) -> None:
        assert self.started
        self.pauses += 1
        self.paused = True

    def resume(self) -> None:
        self.resumes += 1
        self.paused = False

    def close(self) -> None:
        self.closed += 1

    async def begun(self) -> Writer:
        """Wait until it is started."""
        await until(lambda: self.started)
        return self.writer

    async def fill(self) -> int:
        """Write until it is told to pause, and return how much that was."""
        written = 0
        while not self.paused:
            self.writer.write(PIECE)
            written += len(PIECE)
            assert written < 64 << 20, "nobody says that it is enough"
            await asyncio.sleep(0)
        return written


def whole(*pieces: bytes) -> Callable[[Writer], None]:
    """Write all of a body at once."""

    def write(writer: Writer) -> None:
        for piece in pieces:
            writer.write(piece)
        writer.end()

    return write


async def take(client: Client, size: int) -> None:
    """Take so many bytes of a body of `PIECE`s, and a chunk's framing for each."""
    for _ in range(size // len(PIECE)):
        assert await client.reader.readexactly(len(PIECE) + 8) == b"4000\r\n" + PIECE + b"\r\n"


# -- framing


async def test_each_piece_is_a_chunk_and_the_first_comes_with_the_head(serving: Serving) -> None:
    """In one write; pieces without a byte would end the body, and are left out."""
    pushed = Pushed()
    client = await serving.connect(pushed)
    await client.send(request())
    writer = await pushed.begun()
    await turns()
    assert not client.reader._buffer  # type: ignore[attr-defined] # no head without a piece
    writer.write(b"")
    writer.write(b"first")
    start = await client.reader.read(65536)
    assert start.startswith(b"HTTP/1.1 200 OK\r\n")
    head, _, body = start.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert body == b"5\r\nfirst\r\n"
    writer.write(b"second")
    writer.write(b"")
    writer.write(b"third")
    writer.end()
    assert await client.reader.readuntil(b"\r\n0\r\n\r\n") == b"6\r\nsecond\r\n5\r\nthird\r\n0\r\n\r\n"
    await until(lambda: pushed.closed)
    assert (pushed.started, pushed.closed) == (1, 1)


async def test_a_body_to_http_1_0_ends_with_the_connection(serving: Serving) -> None:
    """Kept alive or not: there are no chunks."""
    pushed = Pushed()
    client = await serving.connect(pushed)
    await client.send(request("GET", "/", "Connection: keep-alive", version="1.0"))
    writer = await pushed.begun()
    writer.write(b"first")
    await turns()
    writer.write(b"second")
    writer.end()
    answer = await client.answer()
    assert answer.body == b"firstsecond"
    assert answer.headers["connection"] == "close"
    assert "transfer-encoding" not in answer.headers
    assert pushed.closed == 1


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_a_body_may_be_empty(serving: Serving, version: str) -> None:
    """The head comes with the end."""
    pushed = Pushed()
    client = await serving.connect(pushed)
    await client.send(request(version=version))
    (await pushed.begun()).end()
    answer = await client.answer()
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("pieces", [(), (b"first",), (b"first", b"second"), (PIECE,) * 100])
async def test_a_body_may_be_written_at_once(serving: Serving, pieces: tuple[bytes, ...]) -> None:
    """Within start; the connection goes on."""
    pushed = Pushed(whole(*pieces))
    client = await serving.connect(pushed)
    for _ in range(3):
        assert (await client.ask(request())).chunks == pieces
    assert (pushed.started, pushed.closed) == (3, 3)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_a_reply_without_a_body_does_not_start_one(serving: Serving, method: str, status: int) -> None:
    """It is closed, and the connection goes on."""
    pushed = Pushed(whole(b"first"), status)
    client = await serving.connect(pushed)
    for _ in range(2):
        await client.send(request(method))
        assert (await client.answer(bodiless=True)).status == status
    assert (pushed.started, pushed.closed) == (0, 2)


# -- failures


@pytest.mark.parametrize("within", [True, False], ids=["within-start", "later"])
async def test_a_body_that_fails_before_its_first_piece_has_the_errors_status(
    serving: Serving, within: bool
) -> None:
    """Nothing has been said yet, and the connection goes on."""
    busy = EngineBusy("The engine is busy.")
    pushed = Pushed((lambda writer: writer.fail(busy)) if within else None)
    client = await serving.connect(pushed)
    for times in (1, 2):
        await client.send(request())
        await until(lambda times=times: pushed.started == times)  # type: ignore[misc]
        if not within:
            pushed.writer.fail(busy)
        answer = await client.answer()
        assert (answer.status, answer.body) == (429, b"The engine is busy.")
        assert pushed.closed == times


@pytest.mark.parametrize("error", [EngineBusy("Too late."), ValueError("secret")])
async def test_a_body_that_fails_later_is_cut_off(
    serving: Serving, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """No client takes it for complete; what comes after that goes nowhere."""
    pushed = Pushed()
    client = await serving.connect(pushed)
    await client.send(request())
    writer = await pushed.begun()
    writer.write(b"first")
    await client.head()
    writer.fail(error)
    writer.write(b"second")
    writer.end()
    data = await client.ended()
    assert not data.endswith(b"0\r\n\r\n")
    assert pushed.closed == 1
    assert ("ValueError" in caplog.text) == isinstance(error, ValueError)
    assert "secret" not in caplog.text


async def test_what_goes_wrong_in_start_is_a_500(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    """The body is closed, and the connection goes on; it is cut off where the reply had begun."""

    def fail(writer: Writer) -> None:
        raise LookupError("secret")

    def fail_late(writer: Writer) -> None:
        writer.write(b"first")
        fail(writer)

    pushed = Pushed(fail)
    client = await serving.connect(pushed)
    for _ in range(2):
        answer = await client.ask(request())
        assert answer.status == 500
        assert b"secret" not in answer.body
    assert (pushed.started, pushed.closed) == (2, 2)
    assert "LookupError" in caplog.text
    assert "secret" not in caplog.text
    pushed = Pushed(fail_late)
    client = await serving.connect(pushed)
    await client.send(request())
    assert not (await client.ended()).endswith(b"0\r\n\r\n")
    assert pushed.closed == 1


async def test_a_body_that_has_ended_cannot_fail(serving: Serving) -> None:
    """Its reply was complete."""

    def write(writer: Writer) -> None:
        whole(b"first")(writer)
        writer.fail(ValueError("late"))

    pushed = Pushed(write)
    client = await serving.connect(pushed)
    for _ in range(2):
        assert (await client.ask(request())).chunks == (b"first",)


# -- clients that leave


def leave(client: Client, way: str) -> None:
    if way == "fin":
        client.leave()
    elif way == "reset":
        client.reset()
    else:
        client.writer.close()


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("way", ["fin", "reset", "close"])
async def test_a_body_is_closed_when_its_client_leaves(serving: Serving, way: str, begun: bool) -> None:
    """Whether it had begun or not; what it writes nevertheless goes nowhere."""
    pushed = Pushed()
    server = await serving.start(pushed)
    client = await serving.client(server)
    await client.send(request())
    writer = await pushed.begun()
    if begun:
        writer.write(b"first")
        await client.head()
    leave(client, way)
    await until(lambda: pushed.closed and not server.connections, SOON)
    writer.write(b"second")
    writer.fail(ValueError("late"))
    writer.end()
    await turns()
    assert pushed.closed == 1


@pytest.mark.parametrize("way", ["fin", "reset"])
async def test_a_paused_body_is_closed_when_its_client_leaves(serving: Serving, way: str) -> None:
    """Reading goes on while writing waits."""
    pushed = Pushed()
    server = await serving.start(pushed)
    client = await serving.client(server, receive_bytes=4096)
    client.reader._transport.pause_reading()  # type: ignore[attr-defined] # takes nothing at all
    await client.send(request())
    await pushed.begun()
    await pushed.fill()
    leave(client, way)
    await until(lambda: not server.connections, SOON)
    assert (pushed.closed, pushed.resumes) == (1, 0)


async def test_a_body_is_not_started_for_nobody(serving: Serving) -> None:
    """Where the handler goes on although it was cancelled, the body is closed."""
    pushed = Pushed()
    begun = asyncio.Event()

    async def handle(request: Request) -> Response:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
        return Response(200, [], pushed)

    server = await serving.start(handle)
    client = await serving.client(server)
    await client.send(request())
    await begun.wait()
    client.leave()
    await until(lambda: not server.connections, SOON)
    assert (pushed.started, pushed.closed) == (0, 1)


# -- back-pressure


async def test_a_body_pauses_until_its_client_has_taken_what_waits(serving: Serving) -> None:
    """What waits meanwhile is a few buffers; it arrives whole, and it goes on again and again."""
    pushed = Pushed()
    client = await serving.client(await serving.start(pushed), receive_bytes=4096)
    await client.send(request())
    writer = await pushed.begun()
    for times in (1, 2):
        written = await pushed.fill()
        assert written < 8 << 20
        await asyncio.sleep(0.05)
        assert (pushed.pauses, pushed.resumes) == (times, times - 1)
        if times == 1:
            await client.head()
        await take(client, written)
        await until(lambda times=times: pushed.resumes == times)  # type: ignore[misc]
    writer.end()
    assert await client.reader.readexactly(5) == b"0\r\n\r\n"
    assert (await pushed.begun(), pushed.closed) == (writer, 1)


async def test_a_body_that_writes_too_much_in_start_is_paused_after_it(serving: Serving) -> None:
    """Before, it may not know yet how to."""
    pieces = 512

    def write(writer: Writer) -> None:
        for _ in range(pieces):
            writer.write(PIECE)

    started = Pushed(write)
    client = await serving.client(await serving.start(started), receive_bytes=4096)
    await client.send(request())
    await started.begun()
    await turns()
    assert (started.pauses, started.resumes) == (1, 0)
    await client.head()
    await take(client, pieces * len(PIECE))
    await until(lambda: started.resumes == 1)
    started.writer.end()


async def test_a_client_that_takes_nothing_is_cut_off_after_a_while(serving: Serving) -> None:
    """And one that takes a little now and then is not."""
    pushed = Pushed()
    server = await serving.start(pushed, limits=ServerLimits(stall_seconds=30))
    client = await serving.client(server, receive_bytes=4096)
    await client.send(request())
    await pushed.begun()
    written = await pushed.fill()
    await client.head()
    for _ in range(2):
        serving.pass_time(29)
        assert server.connections == 1
        await take(client, 100 * len(PIECE))
        written -= 100 * len(PIECE)
        while not pushed.paused:
            written += await pushed.fill()
    serving.pass_time(31)
    serving.pass_time(31)
    await until(lambda: server.connections == 0)
    assert pushed.closed == 1


async def test_pieces_that_were_on_their_way_do_not_hide_what_a_client_takes(serving: Serving) -> None:
    """More waits than when it began to; a client that took some of it goes on, until it takes nothing."""
    pushed = Pushed()
    server = await serving.start(pushed, limits=ServerLimits(stall_seconds=30))
    client = await serving.client(server, receive_bytes=4096)
    await client.send(request())
    await pushed.begun()
    await pushed.fill()
    for _ in range(100):
        pushed.writer.write(PIECE)
    await client.head()
    await take(client, 20 * len(PIECE))
    serving.pass_time(31)
    assert server.connections == 1
    await asyncio.sleep(0.05)
    assert server.connections == 1
    for _ in range(3):
        serving.pass_time(31)
    await until(lambda: server.connections == 0)
    assert pushed.closed == 1


async def test_a_silent_body_has_no_limit(serving: Serving) -> None:
    """How long an answer may take is the handler's to say."""
    pushed = Pushed()
    client = await serving.connect(pushed)
    await client.send(request())
    writer = await pushed.begun()
    writer.write(b"first")
    serving.pass_time(10_000)
    await turns()
    writer.end()
    assert (await client.answer()).chunks == (b"first",)


# -- one after another, and the end


async def test_requests_sent_ahead_are_answered_after_the_body(serving: Serving) -> None:
    """In order, and each body is closed before the next one starts."""
    bodies = [Pushed(), Pushed(), Pushed(whole(b"third"))]
    left = list(bodies)

    async def handle(request: Request) -> Response:
        return Response(200, [TEXT], left.pop(0))

    client = await serving.connect(handle)
    await client.send(request() * 3)
    for number, body in enumerate(bodies[:2]):
        writer = await body.begun()
        assert [one.started for one in bodies] == [1] * (number + 1) + [0] * (2 - number)
        writer.write(b"%d" % number)
        await turns()
        writer.end()
        assert (await client.answer()).chunks == (b"%d" % number,)
    assert (await client.answer()).chunks == (b"third",)
    assert [body.closed for body in bodies] == [1, 1, 1]


async def test_a_server_that_closes_lets_bodies_end(serving: Serving) -> None:
    """Those that take longer than they have are cut off; either way they are closed."""
    ends, stays = Pushed(), Pushed()

    async def handle(request: Request) -> Response:
        return Response(200, [TEXT], ends if request.path == "/ends" else stays)

    server = await serving.start(handle)
    clients = [await serving.client(server) for _ in range(2)]
    for client, path, pushed in zip(clients, ("/ends", "/stays"), (ends, stays), strict=True):
        await client.send(request("GET", path))
        (await pushed.begun()).write(b"first")
    closing = asyncio.get_running_loop().create_task(server.close(0.3))
    await asyncio.sleep(0.05)
    assert not closing.done()
    ends.writer.write(b"second")
    ends.writer.end()
    assert (await clients[0].answer()).chunks == (b"first", b"second")
    assert await clients[0].ended() == b""
    await closing
    assert not (await clients[1].ended()).endswith(b"0\r\n\r\n")
    assert (ends.closed, stays.closed, server.connections) == (1, 1, 0)
