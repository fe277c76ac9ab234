"""Which connections are used again, and what happens when the other side has given one up."""

from __future__ import annotations

import asyncio

import pytest

from shareai_cli.errors import ConnectionRefused, ConnectionReset, MalformedReply
from tests.support.behaviours import Behaviour, chat, reply, silence, status, stream
from tests.support.upstream import FaultUpstream
from tests.support.waiting import until
from tests.wire.asking import GAP, HEAD, LIMIT, TIMEOUTS, Asking, ask, begin, ended, pieces, send


def used(upstream: FaultUpstream) -> list[int]:
    """Return which connection each request came over."""
    return [request.connection for request in upstream.requests]


async def test_one_connection_serves_requests_that_follow_each_other(asking: Asking) -> None:
    """Whatever their replies' framing."""
    async with FaultUpstream([chat(), stream("a"), reply(b""), chat()]) as upstream:
        pool = asking.pool(upstream)
        for _ in range(4):
            await ask(pool, streamed=True)
    assert used(upstream) == [1, 1, 1, 1]


async def test_the_connection_used_last_is_used_first(asking: Asking) -> None:
    """So that those too many become idle and end."""
    async with FaultUpstream() as upstream:
        pool = asking.pool(upstream)
        first, second = await send(pool), await send(pool)
        await second.read(LIMIT)
        await first.read(LIMIT)
        await ask(pool)
        assert used(upstream) == [1, 2, 1]
        assert repr(pool).endswith("[0 active, 2 idle]>")


async def test_requests_at_once_have_a_connection_each_and_their_own_reply(asking: Asking) -> None:
    """Fifty of them, over and over."""
    async with FaultUpstream(default=lambda request: reply(request.path.encode())) as upstream:
        pool = asking.pool(upstream)

        async def several(name: int) -> None:
            for turn in range(5):
                path = b"/%d/%d" % (name, turn)
                question = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\n"
                answer = await pool.send(question, b"{}", TIMEOUTS)
                await asyncio.sleep(0)
                assert await answer.read(LIMIT) == path

        await asyncio.gather(*(several(name) for name in range(50)))
    assert upstream.accepted == 50


async def test_a_connection_is_not_used_again_before_its_reply_was_taken(asking: Asking) -> None:
    """A complete reply that waits keeps its connection, and its bytes."""
    async with FaultUpstream([reply(b"first"), reply(b"second"), reply(b"third")]) as upstream:
        pool = asking.pool(upstream)
        first = await send(pool)
        await until(lambda: first.complete)
        assert await ask(pool) == (200, b"second")
        assert await first.read(LIMIT) == b"first"
        assert await ask(pool) == (200, b"third")
    assert used(upstream) == [1, 2, 1]


@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_given_up_while_idle_is_not_used(asking: Asking, reset: bool) -> None:
    """Its end was seen."""
    async with FaultUpstream() as upstream:
        pool = asking.pool(upstream)
        await ask(pool)
        upstream.drop(reset=reset)
        await until(lambda: "0 idle" in repr(pool))
        await ask(pool)
    assert used(upstream) == [1, 2]


@pytest.mark.parametrize("fault", [chat().end(), chat().reset()])
async def test_a_reused_connection_that_ends_before_any_byte_is_asked_once_more(
    asking: Asking, fault: Behaviour
) -> None:
    """On a fresh connection, the same request, and nobody notices."""
    async with FaultUpstream([chat(), fault, reply(b"again")]) as upstream:
        pool = asking.pool(upstream)
        await ask(pool)
        assert await ask(pool) == (200, b"again")
    assert used(upstream) == [1, 1, 2]
    assert upstream.requests[1].body == upstream.requests[2].body


async def test_a_close_that_crosses_a_request_costs_nothing(asking: Asking) -> None:
    """Ten upstreams that close every connection after its reply, without saying so."""
    async with FaultUpstream(default=chat().closing()) as upstream:
        pool = asking.pool(upstream)
        for _ in range(50):
            assert (await ask(pool))[0] == 200


async def test_a_fresh_connection_that_ends_is_not_asked_again(asking: Asking) -> None:
    """Neither the first time, nor after a reused one had ended."""
    async with FaultUpstream([chat().end(), chat(), chat().end(), chat().end(), chat()]) as upstream:
        pool = asking.pool(upstream)
        with pytest.raises(ConnectionReset):
            await ask(pool)
        await ask(pool)
        with pytest.raises(ConnectionReset):
            await ask(pool)
        assert used(upstream) == [1, 2, 2, 3]


async def test_an_upstream_that_hangs_up_when_it_is_called_is_a_reset(asking: Asking) -> None:
    """Whether the request went out or not."""
    server = await asyncio.start_server(lambda _, writer: writer.transport.abort(), "127.0.0.1", 0)
    pool = asking.pool(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    for _ in range(20):
        with pytest.raises(ConnectionReset):
            await ask(pool)
    assert repr(pool).endswith("[0 active, 0 idle]>")
    server.close()
    await server.wait_closed()


async def test_many_idle_connections_that_ended_cost_one_repetition(asking: Asking) -> None:
    """The next one is a fresh connection, not the next idle one."""
    async with FaultUpstream([chat(), chat(), chat().end(), chat()]) as upstream:
        pool = asking.pool(upstream)
        first, second = await send(pool), await send(pool)
        await first.read(LIMIT)
        await second.read(LIMIT)
        assert (await ask(pool))[0] == 200
    assert used(upstream) == [1, 2, 2, 3]


@pytest.mark.parametrize("fault", [chat().end(at=1), chat().reset(at=20)])
async def test_a_reused_connection_that_ends_within_the_reply_is_not_asked_again(
    asking: Asking, fault: Behaviour
) -> None:
    """The request was taken: twice might cost twice."""
    async with FaultUpstream([chat(), fault, chat()]) as upstream:
        pool = asking.pool(upstream)
        await ask(pool)
        with pytest.raises(ConnectionReset):
            await ask(pool)
    assert len(upstream.requests) == 2


async def test_a_repetition_that_finds_nobody_says_so(asking: Asking) -> None:
    """The upstream is gone for good."""
    async with FaultUpstream([chat(), chat().end()]) as upstream:
        pool = asking.pool(upstream)
        await ask(pool)
        await upstream.stop_listening()
        with pytest.raises(ConnectionRefused):
            await ask(pool)


async def test_bytes_that_nobody_asked_for_end_an_idle_connection(asking: Asking) -> None:
    """They would be taken for the next reply."""
    async with FaultUpstream() as upstream:
        pool = asking.pool(upstream)
        await ask(pool)
        upstream.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await ended(upstream)
        assert b"evil" not in (await ask(pool))[1]
    assert used(upstream) == [1, 2]


async def test_bytes_that_nobody_asked_for_leave_a_reply_that_waits_whole(asking: Asking) -> None:
    """Only the connection ends."""
    async with FaultUpstream([reply(b"mine")]) as upstream:
        pool = asking.pool(upstream)
        first = await send(pool)
        await until(lambda: first.complete)
        upstream.say(b"evil")
        await ended(upstream)
        assert await first.read(LIMIT) == b"mine"
        assert repr(pool).endswith("[0 active, 0 idle]>")


async def test_idle_connections_end_after_their_time(asking: Asking) -> None:
    """Before the other side would end them."""
    async with FaultUpstream() as upstream:
        pool = asking.pool(upstream, idle_seconds=30.0)
        await ask(pool)
        asking.pass_time(29.0)
        await ask(pool)
        asking.pass_time(29.0)
        assert upstream.open == 1
        asking.pass_time(1.1)
        await ended(upstream)
        await ask(pool)
    assert used(upstream) == [1, 1, 2]


async def test_an_upstream_can_announce_a_shorter_idle_time(asking: Asking) -> None:
    """In a Keep-Alive field, of which a part is used."""
    async with FaultUpstream([reply(b"", headers={"Keep-Alive": "timeout=5, max=100"})]) as upstream:
        pool = asking.pool(upstream, idle_seconds=30.0)
        await ask(pool)
        asking.pass_time(3.9)
        assert upstream.open == 1
        asking.pass_time(0.2)
        await ended(upstream)


async def test_no_more_than_the_most_idle_connections_are_kept(asking: Asking) -> None:
    """The others end with their reply."""
    async with FaultUpstream() as upstream:
        pool = asking.pool(upstream, most_idle=2)
        replies = [await send(pool) for _ in range(4)]
        for one in replies:
            await one.read(LIMIT)
        await until(lambda: upstream.open == 2)


async def test_giving_up_a_reply_under_way_ends_its_connection(asking: Asking) -> None:
    """Which is how the upstream learns that nobody listens; twice does no harm."""
    async with FaultUpstream([stream("a", "b").stall(after=2), chat()]) as upstream:
        pool = asking.pool(upstream)
        reply = await send(pool, streamed=True)
        assert await reply.next(GAP)
        reply.abort()
        reply.abort()
        await ended(upstream)
        with pytest.raises(ConnectionReset):
            await reply.next(GAP)
        await ask(pool)
    assert used(upstream) == [1, 2]


async def test_giving_up_a_complete_reply_keeps_its_connection(asking: Asking) -> None:
    """Taken or not."""
    async with FaultUpstream() as upstream:
        pool = asking.pool(upstream)
        taken, left = await send(pool), None
        await taken.read(LIMIT)
        taken.abort()
        left = await send(pool)
        await until(lambda: left.complete)
        left.abort()
        left.abort()
        await ask(pool)
    assert used(upstream) == [1, 1, 1]


@pytest.mark.parametrize("behaviour", [silence(), chat().stall(at=30)])
async def test_cancelling_a_request_ends_its_connection(asking: Asking, behaviour: Behaviour) -> None:
    """Before its reply's head."""
    async with FaultUpstream([behaviour]) as upstream:
        asked = begin(asking.pool(upstream))
        await until(lambda: upstream.requests)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await ended(upstream)


@pytest.mark.parametrize("by_piece", [False, True])
async def test_cancelling_who_waits_for_a_body_ends_its_connection(asking: Asking, by_piece: bool) -> None:
    """A client that left."""
    async with FaultUpstream([chat().stall(after=1)]) as upstream:
        reply = await send(asking.pool(upstream))
        waits = reply.next(GAP) if by_piece else reply.read(LIMIT)
        waiting = asyncio.get_running_loop().create_task(waits)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await ended(upstream)


async def test_who_waits_learns_that_somebody_else_gave_the_reply_up(asking: Asking) -> None:
    """Nobody waits for ever."""
    async with FaultUpstream([chat().stall(after=1)]) as upstream:
        reply = await send(asking.pool(upstream))
        waiting = asyncio.get_running_loop().create_task(reply.read(LIMIT))
        await asyncio.sleep(0)
        reply.abort()
        with pytest.raises(ConnectionReset):
            await waiting


async def test_an_answer_that_comes_before_the_request_was_sent_is_the_connections_last(
    asking: Asking,
) -> None:
    """What is left of the request would be read as the next one."""
    async with FaultUpstream([status(413), chat()], reads=False) as upstream:
        pool = asking.pool(upstream)
        answer = await pool.send(HEAD % b"POST", b"x" * (32 << 20), TIMEOUTS)
        assert answer.status == 413
        assert b"error" in await answer.read(LIMIT)
        await until(lambda: repr(pool).endswith("[0 active, 0 idle]>"))


async def test_a_closed_pool_lets_replies_end_and_keeps_nothing(asking: Asking) -> None:
    """What still holds it can still ask."""
    gate = asyncio.Event()
    async with FaultUpstream([chat(), stream("a", "b").stall(after=2, until=gate), chat()]) as upstream:
        pool = asking.pool(upstream)
        streaming = None
        await ask(pool)
        streaming = await send(pool, streamed=True)
        await pool.close()
        gate.set()
        assert b"[DONE]" in b"".join(await pieces(streaming))
        await ended(upstream)
        assert (await ask(pool))[0] == 200
        await ended(upstream)


async def test_an_aborted_pool_ends_every_reply(asking: Asking) -> None:
    """Those under way fail."""
    async with FaultUpstream(default=silence()) as upstream:
        pool = asking.pool(upstream)
        asked = begin(pool)
        await until(lambda: upstream.requests)
        pool.abort()
        with pytest.raises(ConnectionReset):
            await asked
        await ended(upstream)


async def test_a_broken_reply_does_not_stay_in_the_pool(asking: Asking) -> None:
    """The next request begins on a fresh connection."""
    async with FaultUpstream([reply(b"", headers={"Transfer-Encoding": "chunked"}), chat()]) as upstream:
        pool = asking.pool(upstream)
        with pytest.raises(MalformedReply):
            await ask(pool)
        assert (await ask(pool))[0] == 200
    assert used(upstream) == [1, 2]
