"""Events cut out of a stream wherever it was split, and their data."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shareai_cli.errors import MalformedReply
from shareai_cli.wire.sse import EventSplitter, data_of

LINES = st.sampled_from(
    [b"data: {}", b"data:x", b"data: [DONE]", b": ping", b"event: error", b"id", b"data", b"d\xc3\xa9"]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAMS = st.lists(st.one_of(LINES, ENDS, ENDS, ENDS), max_size=40).map(b"".join)


def split(stream: bytes, places: list[int]) -> tuple[list[bytes], bytes]:
    """Feed a stream cut at these places."""
    splitter = EventSplitter()
    edges = sorted({min(place, len(stream)) for place in places} | {0, len(stream)})
    events = []
    for start, end in itertools.pairwise(edges):
        events += splitter.feed(stream[start:end])
    return events, bytes(splitter.held)


def dispatched(stream: bytes) -> list[bytes]:
    """Return the data of a stream's events as the WHATWG's algorithm finds them, line by line."""
    *lines, _unended = re.split(rb"\r\n|\n|\r", stream)
    found: list[bytes] = []
    data: list[bytes] = []
    for line in lines:
        name, _, value = line.partition(b":")
        if not line:
            found += [b"\n".join(data)] if data else []
            data = []
        elif name == b"data":
            data.append(value.removeprefix(b" "))
    return found


def told(events: list[bytes]) -> list[bytes]:
    """Return the data of those events that have any."""
    return [data for event in events if (data := data_of(event)) is not None]


@given(STREAMS, st.lists(st.integers(0, 300), max_size=12))
def test_no_byte_is_lost_added_or_changed(stream: bytes, places: list[int]) -> None:
    """Events and rest are the stream."""
    events, rest = split(stream, places)
    assert b"".join(events) + rest == stream


@given(STREAMS, st.lists(st.integers(0, 300), max_size=12))
def test_where_a_stream_is_split_does_not_change_its_events(stream: bytes, places: list[int]) -> None:
    """They are those of the WHATWG's algorithm."""
    assert told(split(stream, places)[0]) == told(split(stream, [])[0]) == dispatched(stream)


@given(STREAMS)
def test_a_stream_that_comes_byte_by_byte_has_the_same_events(stream: bytes) -> None:
    """Each event is given out with the byte that completes it."""
    splitter = EventSplitter()
    for end in range(1, len(stream) + 1):
        splitter.feed(stream[end - 1 : end])
        assert len(told([bytes(splitter.held)])) <= 1
    assert told(split(stream, list(range(len(stream))))[0]) == dispatched(stream)


def test_one_whole_event_is_given_back_as_it_is() -> None:
    """The same object: nothing is copied on the way of most events."""
    event = b'data: {"choices": []}\n\n'
    (given_back,) = EventSplitter().feed(event)
    assert given_back is event


def test_several_events_in_a_piece_are_told_apart() -> None:
    """Each with its blank line."""
    assert EventSplitter().feed(b"data: 1\n\n: ping\n\ndata: 2\r\n\r\nda") == [
        b"data: 1\n\n",
        b": ping\n\n",
        b"data: 2\r\n\r\n",
    ]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_an_event_without_an_end_is_bounded(size: int) -> None:
    """However it comes; one within the bound is not."""
    splitter = EventSplitter(limit=100)
    assert splitter.feed(b"x" * 98 + b"\n\n" + b"y" * 100) == [b"x" * 98 + b"\n\n"]
    with pytest.raises(MalformedReply):
        for _ in range(200 // size):
            splitter.feed(b"z" * size)


def test_a_large_event_in_small_pieces_is_not_searched_again_and_again() -> None:
    """Four megabytes in pieces of 64 bytes take a moment, not minutes."""
    splitter = EventSplitter()
    for _ in range(65536):
        splitter.feed(b"x" * 64)
    (event,) = splitter.feed(b"\n\n")
    assert len(event) == (4 << 20) + 2


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b'data: {"a": 1}\n\n', b'{"a": 1}'),
        (b"data:[DONE]\r\n\r\n", b"[DONE]"),
        (b"data:  two spaces\n\n", b" two spaces"),
        (b"event: x\ndata: 1\ndata: 2\nid: 3\n\n", b"1\n2"),
        (b"data: {\ndata: }\n\n", b"{\n}"),
        (b"data: {\rdata: }\n\n", b"{\n}"),
        (b"data\n\n", b""),
        (b"data:\n\n", b""),
        (b"\xef\xbb\xbfdata: 1\n\n", b"1"),
        (b"\ndata: 1\n\n", b"1"),
        (b"data: unended", b"unended"),
        (b": comment\n\n", None),
        (b"event: ping\n\n", None),
        (b"database: 1\n\n", None),
        (b" data: 1\n\n", None),
        (b"\n\n", None),
        (b"", None),
    ],
)
def test_the_data_of_an_event_is_read_as_the_standard_says(event: bytes, data: bytes | None) -> None:
    """Other fields and comments are not data."""
    assert data_of(event) == data
