"""What counts as a reply, where it ends, and what is refused."""

from __future__ import annotations

import json

import pytest

from shareai_cli.errors import ConnectionReset, MalformedReply, TruncatedReply
from tests.support.behaviours import (
    Behaviour,
    chat,
    chunk,
    close_delimited,
    endless_body,
    endless_head,
    events,
    head,
    html,
    raw,
    reply,
    status,
    stream,
)
from tests.support.upstream import FaultUpstream
from tests.wire.asking import LIMIT, Asking, ask, ended, pieces, send

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("behaviour", [chat("hi"), chat("hi").joined(), chat("hi").sliced()])
async def test_a_sized_reply_is_read_whole(asking: Asking, behaviour: Behaviour) -> None:
    """However it comes over the wire; the request went in one piece with its length."""
    async with FaultUpstream([behaviour]) as upstream:
        code, body = await ask(asking.pool(upstream))
    assert code == 200
    assert json.loads(body)["choices"][0]["message"]["content"] == "hi"
    (request,) = upstream.requests
    assert request.json["model"] == "m1"
    assert request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "behaviour", [stream("a", "b"), stream("a", "b").sliced(), stream("a", "b").joined()]
)
async def test_a_stream_comes_in_pieces_that_make_up_the_whole(asking: Asking, behaviour: Behaviour) -> None:
    """Chunks are taken off, and the end is told by an empty piece, again and again."""
    async with FaultUpstream([behaviour, stream("a", "b")]) as upstream:
        pool = asking.pool(upstream)
        reply = await send(pool, streamed=True)
        taken = b"".join(await pieces(reply))
        assert (reply.complete, await reply.next(1), await reply.next(1)) == (True, b"", b"")
        assert (await ask(pool, streamed=True))[1] == taken
    assert taken.count(b"data: ") == 6
    assert taken.endswith(b"data: [DONE]\n\n")
    assert upstream.accepted == 1


async def test_field_names_are_lower_case_and_repeats_joined(asking: Asking) -> None:
    """As RFC 9110 allows."""
    answer = raw(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nX-Empty:\r\nContent-Length: 0\r\n\r\n")
    async with FaultUpstream([answer]) as upstream:
        reply = await send(asking.pool(upstream))
        assert reply.headers == {b"x-a": b"1, 2", b"x-empty": b"", b"content-length": b"0"}
        assert await reply.read(LIMIT) == b""


async def test_the_end_of_the_connection_can_be_the_end_of_the_reply(asking: Asking) -> None:
    """Where nothing else says it."""
    async with FaultUpstream([close_delimited(b"all of it"), events("x", delimited_by="close")]) as upstream:
        pool = asking.pool(upstream)
        assert await ask(pool) == (200, b"all of it")
        assert b"".join(await pieces(await send(pool))) == b"data: x\n\n"
    assert upstream.accepted == 2


@pytest.mark.parametrize(
    "behaviour",
    [
        reply(b"{}", length=7).closing(),
        chat().end(at=200),
        chat().reset(at=200),
        stream("a").end(after=2),
        stream("a").reset(after=2),
        close_delimited(b"0123456789").reset(at=60),
        raw(CHUNKED + b"5\r\nab").closing(),
        raw(CHUNKED + chunk(b"ab") + b"0\r\n").closing(),
    ],
)
async def test_a_reply_that_is_cut_off_is_told_from_a_whole_one(asking: Asking, behaviour: Behaviour) -> None:
    """Whichever way its end should have been known; what came before is still handed out by `next`."""
    async with FaultUpstream([behaviour, behaviour]) as upstream:
        pool = asking.pool(upstream)
        reply = await send(pool, streamed=True)
        with pytest.raises(TruncatedReply):
            await reply.read(LIMIT)
        with pytest.raises(TruncatedReply):
            await pieces(await send(pool, streamed=True))


@pytest.mark.parametrize("behaviour", [chat().end(), chat().reset(), chat().end(at=30), chat().reset(at=30)])
async def test_a_connection_that_ends_before_the_head_does_is_a_reset(
    asking: Asking, behaviour: Behaviour
) -> None:
    """Nothing was answered."""
    async with FaultUpstream([behaviour]) as upstream:
        with pytest.raises(ConnectionReset):
            await ask(asking.pool(upstream))
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("code", [204, 304])
async def test_some_replies_have_no_body_whatever_their_head_says(asking: Asking, code: int) -> None:
    """And their connection serves the next request."""
    bare = raw(head(code, {"Content-Length": "5"}))
    async with FaultUpstream([bare, raw(head(code, {})), chat()]) as upstream:
        pool = asking.pool(upstream)
        assert await ask(pool) == (code, b"")
        assert await ask(pool) == (code, b"")
        assert (await ask(pool))[0] == 200
    assert upstream.accepted == 1


@pytest.mark.parametrize(
    "fields", [{"Content-Length": "5000"}, {"Transfer-Encoding": "chunked"}, {}, {"Content-Length": "0"}]
)
async def test_the_reply_to_a_head_request_is_its_head(asking: Asking, fields: dict[str, str]) -> None:
    """The length that it names is not waited for, neither then nor in the next reply."""
    async with FaultUpstream([raw(head(200, fields)), chat()]) as upstream:
        pool = asking.pool(upstream)
        assert await ask(pool, method=b"HEAD") == (200, b"")
        assert (await ask(pool))[0] == 200


async def test_a_body_after_a_head_request_is_surplus(asking: Asking) -> None:
    """The connection is not used again."""
    async with FaultUpstream([reply(b"12345").joined(), chat()]) as upstream:
        pool = asking.pool(upstream)
        assert await ask(pool, method=b"HEAD") == (200, b"")
        assert (await ask(pool))[0] == 200
    assert upstream.accepted == 2


async def test_interim_replies_are_skipped(asking: Asking) -> None:
    """With their fields; the reply after them is the one."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    answer = raw(interim + head(200, {"Content-Length": "2"}) + b"ok")
    async with FaultUpstream([answer, answer.sliced()]) as upstream:
        pool = asking.pool(upstream)
        for _ in range(2):
            reply = await send(pool)
            assert reply.headers == {b"content-length": b"2"}
            assert await reply.read(LIMIT) == b"ok"
    assert upstream.accepted == 1


async def test_trailers_are_dropped(asking: Asking) -> None:
    """They cannot become fields of the head, of this reply or of the next."""
    answer = raw(CHUNKED + chunk(b"ok") + b"0\r\nX-Trailer: t\r\nSet-Cookie: a=b\r\n\r\n")
    async with FaultUpstream([answer, chat()]) as upstream:
        pool = asking.pool(upstream)
        reply = await send(pool)
        assert await reply.read(LIMIT) == b"ok"
        assert reply.headers == {b"transfer-encoding": b"chunked"}
        assert b"x-trailer" not in (await send(pool)).headers


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\nxx",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        b"<html>Welcome to nginx</html>",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\x15\x03\x03\x00\x02\x02\x16",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"2\r\nabXX",
        CHUNKED + b"fffffffffffffffff\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
        b"HTTP/1.1 200 OK\r\n" + b"X-Same: 1\r\n" * 300 + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(201)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 70000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 " + b"x" * 70000 + b"\r\nContent-Length: 0\r\n\r\n",
        CHUNKED + b"2;" + b"x" * 200000 + b"\r\nab\r\n0\r\n\r\n",
        CHUNKED + chunk(b"ab") + b"0\r\n" + b"X-Trailer: t\r\n" * 40000 + b"\r\n",
        CHUNKED + chunk(b"ab") + b"0\r\nX-Trailer: " + b"t" * 400000 + b"\r\n\r\n",
    ],
)
async def test_what_is_framed_twice_wrongly_or_without_bound_is_refused(
    asking: Asking, answer: bytes
) -> None:
    """And its connection closed."""
    async with FaultUpstream([raw(answer)]) as upstream:
        with pytest.raises(MalformedReply):
            await ask(asking.pool(upstream))
        await ended(upstream)


@pytest.mark.parametrize("behaviour", [endless_head(), endless_body()])
async def test_what_has_no_end_is_cut_off(asking: Asking, behaviour: Behaviour) -> None:
    """A head by its own bound, a body by what the caller takes."""
    async with FaultUpstream([behaviour]) as upstream:
        with pytest.raises(MalformedReply):
            await ask(asking.pool(upstream))
        await ended(upstream)


async def test_a_body_beyond_what_the_caller_takes_is_refused(asking: Asking) -> None:
    """One of exactly that size is not; and one much larger than what waits unread is read whole."""
    async with FaultUpstream([reply(b"x" * 1000), reply(b"x" * 1001), reply(b"x" * 3_000_000)]) as upstream:
        pool = asking.pool(upstream)
        assert len(await (await send(pool)).read(1000)) == 1000
        with pytest.raises(MalformedReply):
            await (await send(pool)).read(1000)
        assert len(await (await send(pool)).read(3_000_000)) == 3_000_000


@pytest.mark.parametrize(
    "behaviour",
    [
        chat().joined().followed_by(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        chat().joined().followed_by(b"HTTP/1.1 2"),
        chat().joined().followed_by(b"\x00garbage"),
        stream("a").joined().followed_by(b"x"),
        raw(head(204, {"Content-Length": "4"}) + b"evil"),
    ],
)
async def test_surplus_bytes_after_a_reply_close_the_connection(asking: Asking, behaviour: Behaviour) -> None:
    """The reply itself counts; the next request gets its own."""
    async with FaultUpstream([behaviour, reply(b"mine")]) as upstream:
        pool = asking.pool(upstream)
        first = await send(pool, streamed=True)
        assert b"evil" not in await first.read(LIMIT)
        assert await ask(pool) == (200, b"mine")
    assert upstream.accepted == 2


@pytest.mark.parametrize(
    "fields",
    [{"Connection": "close"}, {"Connection": "Upgrade, close", "Upgrade": "h2c"}],
)
async def test_a_reply_that_announces_the_connections_end_is_its_last(
    asking: Asking, fields: dict[str, str]
) -> None:
    """Nobody waits for the other side to close it."""
    async with FaultUpstream([reply(b"1", headers=fields), reply(b"2")]) as upstream:
        pool = asking.pool(upstream)
        assert await ask(pool) == (200, b"1")
        assert await ask(pool) == (200, b"2")
    assert upstream.accepted == 2


async def test_an_offer_of_another_protocol_is_ignored(asking: Asking) -> None:
    """As web servers add it to any reply."""
    offer = {"Upgrade": "h2,h2c", "Connection": "Upgrade, Keep-Alive"}
    async with FaultUpstream([reply(b"1", headers=offer), reply(b"2")]) as upstream:
        pool = asking.pool(upstream)
        assert [await ask(pool), await ask(pool)] == [(200, b"1"), (200, b"2")]
    assert upstream.accepted == 1


async def test_http_1_0_keeps_its_connection_only_where_it_says_so(asking: Asking) -> None:
    """Its default is the reverse of 1.1's."""
    old = b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n"
    script = [raw(old + b"Connection: keep-alive\r\n\r\n1"), raw(old + b"\r\n2"), reply(b"3")]
    async with FaultUpstream(script) as upstream:
        pool = asking.pool(upstream)
        assert [(await ask(pool))[1] for _ in range(3)] == [b"1", b"2", b"3"]
    assert [request.connection for request in upstream.requests] == [1, 1, 2]


async def test_a_redirect_is_a_reply_as_any_other(asking: Asking) -> None:
    """It is not followed: the request carries a key."""
    async with FaultUpstream([status(307, {"Location": "http://127.0.0.1:9/"}), html()]) as upstream:
        pool = asking.pool(upstream)
        assert (await ask(pool))[0] == 307
        code, body = await ask(pool)
    assert (code, body[:9]) == (200, b"<!DOCTYPE")
    assert len(upstream.requests) == 2
