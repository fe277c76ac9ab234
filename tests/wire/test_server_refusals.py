"""What is refused: told with a status, in its turn, and the connection closed."""

from __future__ import annotations

import asyncio

import pytest

from shareai_cli.wire.server import ServerLimits
from tests.support.waiting import until
from tests.wire.serving import CHUNKED, Client, Echo, Held, Serving, chunked, request

HOST = b"Host: localhost\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST


@pytest.fixture
def echo() -> Echo:
    return Echo()


async def refused(client: Client, status: int) -> str:
    """Wait for that refusal and the end of the connection; returns the message."""
    answer = await client.answer()
    assert answer.status == status
    assert answer.headers["connection"] == "close"
    assert await client.ended() == b""
    return answer.body.decode()


@pytest.mark.parametrize(
    "sent",
    [
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        POST + b"Content-Length: 5, 5\r\n\r\nhello",
        POST + b"Content-Length: +5\r\n\r\nhello",
        POST + b"Content-Length: -5\r\n\r\nhello",
        POST + b"Content-Length: 0x5\r\n\r\nhello",
        POST + b"Content-Length: 5_0\r\n\r\nhello",
        POST + b"Content-Length: \r\n\r\nhello",
        POST + b"Content-Length: five\r\n\r\nhello",
        POST + b"Content-Length: 99999999999999999999\r\n\r\nhello",
    ],
)
async def test_lengths_that_are_not_one_number(serving: Serving, echo: Echo, sent: bytes) -> None:
    """A second reading of them would be a smuggled request."""
    client = await serving.connect(echo)
    await client.send(sent)
    await refused(client, 400)
    assert not echo.requests


@pytest.mark.parametrize(
    "coding",
    [b"identity", b"identity, chunked", b"gzip, chunked", b"chunked, chunked", b"chunked, identity",
     b"xchunked", b"chunked\r\nTransfer-Encoding: chunked", b"chunked\r\nTransfer-Encoding: identity", b"",
     b"chunked;q=1"],
)  # fmt: skip
async def test_codings_other_than_chunked(serving: Serving, echo: Echo, coding: bytes) -> None:
    """Once, and by itself."""
    client = await serving.connect(echo)
    await client.send(POST + b"Transfer-Encoding: " + coding + b"\r\n\r\n" + chunked(b"hello"))
    await refused(client, 400)
    assert not echo.requests


async def test_chunks_in_http_1_0(serving: Serving, echo: Echo) -> None:
    """There are none."""
    client = await serving.connect(echo)
    await client.send(
        request("POST", "/", CHUNKED, "Connection: keep-alive", body=chunked(b"x"), version="1.0")
    )
    await refused(client, 400)


@pytest.mark.parametrize(
    "body",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"5;a=\x01\r\nhello\r\n0\r\n\r\n",
        b'5;a="\r\n"\r\nhello\r\n0\r\n\r\n',
        b"5\r\nhello\r\n0\r\n\n",
        b"5\r\nhello\r\n0\r\nX\r\n\r\n",
    ],
)
async def test_chunks_that_are_not_framed_as_they_must_be(serving: Serving, echo: Echo, body: bytes) -> None:
    """Bare LF, other ends, sizes that are no hexadecimal number."""
    client = await serving.connect(echo)
    await client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    await refused(client, 400)
    assert not echo.requests


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X-A: 1\r2\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X-A: \x001\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X-A: 1\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X-A: 1\x7f\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X-A: 1\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X-A : 1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X A: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b": 1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X-A\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
        b"GET /\x01 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /\x7f HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /#fragment HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET x HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET * HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET http:///x HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET ftp://localhost/x HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET http://user@localhost/x HTTP/1.1\r\n" + HOST + b"\r\n",
        b"get / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"NONSENSE / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_what_is_not_http(serving: Serving, echo: Echo, sent: bytes) -> None:
    """Bare LF, control characters, folded lines, other targets and methods, TLS, HTTP/2."""
    client = await serving.connect(echo)
    await client.send(sent)
    await refused(client, 400)
    assert not echo.requests


@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize(
    "line",
    [b"GET /", b"GET / HTTP/0.9", b"GET / HTTP/1.2", b"GET / HTTP/2.0", b"GET / HTTP/1", b"GET / HTTP/11.1",
     b"GET / http/1.1", b"GET / RTSP/1.0", b"OPTIONS / RTSP/1.0", b"DESCRIBE / RTSP/1.0", b"SOURCE / ICE/1.0",
     b"SOURCE / HTTP/1.1"],
)  # fmt: skip
async def test_versions_and_protocols_other_than_http_1_0_and_1_1(
    serving: Serving, echo: Echo, line: bytes, slowly: bool
) -> None:
    """Those too that llhttp takes for HTTP/1.0, however they come."""
    client = await serving.connect(echo)
    await (client.send_slowly if slowly else client.send)(line + b"\r\n" + HOST + b"\r\n")
    await refused(client, 400)
    assert not echo.requests


async def test_nothing_after_what_is_refused_is_read(serving: Serving, echo: Echo) -> None:
    """What a smuggler put there is no request."""
    client = await serving.connect(echo)
    smuggled = request("GET", "/admin")
    await client.send(POST + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled)
    await refused(client, 400)
    assert not echo.requests


async def test_requests_before_what_is_refused_are_answered(serving: Serving, echo: Echo) -> None:
    """In their turn."""
    client = await serving.connect(echo)
    await client.send(request("GET", "/1") + request("GET", "/2") + b"rubbish\r\n\r\n")
    assert [(await client.answer()).body for _ in range(2)] == [b"GET /1 ", b"GET /2 "]
    await refused(client, 400)


# -- bounds


async def test_a_head_has_a_largest_size(serving: Serving, echo: Echo) -> None:
    """32 KiB, in one segment or many, and with the body behind it; one below is served."""
    server = await serving.start(echo)
    fits = request("POST", "/", "X-Filler: " + "f" * 32000, body=b"b" * 60000)
    for slowly in (False, True):
        client = await serving.client(server)
        for _ in range(2):
            if slowly:
                for at in range(0, len(fits), 1000):
                    await client.send(fits[at : at + 1000])
                    await asyncio.sleep(0)
            else:
                await client.send(fits)
            assert (await client.answer()).body.endswith(b"b" * 60000)
    for field in ("X-Filler: " + "f" * 33000, "X-" + "f" * 300000 + ": 1"):
        client = await serving.client(server)
        await client.send(request("GET", "/", field))
        assert "larger than 32768 bytes" in await refused(client, 431)
    client = await serving.client(server)
    await client.send(b"GET /" + b"f" * 40000)
    await refused(client, 431)


async def test_an_endless_head_is_cut_off(serving: Serving, echo: Echo) -> None:
    """Blank lines before one, too."""
    for piece in (b"X-Filler: f\r\n", b"\r\n"):
        client = await serving.connect(echo)
        await client.send(b"GET / HTTP/1.1\r\n" if piece != b"\r\n" else b"")
        for _ in range(40):
            await client.send(piece * 100 if piece != b"\r\n" else piece * 500)
        await refused(client, 431)


@pytest.mark.parametrize("name", ["X-{}", "X-Same"])
async def test_a_head_has_a_largest_number_of_fields(serving: Serving, echo: Echo, name: str) -> None:
    """A hundred, Host among them, of one name or many."""
    server = await serving.start(echo)
    client = await serving.client(server)
    assert (await client.ask(request("GET", "/", *[name.format(n) + ": 1" for n in range(99)]))).status == 200
    await client.send(request("GET", "/", *[name.format(n) + ": 1" for n in range(100)]))
    await refused(client, 431)
    client = await serving.client(server)
    await client.send(request("GET", "/", *[name.format(n) + ": 1" for n in range(3000)]))
    await refused(client, 431)


@pytest.mark.parametrize("expects", [(), ("Expect: 100-continue",)])
async def test_a_body_that_says_it_is_too_large_is_not_read(
    serving: Serving, echo: Echo, expects: tuple[str, ...]
) -> None:
    """The refusal comes before the body does, and reaches a client that goes on sending."""
    server = await serving.start(echo)
    client = await serving.client(server)
    await client.send(request("POST", "/", f"Content-Length: {(20 << 20) + 1}", *expects))
    assert "larger than 20971520 bytes" in (await client.answer()).body.decode()
    for _ in range(64):
        await client.send(b"x" * 65536)
    assert server.admission.held == 0
    assert await client.ended() == b""
    assert not echo.requests


async def test_a_body_that_turns_out_too_large_is_not_kept(serving: Serving, echo: Echo) -> None:
    """A chunked one has no length to refuse it by."""
    server = await serving.start(echo, limits=ServerLimits(body_bytes=1 << 20))
    client = await serving.client(server)
    await client.send(request("POST", "/", CHUNKED, body=b""))
    for _ in range(17):
        await client.send(chunked(b"x" * 65536, end=b""))
    assert (await client.answer()).status == 413
    assert server.admission.held == 0
    assert not echo.requests


@pytest.mark.parametrize(
    "framing",
    [
        b"5;" + b"x" * (1 << 20),
        b"5\r\nhello\r\n0\r\n" + b"X-Trailer: t\r\n" * 70000,
        b"1\r\nx\r\n" * 20000,
    ],
)
async def test_what_is_between_the_chunks_of_a_body_is_bounded(
    serving: Serving, echo: Echo, framing: bytes
) -> None:
    """Extensions and trailers without end, and chunks of a byte each."""
    client = await serving.connect(echo)
    await client.send(request("POST", "/", CHUNKED))
    sending = asyncio.get_running_loop().create_task(client.send(framing))
    await refused(client, 400)
    await asyncio.gather(sending, return_exceptions=True)
    assert not echo.requests


async def test_bodies_together_have_a_largest_size(serving: Serving) -> None:
    """Those that are being answered count; when they are done there is room again."""
    held = Held()
    server = await serving.start(held, limits=ServerLimits(held_bytes=100_000))
    first, second, third = [await serving.client(server) for _ in range(3)]
    await first.send(request("POST", "/1", body=b"x" * 60_000))
    await until(lambda: held.begun == 1)
    await second.send(request("POST", "/2", body=b"x" * 60_000))
    await refused(second, 503)
    held.gate.set()
    assert (await first.answer()).body == b"/1"
    assert (await third.ask(request("POST", "/3", body=b"x" * 60_000))).body == b"/3"
    await until(lambda: server.admission.held == 0)


async def test_bodies_of_clients_that_leave_are_forgotten(serving: Serving) -> None:
    """Half received, waiting to be answered, or being answered."""
    held = Held()
    server = await serving.start(held)
    half, waiting = await serving.client(server), await serving.client(server)
    await half.send(request("POST", "/", body=b"x" * 1000)[:-1])
    await waiting.send(request("POST", "/1", body=b"x" * 1000) + request("POST", "/2", body=b"x" * 1000))
    await until(lambda: server.admission.held == 2999)
    for client in (half, waiting):
        client.leave()
    await until(lambda: server.connections == 0)
    assert server.admission.held == 0
    assert held.cancelled == 1


async def test_requests_sent_ahead_are_bounded_in_number(serving: Serving) -> None:
    """Those within the bound are answered."""
    held = Held()
    client = await serving.connect(held)
    await client.send(b"".join(request("GET", f"/{number}") for number in range(40)))
    await until(lambda: held.begun)
    held.gate.set()
    answered = 0
    while (answer := await client.answer()).status == 200:
        assert answer.body == f"/{answered}".encode()
        answered += 1
    assert answer.status == 503
    assert answered == 17
    assert await client.ended() == b""


@pytest.mark.parametrize("length", ["X-None: 1", "Content-Length: 0"])
async def test_upgrades_sent_ahead_are_bounded_too(serving: Serving, echo: Echo, length: str) -> None:
    """Though each of them makes the parser begin anew."""
    client = await serving.connect(echo)
    await client.send(request("GET", "/", "Connection: upgrade", "Upgrade: h2c", length) * 40)
    for _ in range(17):
        assert (await client.answer()).status == 200
    await refused(client, 503)


async def test_what_follows_an_upgrade_is_refused_for_its_own_reason(serving: Serving, echo: Echo) -> None:
    """In the same segment."""
    client = await serving.connect(echo)
    upgrade = request("GET", "/", "Connection: upgrade", "Upgrade: h2c")
    await client.send(upgrade + request("POST", "/", f"Content-Length: {1 << 30}"))
    assert (await client.answer()).status == 200
    await refused(client, 413)


async def test_requests_sent_ahead_are_bounded_in_size(serving: Serving) -> None:
    """What is sent beyond that is not kept, and the end of the connection still seen."""
    held = Held()
    server = await serving.start(held)
    client = await serving.client(server)
    await client.send(request("GET", "/1"))
    await until(lambda: held.begun)
    await client.send(request("POST", "/2", "Content-Length: 1000000") + b"x" * 200_000)
    for _ in range(20):
        await asyncio.sleep(0.005)
        assert server.admission.held <= 65536
    held.gate.set()
    assert (await client.answer()).body == b"/1"
    await refused(client, 503)


async def test_more_than_the_bound_may_be_sent_ahead_in_turn(serving: Serving, echo: Echo) -> None:
    """A client that always has a few requests under way is within it."""
    client = await serving.connect(echo)
    await client.send(request("POST", "/0", body=b"x" * 2000) * 4)
    for _ in range(200):
        await client.answer()
        await client.send(request("POST", "/1", body=b"x" * 2000))
    assert len(echo.requests) >= 200
