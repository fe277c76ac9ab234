"""What reaches a handler: requests as they were sent, however they came."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.waiting import until
from tests.wire.serving import CHUNKED, Echo, Held, Serving, chunked, request

UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")


@pytest.fixture
def echo() -> Echo:
    return Echo()


async def test_a_request_is_handed_over_whole(serving: Serving, echo: Echo) -> None:
    """Its target in parts, its header names lower-case, its body, and who sent it."""
    client = await serving.connect(echo)
    fields = ("X-One: 1", "x-two:  2", "X-ONE: again", "X-Empty:")
    answer = await client.ask(request("POST", "/v1/a%20b?x=1&y=?", *fields, body=b"hello"))
    assert (answer.status, answer.body) == (200, b"POST /v1/a%20b hello")
    got = echo.last
    assert (got.method, got.path, got.query, got.version) == ("POST", "/v1/a%20b", "x=1&y=?", "1.1")
    assert got.headers == {
        b"host": b"localhost",
        b"x-one": b"1, again",
        b"x-two": b"2",
        b"x-empty": b"",
        b"content-length": b"5",
    }
    assert got.body == b"hello"
    assert got.peer == "127.0.0.1"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "TRACE"])
async def test_any_method_of_http_is_the_handlers_to_judge(serving: Serving, echo: Echo, method: str) -> None:
    """The server has no opinion."""
    client = await serving.connect(echo)
    assert (await client.ask(request(method, "/x"))).body == f"{method} /x ".encode()


@pytest.mark.parametrize(
    "sent",
    [
        request("POST", "/p?q", "X-A: b", body=b"hello world"),
        request("POST", "/p?q", "X-A: b", CHUNKED, body=chunked(b"hello ", b"world")),
        request("POST", "/p?q", "X-A: b", CHUNKED, body=b"B;name=value\r\nhello world\r\n0\r\n\r\n"),
        request("POST", "/p?q", "X-A: b", *UPGRADE, body=b"hello world"),
        request("POST", "/p?q", "X-A: b", *UPGRADE, CHUNKED, body=chunked(b"hello ", b"world")),
    ],
)
@pytest.mark.parametrize("slowly", [False, True])
async def test_bodies_are_sized_or_chunked_and_come_in_any_pieces(
    serving: Serving, echo: Echo, sent: bytes, slowly: bool
) -> None:
    """Down to single bytes, also where the head asks for a protocol that is not spoken here."""
    client = await serving.connect(echo)
    for _ in range(2):
        await (client.send_slowly if slowly else client.send)(sent)
        assert (await client.answer()).body == b"POST /p hello world"
    assert all(got.headers[b"x-a"] == b"b" and got.query == "q" for got in echo.requests)


async def test_a_large_body_arrives_whole(serving: Serving, echo: Echo) -> None:
    """Twenty megabytes, sized and chunked."""
    client = await serving.connect(echo)
    body = b"0123456789abcdef" * (20 << 16)
    for sent in (
        request("POST", "/", body=body),
        request(
            "POST", "/", CHUNKED, body=chunked(*[body[at : at + 8192] for at in range(0, len(body), 8192)])
        ),
    ):
        sending = asyncio.get_running_loop().create_task(client.send(sent))
        status, headers = await client.head()
        assert (status, int(headers["content-length"])) == (200, len(body) + 7)
        assert await client.reader.readexactly(len(body) + 7) == b"POST / " + body
        await sending


async def test_trailers_are_dropped(serving: Serving, echo: Echo) -> None:
    """Whatever they claim."""
    client = await serving.connect(echo)
    end = b"0\r\nAuthorization: Bearer stolen\r\nX-Trailer: t\r\nHost: evil\r\n\r\n"
    answer = await client.ask(
        request("POST", "/", CHUNKED, "Trailer: X-Trailer", body=chunked(b"x", end=end))
    )
    assert answer.body == b"POST / x"
    assert set(echo.last.headers) == {b"host", b"transfer-encoding", b"trailer"}


@pytest.mark.parametrize("fields", [UPGRADE, ("Connection: upgrade", "Upgrade: websocket")])
async def test_an_upgrade_that_nobody_offers_is_ignored(
    serving: Serving, echo: Echo, fields: tuple[str, ...]
) -> None:
    """The request is answered as any other, and so is what follows it in the same segment."""
    client = await serving.connect(echo)
    await client.send(
        request("GET", "/1", *fields)
        + request("POST", "/2", *fields, body=b"two")
        + request("PUT", "/3", *fields, CHUNKED, body=chunked(b"three"))
        + request("POST", "/4", *fields, "Content-Length: 0")
        + request("GET", "/5")
    )
    for said in (b"GET /1 ", b"POST /2 two", b"PUT /3 three", b"POST /4 ", b"GET /5 "):
        assert (await client.answer()).body == said


async def test_a_connection_is_used_for_many_requests(serving: Serving, echo: Echo) -> None:
    """Until the client says otherwise."""
    server = await serving.start(echo)
    client = await serving.client(server)
    for number in range(5):
        answer = await client.ask(request("GET", f"/{number}"))
        assert answer.body == f"GET /{number} ".encode()
        assert "connection" not in answer.headers
    answer = await client.ask(request("GET", "/last", "Connection: close") + request("GET", "/ignored"))
    assert answer.headers["connection"] == "close"
    assert await client.ended() == b""
    assert [got.path for got in echo.requests][-1] == "/last"
    await until(lambda: server.connections == 0)


async def test_http_1_0_is_answered_and_closed_unless_it_asks_otherwise(serving: Serving, echo: Echo) -> None:
    """As its clients expect."""
    client = await serving.connect(echo)
    kept = await client.ask(request("GET", "/kept", "Connection: keep-alive", version="1.0"))
    assert kept.headers["connection"] == "keep-alive"
    closed = await client.ask(request("GET", "/closed", version="1.0"))
    assert closed.headers["connection"] == "close"
    assert closed.body == b"GET /closed "
    assert echo.last.version == "1.0"
    assert await client.ended() == b""


async def test_pipelined_requests_are_answered_in_order(serving: Serving, echo: Echo) -> None:
    """One at a time, whatever they are framed with."""
    client = await serving.connect(echo)
    await client.send(
        b"".join(
            request("POST", f"/{n}", body=b"x" * n)
            if n % 2
            else request("POST", f"/{n}", CHUNKED, body=chunked(b"y"))
            for n in range(16)
        )
    )
    for number in range(16):
        body = b"x" * number if number % 2 else b"y"
        assert (await client.answer()).body == f"POST /{number} ".encode() + body


async def test_a_request_sent_ahead_waits_for_the_one_before_it(serving: Serving) -> None:
    """Its handler does not begin before."""
    held = Held()
    client = await serving.connect(held)
    await client.send(request("GET", "/1"))
    await until(lambda: held.begun)
    await client.send(request("GET", "/2"))
    await asyncio.sleep(0.05)
    assert held.begun == 1
    held.gate.set()
    assert [(await client.answer()).body for _ in range(2)] == [b"/1", b"/2"]


async def test_a_part_of_a_request_may_be_sent_ahead(serving: Serving) -> None:
    """Its rest follows when the client likes."""
    held = Held()
    client = await serving.connect(held)
    second = request("POST", "/2", body=b"body")
    await client.send(request("GET", "/1") + second[:-2])
    await until(lambda: held.begun)
    held.gate.set()
    assert (await client.answer()).body == b"/1"
    await client.send(second[-2:])
    assert (await client.answer()).body == b"/2"


@pytest.mark.parametrize("slowly", [False, True])
async def test_a_client_that_waits_for_100_is_told_to_go_on(
    serving: Serving, echo: Echo, slowly: bool
) -> None:
    """Once, and before its body."""
    client = await serving.connect(echo)
    head, body = request("POST", "/", "Expect: 100-Continue", body=b"hello")[:-5], b"hello"
    await (client.send_slowly if slowly else client.send)(head)
    assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await client.ask(body)).body == b"POST / hello"


async def test_a_client_that_does_not_wait_for_100_gets_none(serving: Serving, echo: Echo) -> None:
    """Nor does one that speaks HTTP/1.0, or expects something else."""
    client = await serving.connect(echo)
    for sent in (
        request("POST", "/", "Expect: 100-continue", body=b"hello"),
        request("POST", "/", "Expect: 100-continue", "Connection: keep-alive", body=b"hello", version="1.0"),
        request("POST", "/", "Expect: the-unexpected", body=b"hello"),
    ):
        assert (await client.ask(sent)).body == b"POST / hello"


async def test_100_is_said_in_its_turn(serving: Serving) -> None:
    """After the reply to the request before."""
    held = Held()
    client = await serving.connect(held)
    await client.send(
        request("GET", "/1") + request("POST", "/2", "Expect: 100-continue", "Content-Length: 2")
    )
    await until(lambda: held.begun)
    held.gate.set()
    assert (await client.answer()).body == b"/1"
    assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await client.ask(b"ok")).body == b"/2"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://localhost/v1/models?x=1", "/v1/models", "x=1"),
        ("HTTP://127.0.0.1:80", "/", ""),
        ("http://localhost?x=1", "/", "x=1"),
        ("*", "*", ""),
    ],
)
async def test_other_forms_of_a_target_are_understood(
    serving: Serving, echo: Echo, target: str, path: str, query: str
) -> None:
    """RFC 9112, section 3.2."""
    client = await serving.connect(echo)
    await client.ask(request("OPTIONS", target))
    assert (echo.last.path, echo.last.query) == (path, query)


async def test_blank_lines_before_a_request_are_skipped(serving: Serving, echo: Echo) -> None:
    """Old clients send one after a body."""
    client = await serving.connect(echo)
    assert (await client.ask(b"\r\n\r\n" + request("GET", "/x"))).body == b"GET /x "
    assert (
        await client.ask(b"\r\n" + request("GET", "/y", "Connection: keep-alive", version="1.0"))
    ).status == 200


# -- Host


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:", "LOCALHOST:1", "app.localhost", "127.0.0.1", "127.0.0.1:65535", "127.8.9.1",
     "[::1]:80", "gateway.example", "Gateway.Example:8080", "10.1.2.3"],
)  # fmt: skip
async def test_a_host_that_names_this_machine_is_accepted(serving: Serving, echo: Echo, host: str) -> None:
    """Loopback, the address that is listened on, and configured names, with any port, twice."""
    client = await serving.connect(echo, hostnames=("Gateway.example", "10.1.2.3"))
    for _ in range(2):
        assert (await client.ask(request(host=host))).status == 200


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "10.1.2.4", "127.0.0.1/?",
     "localhost, localhost", "user@localhost", "localhost:x", "localhost:123456", "[::1", "::1",
     "127.0.0.1\r\nHost: 127.0.0.1", "127.0.0.1\r\nhost: evil.example", "local host", "loc\u00e4lhost",
     "[::2]", "0.0.0.0", "2130706433"],
)  # fmt: skip
async def test_a_host_that_does_not_is_refused(serving: Serving, echo: Echo, host: str | None) -> None:
    """None at all, several, and what a rebound name sends."""
    client = await serving.connect(echo, hostnames=("gateway.example",))
    answer = await client.ask(request(host=host))
    assert answer.status == 400
    assert answer.headers["connection"] == "close"
    assert await client.ended() == b""
    assert not echo.requests


async def test_a_targets_own_host_is_held_to_the_same(serving: Serving, echo: Echo) -> None:
    """It overrides the field (RFC 9112, section 3.2.2)."""
    client = await serving.connect(echo)
    answer = await client.ask(request("GET", "http://evil.example/v1/models"))
    assert answer.status == 400
    assert b"evil.example" in answer.body


async def test_a_refused_name_is_said_with_what_to_do(serving: Serving, echo: Echo) -> None:
    """A person who put a name in front of this machine sees why it does not work."""
    client = await serving.connect(echo)
    answer = await client.ask(request(host="gateway.example:8080"))
    assert b"does not go by the name 'gateway.example'" in answer.body
    assert b"hostnames" in answer.body
