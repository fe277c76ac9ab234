"""Replies cut anywhere and changed anywhere, over a connection without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from shareai_cli.errors import UpstreamError
from shareai_cli.wire.connection import Connection
from shareai_cli.wire.turn import Turn
from tests.support.behaviours import chunk, head
from tests.support.clock import FakeClock

CHUNKED = head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
REPLIES = [
    head(200, {"Content-Type": "application/json", "Content-Length": "11"}) + b"hello world",
    CHUNKED + chunk(b"hello ") + chunk(b"world") + b"0\r\n\r\n",
    CHUNKED + b"B;name=value\r\nhello world\r\n0\r\nX-Trailer: t\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + head(503, {"Content-Length": "11"}) + b"hello world",
]
PLACES = st.lists(st.integers(1, 250), max_size=20)


class Wire(asyncio.Transport):
    """A transport that only knows whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: object) -> None:
        """Nobody reads it."""

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


class Poured:
    """What a reply is poured into."""

    def __init__(self) -> None:
        self.body = b""
        self.ends: list[UpstreamError | None] = []

    def received(self, data: bytes) -> None:
        assert data
        assert not self.ends
        self.body += data

    def ended(self, failure: UpstreamError | None) -> None:
        self.ends.append(failure)


async def answered(pieces: list[bytes], poured: Poured | None = None) -> tuple[object, ...]:
    """Return what a request was answered by these bytes: the reply, or its failure's class."""
    freed: list[Connection] = []
    connection = Connection(FakeClock(), Turn(), freed.append, lambda one: None)
    wire = Wire()
    connection.connection_made(wire)
    reply, _ = connection.ask(b"POST / HTTP/1.1\r\n\r\n", 30.0, 0.0, 600.0)
    for piece in pieces:
        if not wire.closed:
            connection.data_received(piece)
        if reply.status and poured is not None and reply.receiver is None and not poured.ends:
            reply.pour(poured, 30.0)
    if not wire.closed:
        connection.eof_received()
    connection.connection_lost(None)
    if reply.status and poured is not None:
        (failure,) = poured.ends
        return (type(failure),) if failure is not None else (reply.status, reply.headers, poured.body)
    try:
        body = await reply.read(1 << 20)
    except UpstreamError as error:
        return (type(error),)
    return reply.status, reply.headers, body


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut bytes at these places."""
    edges = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in zip(edges, edges[1:], strict=False)]  # noqa: RUF007 - by pairs


def run(
    loops: Callable[[], asyncio.AbstractEventLoop], pieces: list[bytes], poured: Poured | None = None
) -> tuple[object, ...]:
    with asyncio.Runner(loop_factory=loops) as runner:
        return runner.run(answered(pieces, poured))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(REPLIES), PLACES)
def test_where_a_reply_is_cut_does_not_change_it(data: bytes, places: list[int]) -> None:
    """Status, fields and body are those of the whole."""
    outcome = run(asyncio.SelectorEventLoop, cut(data, places))
    assert outcome == run(asyncio.SelectorEventLoop, [data])
    assert outcome[2] == b"hello world"


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(REPLIES), PLACES, st.integers(0, 250), st.binary(max_size=8), st.integers(0, 8))
def test_a_damaged_reply_is_a_reply_or_an_upstream_error(
    data: bytes, places: list[int], at: int, put: bytes, less: int
) -> None:
    """Nothing else gets out of the parser, wherever bytes are put in or taken out."""
    damaged = data[:at] + put + data[at + less :]
    outcome = run(asyncio.SelectorEventLoop, cut(damaged, places))
    if isinstance(outcome[0], type):
        assert issubclass(outcome[0], UpstreamError)
    else:
        assert outcome[0] in range(200, 1000)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(REPLIES), PLACES, st.integers(0, 250), st.binary(max_size=8), st.integers(0, 8))
def test_a_reply_is_the_same_poured(data: bytes, places: list[int], at: int, put: bytes, less: int) -> None:
    """Whole, cut, damaged or failing: what it is does not depend on how it is taken."""
    damaged = cut(data[:at] + put + data[at + less :], places)
    taken = run(asyncio.SelectorEventLoop, damaged)
    assert run(asyncio.SelectorEventLoop, damaged, Poured()) == taken
