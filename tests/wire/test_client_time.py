"""Time limits: for a connection, the head, a gap between pieces, and the whole reply; and back-pressure."""

from __future__ import annotations

import asyncio

import pytest

from shareai_cli.errors import TruncatedReply, UpstreamTimeout
from shareai_cli.wire.client import Timeouts
from tests.support.behaviours import Behaviour, chat, endless_body, raw, reply, silence, stream
from tests.support.upstream import FaultUpstream, unanswered_port
from tests.support.waiting import until
from tests.wire.asking import GAP, HEAD, LIMIT, TIMEOUTS, Asking, ask, begin, ended, pieces, send


@pytest.mark.parametrize(
    "behaviour", [silence(), chat().stall(at=30), raw(b"HTTP/1.1 100 C\r\n\r\n").stall(at=17)]
)
async def test_a_head_that_does_not_come_in_time_is_given_up(asking: Asking, behaviour: Behaviour) -> None:
    """Whatever of it came; the connection ends."""
    async with FaultUpstream([behaviour]) as upstream:
        asked = begin(asking.pool(upstream))
        await until(lambda: upstream.requests)
        await asyncio.sleep(0.02)
        asking.pass_time(29.9)
        assert not asked.done()
        asking.pass_time(0.2)
        with pytest.raises(UpstreamTimeout) as caught:
            await asked
        assert caught.value.phase == "head"
        await ended(upstream)


async def test_only_silence_that_somebody_waits_through_counts(asking: Asking) -> None:
    """A client that takes its time is no fault of the upstream's."""
    gate = asyncio.Event()
    async with FaultUpstream([stream("a", "b").stall(after=2, until=gate)]) as upstream:
        reply = await send(asking.pool(upstream), streamed=True)
        await until(lambda: reply.waiting)
        await reply.next(GAP)
        asking.pass_time(3 * GAP)
        gate.set()
        assert b"[DONE]" in b"".join(await pieces(reply))


async def test_a_gap_begins_anew_with_every_piece(asking: Asking) -> None:
    """Only the one that is too long ends the reply, and what had come is not lost."""
    gates = [asyncio.Event(), asyncio.Event()]
    first = stream("a", "b", "c").stall(after=2, until=gates[0])
    async with FaultUpstream([first, stream("a", "b").stall(after=2)]) as upstream:
        pool = asking.pool(upstream)
        reply = await send(pool, streamed=True)
        taken = asyncio.get_running_loop().create_task(pieces(reply))
        await asyncio.sleep(0.05)
        asking.pass_time(GAP - 1)
        gates[0].set()
        assert b"[DONE]" in b"".join(await taken)
        asking.pass_time(2)
        reply = await send(pool, streamed=True)
        taken = asyncio.get_running_loop().create_task(pieces(reply))
        await asyncio.sleep(0.05)
        asking.pass_time(GAP + 1)
        with pytest.raises(UpstreamTimeout) as caught:
            await taken
        assert caught.value.phase == "gap"


@pytest.mark.parametrize("behaviour", [chat().stall(after=1), stream("a").stall(after=2), endless_body(b"x")])
async def test_a_reply_as_a_whole_is_bounded(asking: Asking, behaviour: Behaviour) -> None:
    """Whether it is silent or not."""
    async with FaultUpstream([behaviour.spaced(0.01)]) as upstream:
        pool = asking.pool(upstream)
        asked = begin(pool, streamed=True, timeouts=Timeouts(10, 30, 60))
        await until(lambda: upstream.requests)
        await asyncio.sleep(0.05)
        asking.pass_time(59.0)
        await asyncio.sleep(0.02)
        assert not asked.done()
        asking.pass_time(1.5)
        with pytest.raises(UpstreamTimeout) as caught:
            await asked
        assert caught.value.phase == "total"
        await ended(upstream)


async def test_reading_a_body_whole_can_be_bounded_by_gaps_too(asking: Asking) -> None:
    """Each piece begins one anew."""
    gate = asyncio.Event()
    slow = stream("a", "b", "c").stall(after=3, until=gate)
    async with FaultUpstream([slow, stream("a", "b").stall(after=3)]) as upstream:
        pool = asking.pool(upstream)
        for ends in (True, False):
            answer = await send(pool, streamed=True)
            read = asyncio.get_running_loop().create_task(answer.read(LIMIT, GAP))
            await asyncio.sleep(0)  # the reading has begun, and with it the first gap
            await until(lambda answer=answer: b'"a"' in b"".join(answer.pieces))  # type: ignore[misc]
            asking.pass_time(GAP - 1)
            assert not read.done()
            if ends:
                gate.set()
                assert b"[DONE]" in await read
        asking.pass_time(2)
        with pytest.raises(UpstreamTimeout) as caught:
            await read
        assert caught.value.phase == "gap"


async def test_a_total_shorter_than_the_head_counts(asking: Asking) -> None:
    """The narrowest limit does."""
    async with FaultUpstream([silence()]) as upstream:
        asked = begin(asking.pool(upstream), timeouts=Timeouts(10, 30, 5))
        await until(lambda: upstream.requests)
        asking.pass_time(5.1)
        with pytest.raises(UpstreamTimeout) as caught:
            await asked
        assert caught.value.phase == "total"


async def test_a_limit_that_passed_on_a_reused_connection_is_no_reason_to_ask_again(asking: Asking) -> None:
    """The request was taken."""
    async with FaultUpstream([chat(), silence(), chat()]) as upstream:
        pool = asking.pool(upstream)
        await ask(pool)
        asked = begin(pool)
        await until(lambda: len(upstream.requests) == 2)
        asking.pass_time(31.0)
        with pytest.raises(UpstreamTimeout):
            await asked
    assert len(upstream.requests) == 2


async def test_a_connection_that_is_not_made_in_time_is_given_up(asking: Asking) -> None:
    """Neither accepted nor refused."""
    with unanswered_port() as port:
        with pytest.raises(UpstreamTimeout) as caught:
            await ask(asking.pool(f"http://127.0.0.1:{port}/v1"), timeouts=Timeouts(0.1, 30, 600))
        assert caught.value.phase == "connect"


async def test_a_large_request_that_is_still_being_sent_is_not_late(asking: Asking) -> None:
    """Its reply's time begins anew as long as it gets on."""
    gate = asyncio.Event()

    async with FaultUpstream([reply(b"")], reads=gate) as upstream:
        pool = asking.pool(upstream)
        question = pool.send(HEAD % b"POST", b"x" * (32 << 20), TIMEOUTS)
        asked = asyncio.get_running_loop().create_task(question)
        await until(lambda: upstream.accepted)
        await asyncio.sleep(0.1)
        asking.pass_time(30.1)
        gate.set()
        answer = await asked
        assert (answer.status, await answer.read(LIMIT)) == (200, b"")


async def test_an_upstream_is_read_no_faster_than_its_reply_is_taken(asking: Asking) -> None:
    """What waits is bounded, and goes on to the last byte once it is taken."""
    whole = b"0123456789abcdef" * 65536 * 8
    async with FaultUpstream([reply(whole)]) as upstream:
        reply_ = await send(asking.pool(upstream))
        await until(lambda: reply_.waiting > 256 << 10)
        await asyncio.sleep(0.05)
        assert reply_.waiting < 1 << 20
        assert b"".join(await pieces(reply_)) == whole


async def test_a_reply_that_was_taken_by_pieces_can_be_read_to_its_end(asking: Asking) -> None:
    """Also where more than what may wait is still to come."""
    whole = b"0123456789abcdef" * 65536
    async with FaultUpstream([reply(whole), chat()]) as upstream:
        pool = asking.pool(upstream)
        reply_ = await send(pool)
        await until(lambda: reply_.waiting > 256 << 10)
        first = await reply_.next(GAP)
        assert first + await reply_.read(2 << 20) == whole
        assert (await ask(pool))[0] == 200
    assert upstream.accepted == 1


async def test_a_connection_that_was_paused_reads_on_for_the_next_reply(asking: Asking) -> None:
    """Pausing ends with the reply, even one that is given up."""
    async with FaultUpstream([reply(b"x" * 300_000), reply(b"y" * 300_000), reply(b"next")]) as upstream:
        pool = asking.pool(upstream)
        for _ in range(2):
            large = await send(pool)
            await until(lambda large=large: large.waiting > 256 << 10)  # type: ignore[misc]
            await asyncio.sleep(0.02)
            assert len(await large.read(300_000)) == 300_000
        assert await ask(pool) == (200, b"next")


async def test_a_cut_off_while_nobody_reads_is_told_once_all_was_taken(asking: Asking) -> None:
    """After the bytes that came."""
    async with FaultUpstream([reply(b"x" * 200_000, length=300_000).closing()]) as upstream:
        reply_ = await send(asking.pool(upstream))
        await ended(upstream)
        await asyncio.sleep(0.02)
        assert len(await reply_.next(GAP)) == 200_000
        with pytest.raises(TruncatedReply):
            await reply_.next(GAP)
