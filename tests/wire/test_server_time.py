"""Time limits of a server, by a clock that the test moves."""

from __future__ import annotations

import asyncio

import pytest

from shareai_cli.wire.server import Server, ServerLimits
from tests.support.waiting import until
from tests.wire.serving import CHUNKED, Client, Echo, Held, Serving, chunked, request

LIMITS = ServerLimits(head_seconds=10, idle_seconds=75, least_body_rate=100, rate_seconds=10)


@pytest.fixture
def echo() -> Echo:
    return Echo()


async def connected(serving: Serving, echo: Echo) -> tuple[Server, Client]:
    server = await serving.start(echo, limits=LIMITS)
    client = await serving.client(server)
    await until(lambda: server.connections == 1)
    return server, client


async def took(client: Client, data: bytes) -> None:
    """Send, and let the server read it: it runs on this loop."""
    await client.send(data)
    for _ in range(5):
        await asyncio.sleep(0.002)


async def timed_out(client: Client) -> str:
    answer = await client.answer()
    assert answer.status == 408
    assert answer.headers["connection"] == "close"
    assert await client.ended() == b""
    return answer.body.decode()


@pytest.mark.parametrize("first", [True, False])
async def test_a_head_has_ten_seconds(serving: Serving, echo: Echo, first: bool) -> None:
    """From its first byte, however often another one comes, on a fresh connection and on a used one."""
    _, client = await connected(serving, echo)
    if not first:
        await client.ask(request())
        serving.pass_time(60)
    await took(client, b"GET / HTTP/1.1\r\n")
    for _ in range(3):
        serving.pass_time(3)
        await took(client, b"X-Slow: 1\r\n")
    serving.pass_time(0.9)
    await took(client, b"X-Slow: 1\r\n")
    serving.pass_time(0.2)
    assert "head took too long" in await timed_out(client)
    assert len(echo.requests) == (0 if first else 1)


async def test_a_head_in_time_is_served(serving: Serving, echo: Echo) -> None:
    """And the time counts anew for the next one."""
    _, client = await connected(serving, echo)
    for _ in range(3):
        await took(client, b"GET / HTTP/1.1\r\n")
        serving.pass_time(9)
        assert (await client.ask(b"Host: localhost\r\n\r\n")).status == 200


async def test_a_connection_without_a_request_is_closed(serving: Serving, echo: Echo) -> None:
    """Quietly: nobody has asked for anything."""
    server, client = await connected(serving, echo)
    serving.pass_time(9)
    assert server.connections == 1
    serving.pass_time(1)
    assert await client.ended() == b""


async def test_an_idle_connection_is_kept_for_75_seconds(serving: Serving, echo: Echo) -> None:
    """After each reply."""
    server, client = await connected(serving, echo)
    for _ in range(3):
        await client.ask(request())
        serving.pass_time(74)
        assert server.connections == 1
    serving.pass_time(1)
    assert await client.ended() == b""
    await until(lambda: server.connections == 0)


@pytest.mark.parametrize("fields", [("Content-Length: 1000000",), (CHUNKED,)])
async def test_a_body_has_a_least_rate(serving: Serving, echo: Echo, fields: tuple[str, ...]) -> None:
    """On average over ten seconds: one that keeps it is waited for, one that falls behind is refused."""
    _, client = await connected(serving, echo)
    is_chunked = CHUNKED in fields
    await took(client, request("POST", "/", *fields))
    for size in (1000, 5000, 1001):
        await took(client, chunked(b"x" * size, end=b"") if is_chunked else b"x" * size)
        serving.pass_time(10)
        assert not client.reader.at_eof()
    await took(client, chunked(b"x" * 999, end=b"") if is_chunked else b"x" * 999)
    serving.pass_time(10)
    assert "body came too slowly" in await timed_out(client)
    assert not echo.requests


async def test_framing_is_no_body(serving: Serving, echo: Echo) -> None:
    """Chunk extensions do not keep a connection open."""
    _, client = await connected(serving, echo)
    await took(client, request("POST", "/", CHUNKED) + b"5;")
    for _ in range(3):
        await took(client, b"x" * 2000)
        serving.pass_time(3)
    serving.pass_time(2)
    await timed_out(client)


async def test_a_client_that_waits_for_100_and_then_sends_nothing_is_refused(
    serving: Serving, echo: Echo
) -> None:
    """Its body is awaited like any other."""
    _, client = await connected(serving, echo)
    await client.send(request("POST", "/", "Expect: 100-continue", "Content-Length: 5"))
    assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    serving.pass_time(10)
    await timed_out(client)


async def test_an_answer_may_take_as_long_as_it_likes(serving: Serving) -> None:
    """Its time is the handler's to limit."""
    held = Held()
    client = await serving.connect(held, limits=LIMITS)
    await client.send(request())
    await until(lambda: held.begun)
    for _ in range(10):
        serving.pass_time(1000)
    held.gate.set()
    assert (await client.answer()).status == 200


async def test_what_was_sent_ahead_in_part_has_its_time_after_the_reply(serving: Serving) -> None:
    """The time that the reply before took is not the client's."""
    held = Held()
    client = await serving.connect(held, limits=LIMITS)
    await client.send(request("GET", "/1"))
    await until(lambda: held.begun)
    await took(client, b"GET /2 HTTP/1.1\r\n")
    serving.pass_time(100)
    held.gate.set()
    assert (await client.answer()).body == b"/1"
    serving.pass_time(9)
    assert (await client.ask(b"Host: localhost\r\n\r\n")).body == b"/2"


@pytest.mark.parametrize("closes", [True, False])
async def test_a_refused_client_that_stays_is_cut_off(serving: Serving, echo: Echo, closes: bool) -> None:
    """It has two seconds to read why, and may close before."""
    server, client = await connected(serving, echo)
    answer = await client.ask(b"rubbish\r\n\r\n")
    assert answer.status == 400
    assert await client.ended() == b""
    if closes:
        client.leave()
    else:
        await took(client, request())
        assert server.connections == 1
        serving.pass_time(2.1)
    await until(lambda: server.connections == 0)
    assert not echo.requests
