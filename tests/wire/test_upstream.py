"""The scripted provider itself, seen from plain sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from pathlib import Path

import pytest

from tests.support.behaviours import (
    Behaviour,
    chat,
    endless_head,
    rate_limited,
    reply,
    silence,
    status,
    stream,
)
from tests.support.certificates import make_certificates
from tests.support.upstream import FaultUpstream, refused_port, unanswered_port
from tests.support.waiting import until

QUESTION = {"model": "m1", "messages": [], "stream_options": {"include_usage": True}}


async def ask(upstream: FaultUpstream, *, streamed: bool = False, tls: ssl.SSLContext | None = None) -> bytes:
    """Send one request on a connection of its own and return all that comes back, an abrupt end included."""
    reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port, ssl=tls)
    body = json.dumps(QUESTION | {"stream": streamed}).encode()
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n" % len(body))
    writer.write(b"Authorization: Bearer k1\r\nConnection: close\r\n\r\n" + body)
    came = b""
    try:
        while data := await reader.read(65536):
            came += data
    except ConnectionResetError:
        came += b"RST"
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return came


async def test_a_completion_is_answered_and_the_request_kept() -> None:
    """With what a test wants to know about it."""
    async with FaultUpstream() as upstream:
        came = await ask(upstream)
    (request,) = upstream.requests
    assert (request.path, request.key, request.json["model"]) == ("/v1/chat/completions", "k1", "m1")
    assert json.loads(came.partition(b"\r\n\r\n")[2])["usage"]["total_tokens"] == 21


async def test_a_stream_has_role_text_finish_usage_and_done() -> None:
    """In this order, one chunk each."""
    async with FaultUpstream([stream("a", "b")]) as upstream:
        came = await ask(upstream, streamed=True)
    events = list(came.split(b"data: ")[1:])
    assert len(events) == 6
    assert b'"role"' in events[0]
    assert b'"choices": []' in events[4]
    assert b"[DONE]" in events[5]


@pytest.mark.parametrize(
    ("behaviour", "begins", "ends"),
    [
        (chat().reset(), b"", b"RST"),
        (chat().reset(at=10), b"HTTP/1.1 2", b"RST"),
        (chat().end(at=10), b"HTTP/1.1 2", b"2"),
        (stream("a", "b").end(after=2), b"HTTP/1.1 200", b'"finish_reason": null}]}\n\n\r\n'),
        (chat().sliced(), b"HTTP/1.1 200", b"}"),
        (reply(b"{}", length=7), b"HTTP/1.1 200", b"{}"),
        (status(503), b"HTTP/1.1 503", b"}"),
        (rate_limited(Retry_After="3"), b"HTTP/1.1 429", b"}"),
    ],
)
async def test_a_reply_goes_wrong_as_scripted(behaviour: Behaviour, begins: bytes, ends: bytes) -> None:
    """At the byte, or before the part."""
    async with FaultUpstream([behaviour]) as upstream:
        came = await ask(upstream)
    assert came.startswith(begins)
    assert came.endswith(ends)


@pytest.mark.parametrize("behaviour", [silence(), chat().stall(at=20), endless_head()])
async def test_a_client_that_leaves_ends_a_stalled_or_endless_reply(behaviour: Behaviour) -> None:
    """So that a test can see a cancelled attempt at the upstream."""
    async with FaultUpstream([behaviour]) as upstream:
        _reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await until(lambda: upstream.requests)
        assert upstream.open == 1
        writer.transport.abort()
        await until(lambda: upstream.open == 0)


async def test_a_stall_can_be_released() -> None:
    """And the reply goes on where it stood."""
    gate = asyncio.Event()
    async with FaultUpstream([chat().stall(at=20, until=gate)]) as upstream:
        asking = asyncio.get_running_loop().create_task(ask(upstream))
        await until(lambda: upstream.requests)
        gate.set()
        assert (await asking).endswith(b"}")


async def test_tls_is_spoken_with_a_certificate_of_the_tests_own(tmp_path: Path) -> None:
    """Which a client that knows the authority accepts."""
    certificates = make_certificates(tmp_path)
    async with FaultUpstream(tls=certificates.server()) as upstream:
        assert (await ask(upstream, tls=certificates.client())).startswith(b"HTTP/1.1 200")


async def test_ports_that_refuse_or_do_not_answer() -> None:
    """Connecting fails at once, or not at all."""
    with refused_port() as port, pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    with unanswered_port() as port, pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await asyncio.open_connection("127.0.0.1", port)
