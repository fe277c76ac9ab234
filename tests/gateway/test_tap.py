"""Reading usage, ends and errors out of what passes by."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest

from shareai_cli.errors import MalformedReply
from shareai_cli.gateway.tap import (
    EventKind,
    StreamTap,
    classify_event,
    completion_usage,
    is_only_usage,
    usage_of,
)
from shareai_cli.types import Usage


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def delta(**fields: object) -> bytes:
    return event({"choices": [{"index": 0, "delta": fields, "finish_reason": None}]})


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}, Usage(9, 0, 0, 12, 0)),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 60},
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(40, 60, 0, 30, 20),
        ),
        (  # thinking beside the completion
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 35,
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(10, 0, 0, 5, 20),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 35}, Usage(10, 0, 0, 5, 20)),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 8},
            Usage(2, 8, 0, 5, 0),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 4},
            },
            Usage(3, 3, 4, 5, 0),
        ),
        ({"prompt_tokens": 10, "prompt_tokens_details": None}, Usage(10, 0, 0, 0, 0)),
    ],
)
def test_counts_are_read_as_disjoint(usage: dict[str, object], counts: Usage) -> None:
    """However a provider counts, no token is counted twice, in an event as in a whole reply."""
    assert usage_of(json.dumps({"choices": [], "usage": usage}).encode()) == counts
    assert completion_usage(json.dumps({"choices": [], "usage": usage}).encode()) == counts


@pytest.mark.parametrize(
    "body",
    [
        b'{"usage": null}',
        b'{"usage": {"prompt_tokens": -1}}',
        b'{"usage": {"prompt_tokens": "many"}}',
        b'{"usage": {"prompt_tokens": 1e300}}',
        b'{"usage": [1]}',
        b'{"usage": {',
        b"{}",
        b'"usage" \xff',
    ],
)
def test_what_is_no_usage_counts_nothing(body: bytes) -> None:
    """A provider's odd usage never fails a request, and is never taken for a count."""
    assert usage_of(body) is None


@pytest.mark.parametrize(
    ("body", "good"),
    [
        (b'{"choices": []}', True),
        (b'{"choices": [{"message": {}}], "error": null}', True),
        (b'{"choices": [], "error": {"message": "no"}}', False),
        (b'{"error": {"message": "no"}}', False),
        (b"<html>", False),
        (b"", False),
        (b"[]", False),
        (b'{"choices": null}', False),
        (b'{"choices": [' + b"[" * 100_000, False),
    ],
)
def test_a_200_has_to_hold_a_completion(body: bytes, good: bool) -> None:
    """An error, a page or nothing in a 200 is no answer."""
    with nullcontext() if good else pytest.raises(MalformedReply):
        assert completion_usage(body) is None


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b": ping\n\n", EventKind.OTHER),
        (delta(role="assistant"), EventKind.OTHER),
        (delta(role="assistant", content=""), EventKind.OTHER),
        (delta(content=None, tool_calls=[]), EventKind.OTHER),
        (delta(content="a"), EventKind.CONTENT),
        (delta(reasoning_content="hm"), EventKind.CONTENT),
        (delta(reasoning="hm"), EventKind.CONTENT),
        (delta(refusal="no"), EventKind.CONTENT),
        (delta(audio={"data": "AA"}), EventKind.CONTENT),
        (delta(tool_calls=[{"index": 0}]), EventKind.CONTENT),
        (event({"choices": [{"delta": {}, "finish_reason": "stop"}]}), EventKind.CONTENT),
        (event({"choices": [{"delta": {}, "finish_reason": "error"}]}), EventKind.ERROR),
        (event({"choices": [], "prompt_filter_results": []}), EventKind.OTHER),
        (event({"error": {"message": "no"}}), EventKind.ERROR),
        (b'event: error\ndata: {"message": "no"}\n\n', EventKind.ERROR),
        (b"data: not json\n\n", EventKind.ERROR),
        (b"data: [DONE]\n\n", EventKind.DONE),
    ],
)
def test_first_content_is_told_from_what_comes_before(sent: bytes, kind: int) -> None:
    """Role-only deltas and comments are no content; text, reasoning, refusals, audio and tools are."""
    assert classify_event(sent) == kind


def test_a_tap_follows_a_stream_to_its_end() -> None:
    """It keeps the usage and the fact that there was a finish reason."""
    tap = StreamTap()
    assert tap.note(delta(content='"usage": {"prompt_tokens": 1}')) == EventKind.OTHER
    assert not tap.usage
    assert tap.note(event({"choices": [{"delta": {}, "finish_reason": "stop"}]})) == EventKind.OTHER
    assert tap.finished
    assert (
        tap.note(event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}))
        == EventKind.USAGE
    )
    assert tap.usage == Usage(3, 0, 0, 4, 0)
    assert tap.note(b"data: [DONE]\n\n") == EventKind.DONE


def test_text_that_speaks_of_errors_and_ends_is_only_text() -> None:
    """`[DONE]` and `"error"` inside of content end no stream."""
    tap = StreamTap()
    assert tap.note(delta(content="[DONE]")) == EventKind.OTHER
    assert tap.note(delta(content='{"error": {"message": "no"}}')) == EventKind.OTHER
    assert tap.note(event({"error": {"message": "no"}})) == EventKind.ERROR


def test_only_the_usage_event_is_recognised_for_removal() -> None:
    """Usage with empty choices is; usage beside content, and empty choices alone, are not."""
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    assert is_only_usage(event({"choices": [], "usage": usage}))
    assert not is_only_usage(event({"choices": [{"delta": {"content": "a"}}], "usage": usage}))
    assert not is_only_usage(event({"choices": [], "usage": None}))
    assert not is_only_usage(delta(content='"choices": [] "usage": {'))
