"""Requests cut anywhere and changed anywhere, read without a network."""

from __future__ import annotations

import itertools

from hypothesis import example, given, settings
from hypothesis import strategies as st

from shareai_cli.errors import ShareAIError
from shareai_cli.wire.admission import Admission, ServerLimits
from shareai_cli.wire.message import Request
from shareai_cli.wire.request_reader import DEAF, RequestReader
from tests.wire.serving import CHUNKED, chunked, request

UPGRADE = ("Connection: Upgrade", "Upgrade: h2c")
LIMITS = ServerLimits(head_bytes=1024, head_fields=12, body_bytes=4096)
REQUESTS = [
    request("GET", "/v1/models?x=1"),
    request("POST", "/v1/chat/completions", "X-A: 1", "X-A: 2", body=b"hello world"),
    request("POST", "/chunks", CHUNKED, body=chunked(b"hello ", b"world")),
    request("POST", "/trailers", CHUNKED, body=chunked(b"x", end=b"0\r\nX-Trailer: t\r\n\r\n")),
    request("PUT", "/upgrade", *UPGRADE, body=b"hello"),
    request("PUT", "/upgrade", *UPGRADE, CHUNKED, body=chunked(b"hello")),
    request("GET", "/upgrade", *UPGRADE),
    request("GET", "/old", "Connection: keep-alive", version="1.0"),
    request("OPTIONS", "http://localhost/absolute?q"),
    request("HEAD", "/last", "Connection: close"),
]


def read(pieces: list[bytes]) -> tuple[RequestReader, Admission]:
    admission = Admission(LIMITS, ())
    reader = RequestReader(admission, "127.0.0.1", "127.0.0.1")
    for piece in pieces:
        reader.feed(piece)
    return reader, admission


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges) if start < end]


places = st.lists(st.integers(0, 1 << 16), max_size=12)


@given(sent=st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=5), at=places)
@settings(max_examples=300, deadline=None)
def test_requests_are_the_same_however_they_are_cut(sent: list[bytes], at: list[int]) -> None:
    """Into any pieces, one behind the other."""
    alone = []
    for one in sent:
        alone += read([one])[0].requests
        if b"Connection: close" in one:
            break
    reader, _ = read(cut(b"".join(sent), at))
    assert reader.requests == alone
    assert all(isinstance(taken, Request) for taken in alone)


@given(
    sent=st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=3),
    changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(max_size=4)), min_size=1, max_size=4),
    at=places,
)
@example(sent=[REQUESTS[0]], changes=[(0, b"X")], at=[])
@settings(max_examples=500, deadline=None)
def test_changed_requests_are_read_or_refused(
    sent: list[bytes], changes: list[tuple[int, bytes]], at: list[int]
) -> None:
    """Nothing else comes of them, nothing stays counted, and nothing is read after a refusal."""
    data = b"".join(sent)
    for place, change in changes:
        place %= len(data) + 1
        data = data[:place] + change + data[place + len(change) :]
    reader, admission = read(cut(data, at))
    assert all(isinstance(taken, Request) for taken in reader.requests[:-1])
    for taken in reader.requests:
        if isinstance(taken, ShareAIError):
            assert 400 <= taken.status < 500
            assert reader.state == DEAF
        else:
            assert len(taken.body) <= LIMITS.body_bytes
            assert len(taken.headers) <= LIMITS.head_fields
    known = len(reader.requests)
    if reader.state == DEAF:
        reader.feed(REQUESTS[0])
        assert len(reader.requests) == known
    reader.close()
    assert admission.held == 0


@given(data=st.binary(min_size=1, max_size=200), at=places)
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes, at: list[int]) -> None:
    """Without an exception."""
    reader, _ = read(cut(data, at))
    assert len(reader.requests) <= 1
