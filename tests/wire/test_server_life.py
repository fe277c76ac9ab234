"""A server's beginning and end, its bounds on connections, and changes while it runs."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref

import pytest

from shareai_cli.errors import AddressInUse, StateError
from shareai_cli.wire.deadlines import Deadlines
from shareai_cli.wire.server import Request, Response, Server, ServerLimits
from shareai_cli.wire.server_connection import ServerConnection
from tests.support.waiting import until
from tests.wire.serving import Echo, Held, Pieces, Serving, refuse, request


@pytest.fixture
def echo() -> Echo:
    return Echo()


# -- beginning


async def test_a_port_that_is_taken_is_said(serving: Serving, echo: Echo) -> None:
    """With the port, and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AddressInUse, match=rf"Port {port} on 127\.0\.0\.1 is in use.*--port"):
            await Server(echo, refuse=refuse).start("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("192.0.2.1", "192.0.2.1 is no address of this machine"),
        ("gateway.invalid", "There is no address 'gateway.invalid'"),
    ],
)
async def test_an_address_that_is_not_ours_is_said(echo: Echo, host: str, said: str) -> None:
    """192.0.2.0/24 is nobody's (RFC 5737), and so are names under .invalid."""
    with pytest.raises(StateError, match=said):
        await Server(echo, refuse=refuse).start(host, 0)


async def test_a_port_that_is_none_is_said(echo: Echo) -> None:
    """Ports end at 65535."""
    with pytest.raises(StateError, match="99999"):
        await Server(echo, refuse=refuse).start("127.0.0.1", 99999)


@pytest.mark.parametrize("host", ["localhost", "::1"])
async def test_other_addresses_are_listened_on(echo: Echo, host: str) -> None:
    """And count as names of this machine."""
    server = Server(echo, refuse=refuse)
    try:
        await server.start(host, 0)
    except StateError:
        pytest.skip("this machine has no IPv6")
    reader, writer = await asyncio.open_connection(host, server.port)
    shown = f"[{host}]" if ":" in host else host
    writer.write(request("GET", "/", "Connection: close", host=f"{shown}:{server.port}"))
    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()
    await writer.wait_closed()
    assert echo.last.peer in ("127.0.0.1", "::1")
    await server.close(0)


async def test_a_server_describes_itself(serving: Serving, echo: Echo) -> None:
    """In a line."""
    server = await serving.start(echo)
    await (await serving.client(server)).ask(request())
    assert repr(server) == f"<Server [port: {server.port}, connections: 1]>"
    assert Server(echo, refuse=refuse).port == 0


# -- bounds


async def test_connections_are_bounded(serving: Serving, echo: Echo) -> None:
    """One too many is told so, and those that are there go on; room is made by leaving."""
    server = await serving.start(echo, limits=ServerLimits(connections=2))
    first, second = [await serving.client(server) for _ in range(2)]
    for client in (first, second):
        assert (await client.ask(request())).status == 200
    third = await serving.client(server)
    answer = await third.ask(request())
    assert answer.status == 503
    assert await third.ended() == b""
    await third.close()
    assert (await first.ask(request())).status == 200
    await second.close()
    await until(lambda: server.connections == 1)
    assert (await (await serving.client(server)).ask(request())).status == 200


async def test_a_flood_of_connections_is_dropped(serving: Serving, echo: Echo) -> None:
    """Those that cannot be told any more take no memory."""
    server = await serving.start(echo, limits=ServerLimits(connections=1))
    first = await serving.client(server)
    await first.ask(request())
    flood = [await serving.client(server) for _ in range(300)]
    assert await flood[-1].ended() == b""
    assert server.connections <= 1 + 256 + 1
    assert (await first.ask(request())).status == 200


async def test_limits_and_names_are_replaced_while_running(serving: Serving, echo: Echo) -> None:
    """For connections that are open, too."""
    server = await serving.start(echo, hostnames=("old.example",))
    client = await serving.client(server)
    sized = request("POST", "/", host="old.example", body=b"x" * 1000)
    assert (await client.ask(sized)).status == 200
    server.replace(limits=ServerLimits(body_bytes=999), hostnames=("new.example",))
    small = request("POST", "/", host="new.example", body=b"x" * 999)
    assert (await client.ask(small)).status == 200
    assert (await client.ask(sized)).status == 400
    large = request("POST", "/", host="new.example", body=b"x" * 1000)
    assert (await (await serving.client(server)).ask(large)).status == 413


async def test_nothing_of_a_connection_stays_in_memory(serving: Serving) -> None:
    """However it ended."""
    kept: list[weakref.ref[object]] = []

    class Witness:
        """Stands for what a handler's frame refers to."""

    async def handle(request: Request) -> Response:
        witness = Witness()
        kept.append(weakref.ref(witness))
        if request.path == "/wait":
            await asyncio.Event().wait()
        if request.path == "/fail":
            raise ValueError("no")
        return Response(200, [], b"ok")

    server = await serving.start(handle)
    gc.collect()
    gc.disable()
    try:
        for path in ("/", "/wait", "/fail"):
            client = await serving.client(server)
            await client.send(request("GET", path))
            if path != "/wait":
                await client.answer()
            await until(lambda: kept)
            client.leave()
            await until(lambda: not server.connections)
            await asyncio.sleep(0.01)
        assert [one() for one in kept] == [None, None, None]
    finally:
        gc.enable()


class Unconnected(asyncio.Transport):
    """A transport without a network, whose protocol learns at once that it is lost."""

    def __init__(self, protocol: ServerConnection) -> None:
        super().__init__()
        self.protocol = protocol

    def abort(self) -> None:
        self.protocol.connection_lost(None)


async def test_a_connection_that_is_lost_before_its_task_began_is_forgotten(echo: Echo) -> None:
    """A task that is cancelled so early runs nothing of its own."""
    server = Server(echo, refuse=refuse)
    connection = ServerConnection(server)
    connection.connection_made(Unconnected(connection))
    connection.data_received(request("POST", "/", body=b"hello"))
    connection.abort()
    await until(lambda: not server.connections)
    assert server.admission.held == 0
    assert not echo.requests
    await server.close(0)


# -- end


async def test_closing_ends_idle_connections_at_once(serving: Serving, echo: Echo) -> None:
    """Those that have never asked anything, too, and nobody is let in any more."""
    server = await serving.start(echo)
    used, fresh = await serving.client(server), await serving.client(server)
    await used.ask(request())
    await until(lambda: server.connections == 2)
    port = server.port
    async with asyncio.timeout(5):
        await server.close(60)
    assert (server.connections, server.port) == (0, 0)
    assert await used.ended() == await fresh.ended() == b""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_closing_waits_for_requests_under_way(serving: Serving) -> None:
    """Their replies say that the connection ends; one that is half received is under way."""
    held = Held()
    server = await serving.start(held)
    asked, half = await serving.client(server), await serving.client(server)
    await asked.send(request("GET", "/asked"))
    await until(lambda: held.begun)
    whole = request("POST", "/half", body=b"hello")
    await half.send(whole[:-3])
    await until(lambda: server.admission.held)
    closing = asyncio.get_running_loop().create_task(server.close(60))
    await asyncio.sleep(0.05)
    await half.send(whole[-3:])
    held.gate.set()
    for client, body in ((asked, b"/asked"), (half, b"/half")):
        answer = await client.answer()
        assert answer.body == body
        assert answer.headers["connection"] == "close"
        assert await client.ended() == b""
    await closing


async def test_closing_lets_streams_end(serving: Serving) -> None:
    """They began before anybody knew."""
    pieces = Pieces(b"first", waits=True)
    server = await serving.start(pieces)
    client = await serving.client(server)
    await client.send(request())
    assert (await client.head())[0] == 200
    closing = asyncio.get_running_loop().create_task(server.close(60))
    await asyncio.sleep(0.05)
    assert not closing.done()
    pieces.gate.set()
    assert [chunk async for chunk in client.chunks()] == [b"first"]
    assert await client.ended() == b""
    await closing


@pytest.mark.parametrize("stubborn", [False, True])
async def test_closing_cuts_off_what_takes_too_long(serving: Serving, stubborn: bool) -> None:
    """Handlers are cancelled, and their clean-up waited for; streams are closed."""
    ended: list[str] = []
    pieces = Pieces(b"first", waits=True)

    async def handle(request: Request) -> Response:
        if request.path == "/stream":
            return Response(200, [], pieces)
        try:
            await asyncio.Event().wait()
        finally:
            if stubborn:
                await asyncio.sleep(0.1)
            ended.append(request.path)
        return Response(200, [])

    server = await serving.start(handle)
    asked, streamed = await serving.client(server), await serving.client(server)
    await asked.send(request("GET", "/wait"))
    await streamed.send(request("GET", "/stream"))
    await streamed.head()
    await server.close(0.05)
    assert server.connections == 0
    assert ended == ["/wait"]
    assert pieces.closed == 1


async def test_closing_twice_and_without_a_start_does_no_harm(echo: Echo) -> None:
    """It is what one does when something else went wrong."""
    server = Server(echo, refuse=refuse)
    await server.close(1)
    await server.start("127.0.0.1", 0)
    await server.close(1)
    await server.close(1)


async def test_the_loop_can_end_while_requests_are_under_way(serving: Serving) -> None:
    """A cancellation from outside ends the task, it is no failure to be answered."""
    held = Held()
    server = await serving.start(held)
    client = await serving.client(server)
    await client.send(request())
    await until(lambda: held.begun)
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task():
            task.cancel()
    await until(lambda: held.cancelled)
    assert await client.ended() == b""


async def test_a_server_without_deadlines_of_others_has_its_own(echo: Echo) -> None:
    """They end with it; those of others go on."""
    others = Deadlines()
    for deadlines in (None, others):
        server = Server(echo, refuse=refuse, deadlines=deadlines, limits=ServerLimits(head_seconds=0.05))
        await server.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        await server.close(1)
    others.close()
