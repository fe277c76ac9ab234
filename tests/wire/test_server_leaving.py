"""Clients that leave: whatever is done for them ends within a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from shareai_cli.wire.message import Request, Response
from tests.support.waiting import until
from tests.wire.serving import Client, Held, Pieces, Serving, request

WAYS = ["fin", "reset", "close"]

SOON = 1.0


async def leave(client: Client, way: str) -> None:
    if way == "fin":
        client.leave()
    elif way == "reset":
        client.reset()
    else:
        client.writer.close()


@pytest.mark.parametrize("way", WAYS)
async def test_a_handler_is_cancelled_when_its_client_leaves(serving: Serving, way: str) -> None:
    """A bare FIN is leaving too: nginx takes it so, and nobody would read the reply."""
    held = Held()
    server = await serving.start(held)
    client = await serving.client(server)
    await client.send(request())
    await until(lambda: held.begun)
    await leave(client, way)
    await until(lambda: held.cancelled and not server.connections, SOON)


@pytest.mark.parametrize("number", [1, 3])
async def test_a_client_that_leaves_with_its_request_is_forgotten(serving: Serving, number: int) -> None:
    """Before anything was begun for it, all that was taken in is let go."""
    held = Held()
    server = await serving.start(held)
    for _ in range(10):
        client = await serving.client(server)
        client.writer.write(request("POST", "/", body=b"hello") * number)
        client.leave()
        assert await client.ended() == b""
    await until(lambda: not server.connections, SOON)
    assert server.admission.held == 0
    assert held.begun == held.cancelled


@pytest.mark.parametrize("way", WAYS)
async def test_requests_that_wait_for_another_are_not_begun_for_nobody(serving: Serving, way: str) -> None:
    """Only the one that was being answered was begun, and it alone cancelled."""
    held = Held()
    server = await serving.start(held)
    client = await serving.client(server)
    await client.send(request() * 5)
    await until(lambda: held.begun)
    await leave(client, way)
    await until(lambda: not server.connections, SOON)
    assert (held.begun, held.cancelled) == (1, 1)


@pytest.mark.parametrize("way", WAYS)
async def test_a_silent_stream_is_cancelled_and_closed(serving: Serving, way: str) -> None:
    """Its clean-up is waited for."""
    pieces = Pieces(b"first", waits=True)
    server = await serving.start(pieces)
    client = await serving.client(server)
    await client.send(request())
    await client.head()
    await leave(client, way)
    await until(lambda: not server.connections, SOON)
    assert (pieces.cancelled, pieces.closed) == (1, 1)


@pytest.mark.parametrize("way", WAYS)
async def test_a_stream_that_waits_for_its_first_piece_is_too(serving: Serving, way: str) -> None:
    """No head has gone out yet."""
    pieces = Pieces(waits=True)
    server = await serving.start(pieces)
    client = await serving.client(server)
    await client.send(request())
    await asyncio.sleep(0.02)
    await leave(client, way)
    await until(lambda: not server.connections, SOON)
    assert (pieces.cancelled, pieces.closed) == (1, 1)


@pytest.mark.parametrize("way", ["fin", "reset"])
async def test_a_stream_to_a_client_that_takes_nothing_ends_when_it_leaves(
    serving: Serving, way: str
) -> None:
    """Reading goes on while writing waits, else the end would go unseen."""
    pieces = Pieces(endless=b"x" * 16384)
    server = await serving.start(pieces)
    client = await serving.client(server, receive_bytes=4096)
    client.reader._transport.pause_reading()  # type: ignore[attr-defined] # takes nothing at all
    await client.send(request())
    given = -1
    while given != pieces.given or not given:
        given = pieces.given
        await asyncio.sleep(0.05)
    await leave(client, way)
    await until(lambda: not server.connections, SOON)
    assert pieces.closed == 1


async def test_a_stream_that_never_waits_ends_when_its_client_leaves(serving: Serving) -> None:
    """Writing tells it, where reading had no turn."""
    pieces = Pieces(endless=b"x")
    server = await serving.start(pieces)
    client = await serving.client(server)
    await client.send(request())
    await client.head()
    client.reset()
    await until(lambda: not server.connections)
    assert pieces.closed == 1


async def test_a_generators_own_clean_up_runs(serving: Serving) -> None:
    """With its awaits."""
    ended: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            ended.append("yes")

    async def handle(request: Request) -> Response:
        return Response(200, [], pieces())

    server = await serving.start(handle)
    client = await serving.client(server)
    await client.send(request())
    await client.head()
    client.leave()
    await until(lambda: not server.connections, SOON)
    assert ended == ["yes"]


async def test_a_handler_that_will_not_be_cancelled_writes_to_nobody(serving: Serving) -> None:
    """What it answers after all is dropped, and a stream that it made closed."""
    pieces = Pieces(b"for nobody")
    begun = asyncio.Event()

    async def handle(request: Request) -> Response:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
        return Response(200, [], pieces)

    server = await serving.start(handle)
    client = await serving.client(server)
    await client.send(request())
    await begun.wait()
    client.leave()
    await until(lambda: not server.connections, SOON)
    assert pieces.closed == 1


async def test_the_end_of_half_a_request_is_no_request(serving: Serving) -> None:
    """Whatever of it has come."""
    held = Held()
    server = await serving.start(held)
    whole = request("POST", "/", body=b"hello")
    for size in (0, 1, 10, len(whole) - 6, len(whole) - 1):
        client = await serving.client(server)
        await client.send(whole[:size])
        client.leave()
        assert await client.ended() == b""
    await until(lambda: not server.connections)
    assert not held.begun


async def test_leaving_after_the_reply_is_quiet(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    """It is how connections end."""
    held = Held()
    held.gate.set()
    server = await serving.start(held)
    for way in WAYS:
        client = await serving.client(server)
        assert (await client.ask(request())).status == 200
        await leave(client, way)
    await until(lambda: not server.connections)
    assert not held.cancelled
    assert not caplog.text
