"""Replies that are poured: each piece is handed over as it comes, and then the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shareai_cli.errors import (
    ConnectionReset,
    MalformedReply,
    TruncatedReply,
    UpstreamError,
    UpstreamTimeout,
)
from shareai_cli.wire.client import Pool, Reply, Timeouts
from tests.support.behaviours import (
    Behaviour,
    Received,
    chat,
    chunk,
    close_delimited,
    endless_body,
    events,
    head,
    raw,
    reply,
)
from tests.support.certificates import Certificates
from tests.support.upstream import FaultUpstream
from tests.support.waiting import turns, until
from tests.wire.asking import GAP, TIMEOUTS, Asking, ask, ended, send

CHUNKED = head(200, {"Transfer-Encoding": "chunked"})
END = b"0\r\n\r\n"

TOGETHER = raw(CHUNKED, chunk(b"one") + chunk(b"two") + END)
APART = raw(CHUNKED, chunk(b"one"), chunk(b"two"), END)
"""Two pieces, in one call or in several, whose first comes once a test has the reply."""


class Poured:
    """What a reply was poured into; `then` is called with each piece, once it is kept."""

    def __init__(self, reply: Reply, gap: float = GAP, then: Callable[[bytes], None] | None = None) -> None:
        self.pieces: list[bytes] = []
        self.ends: list[UpstreamError | None] = []
        self._then = then
        reply.pour(self, gap)

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def received(self, data: bytes) -> None:
        assert data
        assert not self.ends, "a piece after the end"
        self.pieces.append(data)
        if self._then is not None:
            self._then(data)

    def ended(self, failure: UpstreamError | None) -> None:
        self.ends.append(failure)

    async def end(self) -> UpstreamError | None:
        """Wait for the end, which comes once."""
        await until(lambda: self.ends)
        await turns()
        (failure,) = self.ends
        return failure


async def pour(pool: Pool, **options: Any) -> Poured:
    """Ask a question whose answer is poured."""
    return Poured(await send(pool, streamed=True), **options)


async def poured_first(pool: Pool, then: Callable[[Reply], None]) -> tuple[Reply, Poured]:
    """Ask a question, and do something with its reply within the call that brings its first piece."""
    reply = await send(pool, streamed=True)
    left = [then]
    return reply, Poured(reply, then=lambda piece: left.pop()(reply) if left else None)


def counted(piece: bytes, written: list[int]) -> Behaviour:
    """Answer without an end, and count what was written."""

    def parts(request: Received) -> Iterator[bytes]:
        yield CHUNKED
        while True:
            written[0] += 1
            yield chunk(piece)

    return Behaviour(parts)


async def at_rest(written: list[int]) -> int:
    """Wait until nothing more is written, as the other side does not read, and return what was."""
    before = -1
    while before != written[0]:
        before = written[0]
        await asyncio.sleep(0.1)
    return before


# -- pieces, and the end


@pytest.mark.parametrize(
    "behaviour",
    [
        reply(b"onetwo"),
        reply(b"onetwo").sliced(),
        close_delimited(b"onetwo"),
        events(b"one", b"two"),
        events(b"one", b"two").joined(),
        events(b"one", b"two").sliced(),
        events(b"one", b"two").spaced(0.01),
        events(b"one", b"two", delimited_by="close"),
        raw(CHUNKED, chunk(b"one"), chunk(b"two"), b"0\r\nX-Trailer: t\r\n\r\n"),
    ],
)
async def test_every_piece_is_handed_over_and_then_the_end(asking: Asking, behaviour: Behaviour) -> None:
    """However the reply is framed and however it comes; the end once."""
    async with FaultUpstream([behaviour]) as upstream:
        poured = await pour(asking.pool(upstream))
        assert await poured.end() is None
        assert poured.body == b"onetwo"
        asking.pass_time(1000)
        assert poured.ends == [None]


async def test_a_piece_is_handed_over_when_it_comes(asking: Asking) -> None:
    """Nobody waits for the next one."""
    gate = asyncio.Event()
    async with FaultUpstream([events(b"one", b"two").stall(after=2, until=gate)]) as upstream:
        poured = await pour(asking.pool(upstream))
        await until(lambda: poured.pieces)
        await turns()
        assert (poured.body, poured.ends) == (b"one", [])
        gate.set()
        assert await poured.end() is None
        assert poured.body == b"onetwo"


async def test_what_waits_is_handed_over_at_once(asking: Asking) -> None:
    """What was taken before is not; what comes later follows."""
    gates = [asyncio.Event(), asyncio.Event()]
    behaviour = events(b"one", b"two", b"three").stall(after=3, until=gates[1])
    async with FaultUpstream([behaviour.spaced(0.02)]) as upstream:
        answer = await send(asking.pool(upstream))
        first = await answer.next(GAP)
        assert first == b"one"
        await until(lambda: answer.waiting)
        poured = Poured(answer)
        assert poured.pieces == [b"two"]
        gates[1].set()
        assert await poured.end() is None
        assert poured.pieces == [b"two", b"three"]


async def test_a_reply_that_is_complete_is_handed_over_with_its_end(asking: Asking) -> None:
    """Within the call; its connection is free then."""
    async with FaultUpstream([events(b"one", b"two"), chat()]) as upstream:
        pool = asking.pool(upstream)
        answer = await send(pool)
        await until(lambda: answer.complete)
        poured = Poured(answer)
        assert (poured.pieces, poured.ends) == ([b"onetwo"], [None])
        assert (await ask(pool))[0] == 200
        assert upstream.accepted == 1


@pytest.mark.parametrize("behaviour", [reply(b"", 204), reply(b"")])
async def test_a_reply_without_a_body_is_its_end(asking: Asking, behaviour: Behaviour) -> None:
    """No piece comes."""
    async with FaultUpstream([behaviour, chat()]) as upstream:
        pool = asking.pool(upstream)
        poured = await pour(pool)
        assert await poured.end() is None
        assert not poured.pieces
        assert (await ask(pool))[0] == 200
        assert upstream.accepted == 1


async def test_replies_over_tls_are_poured_too(asking: Asking, certificates: Certificates) -> None:
    """And one that ends with its connection is complete only where the other side said so."""
    whole = events(b"one", b"two", delimited_by="close")
    script = [whole, whole.abrupt(after=2), events(b"one", b"two").spaced(0.01)]
    async with FaultUpstream(script, tls=certificates.server()) as upstream:
        pool = asking.pool(upstream, certificates.client())
        for failure, said in ((type(None), b"onetwo"), (TruncatedReply, b"one"), (type(None), b"onetwo")):
            poured = await pour(pool)
            assert type(await poured.end()) is failure
            assert poured.body == said


# -- what goes wrong


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (events(b"one", b"two").end(after=2), TruncatedReply),
        (events(b"one").end(after=2), TruncatedReply),
        (reply(b"one", length=6).closing(), TruncatedReply),
        (events(b"one", b"two").reset(after=2), TruncatedReply),
        (raw(CHUNKED, chunk(b"one"), b"no chunk\r\n"), MalformedReply),
        (raw(CHUNKED, chunk(b"one"), b"no chunk\r\n").joined(), MalformedReply),
    ],
)
async def test_what_came_before_a_failure_is_handed_over_first(
    asking: Asking, behaviour: Behaviour, kind: type[UpstreamError]
) -> None:
    """And the failure once; the connection is not used again."""
    async with FaultUpstream([behaviour]) as upstream:
        pool = asking.pool(upstream)
        poured = await pour(pool)
        assert type(await poured.end()) is kind
        assert poured.body == b"one"
        await ended(upstream)
        assert repr(pool).endswith("[0 active, 0 idle]>")


async def test_a_failure_that_came_before_is_handed_over_with_what_waits(asking: Asking) -> None:
    """Within the call."""
    async with FaultUpstream([reply(b"one", length=6).closing()]) as upstream:
        answer = await send(asking.pool(upstream))
        await until(lambda: answer.failure)
        poured = Poured(answer)
        assert poured.pieces == [b"one"]
        assert type(poured.ends[0]) is TruncatedReply


async def test_framing_without_a_body_is_bounded(asking: Asking) -> None:
    """What the body has of it between its pieces counts anew after each."""
    extension = b"3;" + b"x" * 40_000 + b"\r\none\r\n"
    endless = b"3;" + b"x" * 100_000
    async with FaultUpstream(
        [raw(CHUNKED, extension, extension, extension, endless).stall(after=5)]
    ) as upstream:
        poured = await pour(asking.pool(upstream))
        assert type(await poured.end()) is MalformedReply
        assert poured.body == b"oneoneone"
        await ended(upstream)


async def test_framing_is_no_piece(asking: Asking) -> None:
    """It begins no gap anew only as long as it is borne, and nothing is handed over for it."""
    gate = asyncio.Event()
    behaviour = raw(CHUNKED, chunk(b"one"), b"3;na", b"me\r\ntwo\r\n", END).stall(after=3, until=gate)
    async with FaultUpstream([behaviour.spaced(0.01)]) as upstream:
        poured = await pour(asking.pool(upstream))
        await until(lambda: poured.pieces)
        await asyncio.sleep(0.03)
        assert poured.pieces == [b"one"]
        gate.set()
        assert await poured.end() is None
        assert poured.body == b"onetwo"


async def test_a_pool_that_is_aborted_ends_what_is_poured(asking: Asking) -> None:
    """It fails, as any reply does."""
    async with FaultUpstream([events(b"one").stall(after=2)]) as upstream:
        pool = asking.pool(upstream)
        poured = await pour(pool)
        await until(lambda: poured.pieces)
        pool.abort()
        assert type(await poured.end()) is ConnectionReset


# -- time


async def test_a_gap_begins_anew_with_every_piece(asking: Asking) -> None:
    """The one that is too long ends the reply."""
    gates = [asyncio.Event(), asyncio.Event()]

    def parts(request: Received) -> Iterator[bytes]:
        yield from (CHUNKED, chunk(b"one"), chunk(b"two"))

    behaviour = Behaviour(parts).stall(after=2, until=gates[0])
    async with FaultUpstream([behaviour]) as upstream:
        poured = await pour(asking.pool(upstream))
        await until(lambda: poured.pieces)
        asking.pass_time(GAP - 1)
        assert not poured.ends
        gates[0].set()
        await until(lambda: len(poured.pieces) == 2)
        asking.pass_time(GAP - 1)
        assert not poured.ends
        asking.pass_time(2)
        failure = await poured.end()
        assert isinstance(failure, UpstreamTimeout)
        assert failure.phase == "gap"
        assert poured.body == b"onetwo"
        await ended(upstream)


async def test_the_first_gap_begins_with_the_pouring(asking: Asking) -> None:
    """Not with what came before it."""
    async with FaultUpstream([events(b"one").stall(after=1)]) as upstream:
        answer = await send(asking.pool(upstream))
        asking.pass_time(GAP + 1)
        poured = Poured(answer)
        asking.pass_time(GAP - 1)
        assert not poured.ends
        asking.pass_time(2)
        assert isinstance(await poured.end(), UpstreamTimeout)


@pytest.mark.parametrize("within", [True, False], ids=["within-the-call", "later"])
async def test_no_gap_runs_through_a_pause(asking: Asking, within: bool) -> None:
    """A client that takes its time is no fault of the upstream's; after the pause one begins anew."""
    async with FaultUpstream([events(b"one").stall(after=2).spaced(0.02)]) as upstream:
        answer, poured = await poured_first(
            asking.pool(upstream), lambda reply: reply.pause() if within else None
        )
        await until(lambda: poured.pieces)
        if not within:
            answer.pause()
        asking.pass_time(3 * GAP)
        assert not poured.ends
        answer.resume()
        asking.pass_time(GAP - 1)
        assert not poured.ends
        asking.pass_time(2)
        failure = await poured.end()
        assert isinstance(failure, UpstreamTimeout)
        assert failure.phase == "gap"


@pytest.mark.parametrize("paused", [True, False])
async def test_a_poured_reply_as_a_whole_is_bounded(asking: Asking, paused: bool) -> None:
    """Whether its pieces come or are not taken."""
    async with FaultUpstream([endless_body(b"x").spaced(0.005)]) as upstream:
        reply = await send(asking.pool(upstream), timeouts=Timeouts(10, 30, 60))
        poured = Poured(reply)
        await until(lambda: poured.pieces)
        if paused:
            reply.pause()
        asking.pass_time(59)
        await asyncio.sleep(0.02)
        assert not poured.ends
        asking.pass_time(1.5)
        failure = await poured.end()
        assert isinstance(failure, UpstreamTimeout)
        assert failure.phase == "total"
        await ended(upstream)


# -- a receiver that has enough


@pytest.mark.parametrize("behaviour", [TOGETHER, APART])
async def test_a_receiver_that_gives_the_reply_up_hears_no_more(asking: Asking, behaviour: Behaviour) -> None:
    """Not even what came together with the piece at which it did; the connection is closed."""
    async with FaultUpstream([behaviour.spaced(0.02)]) as upstream:
        pool = asking.pool(upstream)
        reply, poured = await poured_first(pool, Reply.abort)
        await ended(upstream)
        await turns()
        assert (poured.pieces, poured.ends) == ([b"one"], [])
        reply.abort()
        reply.pause()
        reply.resume()
        assert repr(pool).endswith("[0 active, 0 idle]>")


@pytest.mark.parametrize("give_up", [Reply.abort, lambda reply: reply.leave(1.0)], ids=["abort", "leave"])
async def test_giving_up_a_reply_that_is_complete_frees_its_connection(
    asking: Asking, give_up: Callable[[Reply], None]
) -> None:
    """Within the call that handed over all of it, and no end is told."""
    async with FaultUpstream([reply(b"one"), chat()]) as upstream:
        pool = asking.pool(upstream)
        answer = await send(pool)
        await until(lambda: answer.complete)
        poured = Poured(answer, then=lambda piece: give_up(answer))
        assert (poured.pieces, poured.ends) == ([b"one"], [])
        assert (await ask(pool))[0] == 200
        assert upstream.accepted == 1


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("behaviour", [TOGETHER, APART])
async def test_a_receiver_that_leaves_a_reply_hears_no_more(
    asking: Asking, behaviour: Behaviour, paused: bool
) -> None:
    """The connection is used again once the reply's end has come, a pause notwithstanding."""

    def leave(reply: Reply) -> None:
        if paused:
            reply.pause()
        reply.leave(1.0)

    async with FaultUpstream([behaviour.spaced(0.02), chat()]) as upstream:
        pool = asking.pool(upstream)
        _, poured = await poured_first(pool, leave)
        await until(lambda: repr(pool).endswith("[0 active, 1 idle]>"))
        assert (await ask(pool))[0] == 200
        assert upstream.accepted == 1
        assert (poured.pieces, poured.ends) == ([b"one"], [])


async def test_a_reply_can_be_left_while_much_of_it_waits(asking: Asking) -> None:
    """That goes, and the rest is read, so that the connection can be used again."""
    async with FaultUpstream([reply(b"x" * 500_000), chat()]) as upstream:
        pool = asking.pool(upstream)
        answer = await send(pool)
        await until(lambda: answer.waiting > 256 << 10)
        answer.leave(1.0)
        await until(lambda: repr(pool).endswith("[0 active, 1 idle]>"))
        assert (await ask(pool))[0] == 200
        assert upstream.accepted == 1


async def test_a_reply_that_was_left_has_its_time_to_end(asking: Asking) -> None:
    """Then its connection is closed; the gap counts no more."""
    async with FaultUpstream([events(b"one").stall(after=2)]) as upstream:
        pool = asking.pool(upstream)
        _, poured = await poured_first(pool, lambda reply: reply.leave(1.0))
        await until(lambda: poured.pieces)
        asking.pass_time(0.9)
        await turns()
        assert upstream.open == 1
        asking.pass_time(0.2)
        await ended(upstream)
        assert poured.ends == []


async def test_a_reply_that_was_left_takes_no_memory_without_bound(asking: Asking) -> None:
    """What comes after all is not read forever."""
    written = [0]
    async with FaultUpstream([counted(b"x" * 65536, written)]) as upstream:
        reply, poured = await poured_first(asking.pool(upstream), lambda reply: reply.leave(1.0))
        await until(lambda: poured.pieces)
        await at_rest(written)
        assert reply.waiting < 1 << 20
        asking.pass_time(1.1)
        await ended(upstream)


# -- pauses


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("within", [True, False], ids=["within-the-call", "later"])
async def test_a_pause_has_the_upstream_wait(
    asking: Asking, certificates: Certificates, within: bool, tls: bool
) -> None:
    """Nothing more is handed over, and it can write no more; both go on after the pause."""
    written = [0]
    context = certificates.server() if tls else None
    async with FaultUpstream([counted(b"x" * 65536, written).spaced(1e-9)], tls=context) as upstream:
        answer, poured = await poured_first(
            asking.pool(upstream, certificates.client() if tls else None),
            lambda reply: reply.pause() if within else None,
        )
        await until(lambda: poured.pieces)
        if not within:
            answer.pause()
        before = await at_rest(written)
        handed_over = len(poured.body)
        await asyncio.sleep(0.05)
        assert (len(poured.body), written[0]) == (handed_over, before)
        answer.resume()
        await until(lambda: written[0] > before + 100)
        assert len(poured.body) > handed_over
        answer.abort()
        await ended(upstream)
        assert poured.ends == []


@pytest.mark.parametrize("behaviour", [reply(b"x" * 3_000_000), close_delimited(b"x" * 3_000_000)])
async def test_a_reply_is_whole_however_often_it_was_paused(asking: Asking, behaviour: Behaviour) -> None:
    """Its end too comes only after the last pause."""
    async with FaultUpstream([behaviour]) as upstream:
        answer = await send(asking.pool(upstream))
        poured = Poured(answer, then=lambda piece: answer.pause())
        while not poured.ends:
            await turns(10)
            answer.resume()
        assert poured.ends == [None]
        assert poured.body == b"x" * 3_000_000


async def test_a_connection_that_was_paused_at_a_replys_end_is_read_again(asking: Asking) -> None:
    """For the next reply."""
    async with FaultUpstream([events(b"one").joined(), chat()]) as upstream:
        pool = asking.pool(upstream)
        _, poured = await poured_first(pool, Reply.pause)
        assert await poured.end() is None
        assert (await ask(pool))[0] == 200
        assert upstream.accepted == 1


async def test_pausing_what_has_just_ended_does_no_harm(asking: Asking) -> None:
    """The end is told nevertheless, whenever within it the pause comes."""
    for turn in range(12):
        async with FaultUpstream([events(b"one", b"two").end(after=2)]) as upstream:
            answer = await send(asking.pool(upstream))
            poured = Poured(answer)
            await until(lambda poured=poured: poured.pieces)  # type: ignore[misc]
            await turns(turn)
            answer.pause()
            await turns(turn)
            answer.resume()
            assert type(await poured.end()) is TruncatedReply


# -- the connection afterwards


async def test_a_connection_serves_one_poured_reply_after_another(asking: Asking) -> None:
    """Of any framing; the next request can be sent within the call that tells the end."""
    async with FaultUpstream([events(b"one"), reply(b"two"), chat(), events(b"three")]) as upstream:
        pool = asking.pool(upstream)
        for said in (b"one", b"two"):
            poured = await pour(pool)
            assert await poured.end() is None
            assert poured.body == said
        assert (await ask(pool))[0] == 200
        poured = await pour(pool)
        assert await poured.end() is None
        assert upstream.accepted == 1


@pytest.mark.parametrize("surplus", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", b"\0"])
async def test_surplus_bytes_close_the_connection(asking: Asking, surplus: bytes) -> None:
    """The reply before them is complete, and nothing of them is handed over."""
    async with FaultUpstream([events(b"one").followed_by(surplus), chat()]) as upstream:
        pool = asking.pool(upstream)
        poured = await pour(pool)
        assert await poured.end() is None
        assert poured.body == b"one"
        assert (await ask(pool))[0] == 200
        assert [request.connection for request in upstream.requests] == [1, 2]


async def test_a_reply_that_announces_the_connections_end_is_its_last(asking: Asking) -> None:
    """As for any other."""
    last = raw(head(200, {"Content-Length": "3", "Connection": "close"}), b"one")
    async with FaultUpstream([last, chat()]) as upstream:
        pool = asking.pool(upstream)
        assert await (await pour(pool)).end() is None
        assert (await ask(pool))[0] == 200
        assert upstream.accepted == 2


async def test_time_limits_of_a_poured_reply_end_with_it(asking: Asking) -> None:
    """The connection is idle, and the next reply has its own."""
    async with FaultUpstream([events(b"one"), events(b"two").stall(after=1), chat()]) as upstream:
        pool = asking.pool(upstream, idle_seconds=10 * GAP)
        assert await (await pour(pool)).end() is None
        asking.pass_time(2 * GAP)
        answer = await send(pool, timeouts=TIMEOUTS)
        asking.pass_time(2 * GAP)
        assert answer.failure is None
        assert upstream.accepted == 1
        answer.abort()
