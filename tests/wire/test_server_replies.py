"""How replies are framed, and what becomes of handlers and streams that fail."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator

import pytest

from shareai_cli.errors import EngineBusy, ShareAIError, UnknownPath
from shareai_cli.wire.message import Handler, Request, Response
from shareai_cli.wire.reply_heads import ReplyHeads, http_date
from shareai_cli.wire.server import ServerLimits
from tests.support.waiting import until
from tests.wire.serving import TEXT, Echo, Pieces, Serving, request


def answering(response: Response | BaseException) -> Handler:
    async def handle(request: Request) -> Response:
        if isinstance(response, BaseException):
            raise response
        return response

    return handle


async def test_a_reply_is_framed_by_the_server(serving: Serving) -> None:
    """Length and date are added to what the handler said."""
    client = await serving.connect(Echo())
    answer = await client.ask(request("GET", "/x"))
    assert list(answer.headers) == ["date", "content-type", "content-length"]
    assert answer.headers["content-length"] == "7"
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["date"].endswith(" GMT")


async def test_head_and_small_body_are_one_write(serving: Serving) -> None:
    """And so one segment, of which each byte is this."""
    client = await serving.connect(answering(Response(200, [TEXT, (b"x-a", b"1")], b"hello")))
    await client.send(request())
    data = await client.reader.read(65536)
    head, _, rest = data.partition(b"Date: ")
    assert head == b"HTTP/1.1 200 OK\r\n"
    assert rest.partition(b"\r\n")[2] == (
        b"content-type: text/plain\r\nx-a: 1\r\nContent-Length: 5\r\n\r\nhello"
    )


@pytest.mark.parametrize(("status", "reason"), [(200, b"OK"), (404, b"Not Found"), (529, b"")])
async def test_a_status_has_its_reason(serving: Serving, status: int, reason: bytes) -> None:
    """Or none, where nobody has registered it."""
    client = await serving.connect(answering(Response(status, [])))
    await client.send(request())
    assert await client.reader.readline() == b"HTTP/1.1 %d %b\r\n" % (status, reason)


async def test_the_answer_to_head_is_that_to_get_without_its_body(serving: Serving) -> None:
    """With its length, and the connection goes on."""
    client = await serving.connect(Echo())
    answer = await client.ask(request("HEAD", "/x"))
    assert answer.headers["content-length"] == "8"
    assert (await client.ask(request("GET", "/y"))).body == b"GET /y "


async def test_the_answer_to_head_does_not_begin_a_stream(serving: Serving) -> None:
    """But closes it."""
    pieces = Pieces(b"a", b"b")
    client = await serving.connect(pieces)
    answer = await client.ask(request("HEAD", "/x"))
    assert answer.headers["transfer-encoding"] == "chunked"
    await client.ask(request("HEAD", "/x"))
    assert (pieces.given, pieces.closed) == (0, 2)


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("streamed", [False, True])
async def test_statuses_without_a_body_have_none(serving: Serving, status: int, streamed: bool) -> None:
    """Whatever the handler gave."""
    body: bytes | AsyncIterator[bytes] = Pieces(b"nothing") if streamed else b"nothing"
    client = await serving.connect(answering(Response(status, [], body)))
    for _ in range(2):
        answer = await client.ask(request())
        assert answer.status == status
        assert "content-length" not in answer.headers
        assert "transfer-encoding" not in answer.headers


async def test_a_line_break_in_a_field_never_gets_out(serving: Serving) -> None:
    """It would be a field, or a reply, of somebody else's making."""
    for value in (b"1\r\nset-cookie: a=b", b"1\n", b"\r"):
        client = await serving.connect(answering(Response(200, [(b"x-a", value)], b"ok")))
        answer = await client.ask(request())
        assert answer.status == 500
        assert "set-cookie" not in answer.headers


# -- streams


async def test_each_piece_is_a_chunk_and_the_first_comes_with_the_head(serving: Serving) -> None:
    """In one write; pieces without a byte would end the stream, and are left out."""
    pieces = Pieces(b"", b"first", b"", b"second", waits=True)
    client = await serving.connect(pieces)
    await client.send(request())
    start = await client.reader.read(65536)
    assert start.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n" in start
    pieces.gate.set()
    rest = start.partition(b"\r\n\r\n")[2] + await client.reader.readuntil(b"0\r\n\r\n")
    assert rest == b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"
    assert (await client.ask(request())).chunks == ()
    assert pieces.closed == 2


async def test_a_stream_to_http_1_0_ends_with_the_connection(serving: Serving) -> None:
    """Kept alive or not: there are no chunks."""
    pieces = Pieces(b"first", b"second")
    client = await serving.connect(pieces)
    answer = await client.ask(request("GET", "/", "Connection: keep-alive", version="1.0"))
    assert answer.body == b"firstsecond"
    assert answer.headers["connection"] == "close"
    assert pieces.closed == 1


async def test_an_async_generator_is_a_stream(serving: Serving) -> None:
    """Its own clean-up runs too."""
    ended: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            await asyncio.sleep(0)
            ended.append("yes")

    async def handle(request: Request) -> Response:
        return Response(200, [], pieces())

    client = await serving.connect(handle)
    assert (await client.ask(request())).chunks == (b"a", b"b")
    await until(lambda: ended)


async def test_a_stream_that_fails_before_its_first_piece_has_the_errors_status(serving: Serving) -> None:
    """Nothing has been said yet."""
    pieces = Pieces(error=EngineBusy("The engine is busy."))
    client = await serving.connect(pieces)
    answer = await client.ask(request())
    assert (answer.status, answer.body) == (429, b"The engine is busy.")
    assert (await client.ask(request())).status == 429
    assert pieces.closed == 2


@pytest.mark.parametrize("error", [EngineBusy("Too late."), ValueError("Too late.")])
async def test_a_stream_that_fails_later_is_cut_off(
    serving: Serving, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """No client takes it for complete."""
    pieces = Pieces(b"first", error=error)
    client = await serving.connect(pieces)
    await client.send(request())
    data = await client.ended()
    assert not data.endswith(b"0\r\n\r\n")
    assert pieces.closed == 1
    assert ("ValueError" in caplog.text) == isinstance(error, ValueError)


# -- failures


async def test_an_error_is_rendered_and_the_connection_goes_on(serving: Serving) -> None:
    """It was only this request's."""
    client = await serving.connect(answering(UnknownPath("Nothing is here.")))
    for _ in range(2):
        answer = await client.ask(request())
        assert (answer.status, answer.body) == (404, b"Nothing is here.")
        assert "connection" not in answer.headers


@pytest.mark.parametrize(
    "error",
    [ValueError("secret"), RecursionError("secret"), asyncio.CancelledError("secret"), OSError("secret")],
)
async def test_what_goes_wrong_inside_is_a_500_without_details(
    serving: Serving, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    """The log names what it was and where; what it said may hold anything."""
    client = await serving.connect(answering(error))
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            answer = await client.ask(request())
            assert answer.status == 500
            assert "secret" not in answer.body.decode()
    assert type(error).__name__ in caplog.text
    assert "test_server_replies.py" in caplog.text
    assert "secret" not in caplog.text


async def test_an_error_that_cannot_be_rendered_ends_the_connection(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    """And is logged; other connections are not concerned."""
    server = await serving.start(answering(UnknownPath("Nothing is here.")))

    def fail(error: ShareAIError) -> Response:
        raise LookupError("secret")

    server.refuse = fail
    client = await serving.client(server)
    await client.send(request())
    assert await client.ended() == b""
    assert "LookupError" in caplog.text
    assert "secret" not in caplog.text
    await until(lambda: server.connections == 0)


# -- back-pressure


async def test_a_large_reply_arrives_whole(serving: Serving) -> None:
    """At the client's pace, and the next one after it."""
    body = b"0123456789abcdef" * (4 << 16)
    client = await serving.client(await serving.start(answering(Response(200, [], body))), receive_bytes=4096)
    for _ in range(2):
        answer = await client.ask(request())
        assert answer.body == body
    await client.send(request("GET", "/", "Connection: close"))
    assert (await client.ended()).endswith(body)


async def test_a_stream_goes_no_faster_than_its_client_takes_it(serving: Serving) -> None:
    """What waits is a few buffers, not the whole stream."""
    pieces = Pieces(endless=b"x" * 16384)
    client = await serving.client(await serving.start(pieces), receive_bytes=4096)
    await client.send(request())
    await client.head()
    given = -1
    while given != pieces.given:
        given = pieces.given
        await asyncio.sleep(0.05)
    assert given * 16384 < 8 << 20
    for _ in range(given):
        assert await client.reader.readexactly(16384 + 8)
    await until(lambda: pieces.given > given)


async def test_a_client_that_takes_nothing_is_cut_off_after_a_while(serving: Serving) -> None:
    """And one that takes a little now and then is not."""
    pieces = Pieces(endless=b"x" * 16384)
    limits = ServerLimits(stall_seconds=30)
    server = await serving.start(pieces, limits=limits)
    client = await serving.client(server, receive_bytes=4096)
    await client.send(request())
    await client.head()
    for _ in range(3):
        given = -1
        while given != pieces.given:
            given = pieces.given
            await asyncio.sleep(0.05)
        serving.pass_time(29)
        assert server.connections == 1
        for _ in range(100):
            await client.reader.readexactly(16384 + 8)
            await asyncio.sleep(0)
        await until(lambda given=given: pieces.given > given)  # type: ignore[misc]
    while given != pieces.given:
        given = pieces.given
        await asyncio.sleep(0.05)
    serving.pass_time(31)
    serving.pass_time(31)
    await until(lambda: server.connections == 0)
    assert pieces.closed == 1


async def test_a_finished_reply_that_nobody_takes_is_cut_off_too(serving: Serving) -> None:
    """Its connection does not stay for good."""
    server = await serving.start(answering(Response(200, [], b"x" * (16 << 20))))
    for fields in ((), ("Connection: close",)):
        client = await serving.client(server, receive_bytes=4096)
        await client.send(request("GET", "/", *fields))
        await client.head()
        await asyncio.sleep(0.05)
        for _ in range(3):
            serving.pass_time(61)
        await until(lambda: server.connections == 0)


async def test_a_client_that_asks_on_and_takes_nothing_is_cut_off_too(serving: Serving) -> None:
    """Its next request is no reason to wait for it for good; taking a little is."""
    asked = 0

    async def handle(request: Request) -> Response:
        nonlocal asked
        asked += 1
        return Response(200, [], b"x" * 40_000)

    server = await serving.start(handle, limits=ServerLimits(stall_seconds=30, idle_seconds=75))
    client = await serving.client(server, receive_bytes=4096)
    with contextlib.suppress(TimeoutError):  # the last one waits for those before it
        while True:
            before = asked
            await client.send(request())
            await until(lambda before=before: asked > before, 0.5)  # type: ignore[misc]
    serving.pass_time(29)
    for _ in range(10):
        await client.reader.readexactly(40_000)
    serving.pass_time(29)
    assert server.connections == 1
    for _ in range(4):
        serving.pass_time(31)
        await asyncio.sleep(0.02)
    assert server.connections == 0


# -- Date


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784111777.9, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (1709210096.0, "Thu, 29 Feb 2024 12:34:56 GMT"),
    ],
)
def test_dates_are_written_as_http_does(seconds: float, written: str) -> None:
    """RFC 9110, section 5.6.7."""
    assert http_date(seconds) == written


def test_the_date_is_renewed_every_second() -> None:
    """And no more often."""
    now, day = [100.0], [0.0]
    heads = ReplyHeads(lambda: now[0], lambda: day[0])
    response = Response(200, [])
    first = heads.whole(response, None, last=False)
    assert first == b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n"
    day[0] = 1.0
    now[0] = 100.9
    assert heads.whole(response, None, last=False) == first
    now[0] = 101.0
    assert heads.whole(response, None, last=False) == first.replace(b"00:00:00", b"00:00:01")


async def test_the_date_is_todays(serving: Serving) -> None:
    """By this machine's clock."""
    client = await serving.connect(Echo())
    before = time.time()
    date = (await client.ask(request())).headers["date"]
    assert date in {http_date(before + seconds) for seconds in (-1, 0, 1, 2)}
