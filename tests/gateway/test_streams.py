"""Streams: held back until their first content, relayed unchanged, ended honestly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from shareai_cli.config import TimeLimits
from shareai_cli.gateway.relay import AFTER_DONE
from shareai_cli.types import Attempt, Outcome, Usage
from shareai_cli.wire.message import PushedBody, Response
from tests.support.behaviours import Behaviour, chat, events, reply, stream
from tests.support.gateway import Gate, cancelled, fingerprint
from tests.support.taken import Taken
from tests.support.upstream import FaultUpstream
from tests.support.waiting import turns, until

ROUTE = {"chat": ["a/m", "b/m"]}


def delta(**fields: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}
ROLE = delta(role="assistant", content="")


@asynccontextmanager
async def two_targets(
    script: Sequence[Behaviour], **options: object
) -> AsyncIterator[tuple[Gate, FaultUpstream, FaultUpstream]]:
    """Give a gateway whose first target does what the script says, and whose second answers."""
    async with (
        FaultUpstream(script) as a,
        FaultUpstream() as b,
        Gate({"a": a, "b": b}, routes=ROUTE, **options) as gate,  # type: ignore[arg-type] # passed on
    ):
        yield gate, a, b


def body_of(response: Response) -> Taken:
    assert isinstance(response.body, PushedBody)
    return Taken(response.body)


# -- before the first content


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (stream("never", error_before=0), "malformed"),
        (events(ROLE, b'event: error\ndata: {"message": "no"}\n\n'), "malformed"),
        (events(ROLE, {"error": {"message": "no"}, "choices": []}), "malformed"),
        (events({"choices": [{"delta": {}, "finish_reason": "error"}]}), "malformed"),
        (events(ROLE, b"data: <html>\n\n"), "malformed"),
        (events(ROLE, "[DONE]"), "truncated"),
        (events(ROLE), "truncated"),
        (events(), "truncated"),
        (events(b": ping\n\n", b": ping\n\n"), "truncated"),
        (stream("a").reset(after=1), "truncated"),
        (stream("a").reset(after=2), "truncated"),
        (stream("a").end(after=2), "truncated"),
        (stream(delimited_by="close", finish=None, done=False), "truncated"),
        (reply(b'{"choices": [{"message": {"content": "whole"}}]}'), "malformed"),
        (reply(b'\n\n{"error": {"message": "no"}}', content_type="text/event-stream"), "malformed"),
        (events(*[b": %b\n\n" % (b"x" * 60_000)] * 20), "malformed"),
    ],
)
async def test_a_stream_that_fails_before_content_is_replaced(failure: Behaviour, outcome: str) -> None:
    """The client sees one whole stream of the next target's and nothing of the first one's."""
    async with two_targets([failure]) as (gate, _, _):
        answer = await gate.ask(stream=True)
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["x-shareai-target"] == "b/m"
        assert answer.text == "Hello there."
        assert answer.events[-1] == "[DONE]"
        assert [one.outcome for one in gate.closed.attempts] == [outcome, "ok"]


@pytest.mark.parametrize("after", [0, 1, 2], ids=["before the head", "after the head", "after the role"])
async def test_a_stream_that_stalls_before_content_is_replaced(after: int) -> None:
    """After the time for a head, or the one for the first content; comments do not extend it."""
    limits = TimeLimits(head=30, content=100, gap=90)
    async with two_targets([stream("a").stall(after=after)], timeouts=limits) as (gate, a, b):
        asking = asyncio.get_running_loop().create_task(gate.ask(stream=True))
        await until(lambda: a.completions)
        await turns()
        limit = 30.0 if after == 0 else 90.0
        gate.pass_time(limit - 1)
        await turns()
        assert not b.requests
        gate.pass_time(1)
        assert (await asking).headers["x-shareai-target"] == "b/m"
        assert gate.closed.attempts[0].outcome == "timeout"


async def test_comments_do_not_extend_the_time_for_the_first_content() -> None:
    """A provider that only says that it is still there is replaced as one that says nothing."""
    go_on = asyncio.Event()
    limits = TimeLimits(content=50, gap=40)
    pings = events(b": ping\n\n", b": ping\n\n", b": ping\n\n").stall(after=2, until=go_on)
    async with two_targets([pings], timeouts=limits) as (gate, a, _):
        asking = asyncio.get_running_loop().create_task(gate.ask(stream=True))
        await until(lambda: a.completions)
        await turns()
        gate.pass_time(30)
        go_on.set()
        await turns()
        gate.pass_time(20)
        assert (await asking).headers["x-shareai-target"] == "b/m"


@pytest.mark.parametrize(
    "first",
    [
        delta(content="a"),
        delta(reasoning_content="hm"),
        delta(reasoning="hm"),
        delta(refusal="no"),
        delta(audio={"data": "AAAA"}),
        delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": ""}}]),
        delta(function_call={"name": "f"}),
        STOP,
    ],
    ids=["text", "reasoning_content", "reasoning", "refusal", "audio", "tool call", "function call", "end"],
)
async def test_the_head_goes_out_with_the_first_content(first: dict[str, object]) -> None:
    """Whatever form it has; what came before it goes out together with it."""
    go_on = asyncio.Event()
    held = events(b": hello\n\n", ROLE, first, "[DONE]").stall(after=4, until=go_on)
    async with FaultUpstream([held]) as a, Gate({"a": a}) as gate:
        response = await gate.begin("a/m", stream=True)
        body = body_of(response)
        begun = await anext(aiter(body))
        assert begun.startswith(b": hello\n\n")
        assert json.dumps(first).encode() in begun
        go_on.set()
        assert b"[DONE]" in b"".join([piece async for piece in body])
        await body.aclose()


async def test_a_large_first_event_is_content_and_no_excess() -> None:
    """Audio and images come in events of megabytes."""
    large = delta(audio={"data": "A" * (3 << 20)})
    async with FaultUpstream([events(ROLE, large, STOP, "[DONE]")]) as a, Gate({"a": a}) as gate:
        answer = await gate.ask("a/m", stream=True)
        assert answer.events == [ROLE, large, STOP, "[DONE]"]


# -- what passes by


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("sliced", [False, True], ids=["in events", "byte for byte"])
async def test_a_stream_passes_through_byte_for_byte(newline: bytes, sliced: bool) -> None:
    """However it is cut up and whatever ends its lines: comments, ids and unknown fields included."""
    blocks = [
        b": OPENROUTER PROCESSING\n\n",
        b'data: {"choices":[{"delta":{"role":"assistant","content":""}}], "x" : 1}\n\n',
        b'id: 7\nevent: message\ndata: {"choices":[{"delta":{"content":"\xc3\xa4"}}],\ndata: "y": 2}\n\n',
        b'data:{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":null}\n\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n',
        b"data: [DONE]\n\n",
    ]
    sent = [block.replace(b"\n", newline) for block in blocks]
    behaviour = events(*sent).sliced() if sliced else events(*sent)
    async with FaultUpstream([behaviour]) as a, Gate({"a": a}) as gate:
        answer = await gate.ask("a/m", stream=True, stream_options={"include_usage": True})
        assert answer.body == b"".join(sent)
        assert (gate.closed.outcome, gate.closed.usage) == (Outcome.OK, Usage(3, 0, 0, 4, 0))


async def test_usage_is_asked_for_and_taken_out_again() -> None:
    """A client that did not ask for usage gets the stream without; the accounts get the count."""
    async with FaultUpstream(default=chat("a b", usage=(3, 4))) as a, Gate({"a": a}) as gate:
        quiet = await gate.ask("a/m", stream=True)
        asked = await gate.ask("a/m", stream=True, stream_options={"include_usage": True, "x": 1})
        refused = await gate.ask("a/m", stream=True, stream_options={"include_usage": False, "x": 2})
        whole = await gate.ask("a/m")
        sent = [one.json.get("stream_options") for one in a.completions]
        assert sent[0] == {"include_usage": True}
        assert sent[1] == {"include_usage": True, "x": 1}
        assert sent[2] == {"include_usage": True, "x": 2}
        assert sent[3] is None
        assert quiet.events == refused.events == [one for one in asked.events if "usage" not in one]
        assert asked.events[-2]["usage"]["prompt_tokens"] == 3
        assert "usage" in whole.json
        assert {entry.usage for entry in gate.ledger.closed_entries} == {Usage(3, 0, 0, 4, 0)}


async def test_usage_is_not_asked_of_a_provider_that_refuses_the_option() -> None:
    """Its stream is estimated instead."""
    async with FaultUpstream() as a, Gate({"a": a}, stream_usage=False) as gate:
        await gate.ask("a/m", stream=True)
        assert "stream_options" not in a.completions[0].json
        assert gate.closed.usage is None
        assert gate.closed.completion_bytes > 0


async def test_usage_beside_content_stays() -> None:
    """Only the event that the option adds is taken out."""
    beside = delta(content="b") | {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    filtered: dict[str, object] = {"choices": [], "prompt_filter_results": []}
    sent = events(filtered, delta(content="a"), beside, STOP, USAGE, "[DONE]")
    async with FaultUpstream([sent]) as a, Gate({"a": a}) as gate:
        answer = await gate.ask("a/m", stream=True)
        assert answer.events == [filtered, delta(content="a"), beside, STOP, "[DONE]"]


@pytest.mark.parametrize("delimited_by", ["chunks", "close"])
async def test_a_stream_without_done_is_complete_once_it_gave_a_reason(delimited_by: str) -> None:
    """Some providers just close; nothing is added to what they sent."""
    quiet = stream("a", done=False, delimited_by=delimited_by)
    async with FaultUpstream([quiet]) as a, Gate({"a": a}) as gate:
        answer = await gate.ask("a/m", stream=True)
        assert (answer.text, "[DONE]" in answer.events) == ("a", False)
        assert gate.closed.outcome == Outcome.OK


async def test_a_done_without_its_blank_line_ends_the_stream_all_the_same() -> None:
    """The blank line is added, so that clients see it."""
    cut = events(delta(content="a"), STOP, b"data: [DONE]")
    async with FaultUpstream([cut]) as a, Gate({"a": a}) as gate:
        answer = await gate.ask("a/m", stream=True)
        assert answer.events[-1] == "[DONE]"
        assert gate.closed.outcome == Outcome.OK


async def test_a_connection_is_used_again_after_its_stream() -> None:
    """The end of the reply is taken along, also where it comes when the client's has ended."""
    go_on = asyncio.Event()
    late = events(delta(content="a"), STOP, "[DONE]").stall(after=4, until=go_on)
    async with FaultUpstream([chat().joined(), late], default=chat().joined()) as a, Gate({"a": a}) as gate:
        await gate.ask("a/m", stream=True)
        await gate.ask("a/m", stream=True)
        go_on.set()
        await turns()
        await gate.ask("a/m", stream=True)
        assert a.accepted == 1


async def test_an_end_that_does_not_come_holds_up_nobody() -> None:
    """An upstream that goes on after `[DONE]`, however much it sends, loses its connection after a second."""
    go_on = asyncio.Event()
    endless = events(delta(content="a"), STOP, "[DONE]", *[b": %b\n\n" % (b"x" * 60_000)] * 200)
    async with FaultUpstream([endless.stall(after=4, until=go_on)]) as a, Gate({"a": a}) as gate:
        answer = await gate.ask("a/m", stream=True)
        assert answer.events[-1] == "[DONE]"
        gate.pass_time(AFTER_DONE / 2)
        go_on.set()
        await turns()
        assert a.open == 1
        gate.pass_time(AFTER_DONE / 2)
        await until(lambda: a.open == 0)


# -- after content


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (stream("a ", "b", error_before=1), "malformed"),
        (events(delta(content="a "), b'event: error\ndata: {"message": "no"}\n\n'), "malformed"),
        (events(delta(content="a "), delta() | {"error": {"message": "no"}}), "malformed"),
        (stream("a ", "b").reset(after=3), "truncated"),
        (stream("a ", "b").end(after=3), "truncated"),
        (stream("a ", finish=None, done=False), "truncated"),
        (stream("a ", finish=None, done=False, delimited_by="close"), "truncated"),
    ],
)
async def test_a_failure_after_content_ends_the_stream_with_an_error(failure: Behaviour, code: str) -> None:
    """No second target, no `[DONE]`: the client knows that what it has is not all."""
    async with two_targets([failure]) as (gate, _, b):
        answer = await gate.ask(stream=True)
        *content, error = answer.events
        assert "[DONE]" not in content
        assert answer.text == "a "
        assert set(error) == {"error"}
        assert set(error["error"]) == {"message", "type", "param", "code"}
        assert error["error"]["message"].startswith("The upstream failed in the middle of its reply: ")
        assert not b.requests
        entry = gate.closed
        assert (entry.outcome, entry.error, entry.target) == (Outcome.INCOMPLETE, code, "a/m")
        assert [one.outcome for one in entry.attempts] == [code]
        assert entry.completion_bytes > 0
        assert not gate.gateway.health.untroubled


async def test_a_stream_that_stalls_after_content_ends_with_an_error() -> None:
    """After the time between two events."""
    async with two_targets([stream("a ", "b").stall(after=3)]) as (gate, _, b):
        response = await gate.begin(stream=True)
        body = body_of(response)
        pieces = aiter(body)
        begun = await anext(pieces)
        waiting = asyncio.ensure_future(anext(pieces))  # noqa: TID251 - awaited below
        await turns()
        gate.pass_time(TimeLimits().gap)
        ending = await waiting
        assert b'"a "' in begun
        assert ending.startswith(b'data: {"error":')
        assert [piece async for piece in body] == []
        await body.aclose()
        assert gate.closed.error == "timeout"
        gap_us = int(TimeLimits().gap * 1e6)
        assert gate.closed.attempts == (Attempt("a/m", fingerprint("a"), "timeout", 200, gap_us),)
        assert not b.requests


async def test_usage_that_came_before_a_failure_is_recorded() -> None:
    """What is known of an incomplete reply is not thrown away."""
    beside = delta(content="a") | {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    async with FaultUpstream([events(beside)]) as a, Gate({"a": a}) as gate:
        await gate.ask("a/m", stream=True)
        assert (gate.closed.outcome, gate.closed.usage) == (Outcome.INCOMPLETE, Usage(3, 0, 0, 4, 0))


# -- clients that leave


async def test_a_client_that_leaves_before_the_head_ends_the_upstreams_work() -> None:
    """Whether the upstream has answered anything or not; it is settled as cancelled."""
    for after in (0, 1, 2):
        async with FaultUpstream([stream("a").stall(after=after)]) as a, Gate({"a": a}) as gate:
            asking = asyncio.get_running_loop().create_task(gate.begin("a/m", stream=True))
            await until(lambda: a.completions)
            await turns()
            await cancelled(asking)
            await until(lambda: a.open == 0)
            entry = gate.closed
            assert (entry.outcome, entry.status, entry.target) == (Outcome.CANCELLED, 499, "a/m")
            assert [one.outcome for one in entry.attempts] == ["cancelled"]
            assert gate.gateway.health.untroubled


@pytest.mark.parametrize("taken", [0, 1, 2])
async def test_a_client_that_leaves_in_the_middle_ends_the_upstreams_work(taken: int) -> None:
    """Also where it took no piece at all of what was there for it."""
    async with FaultUpstream([stream("a ", "b ", "c").stall(after=4)]) as a, Gate({"a": a}) as gate:
        response = await gate.begin("a/m", stream=True)
        body = body_of(response)
        pieces = aiter(body)
        for _ in range(min(taken, 1)):
            await anext(pieces)
        if taken == 2:
            waiting = asyncio.ensure_future(anext(pieces))  # noqa: TID251 - cancelled below
            await turns()
            waiting.cancel()
            await asyncio.wait({waiting})
        await body.aclose()
        await body.aclose()
        await until(lambda: a.open == 0)
        entry = gate.closed
        assert (entry.outcome, entry.status, entry.target) == (Outcome.CANCELLED, 200, "a/m")
        assert [one.outcome for one in entry.attempts] == ["cancelled"]


async def test_a_client_that_leaves_after_done_was_served() -> None:
    """The reply was complete: it is settled before its last bytes go."""
    async with FaultUpstream([chat().joined()]) as a, Gate({"a": a}) as gate:
        response = await gate.begin("a/m", stream=True)
        body = body_of(response)
        async for piece in body:
            if b"[DONE]" in piece:
                break
        assert gate.closed.outcome == Outcome.OK
        await body.aclose()
        assert gate.closed.outcome == Outcome.OK


async def test_the_accounts_know_of_the_end_before_the_client_does() -> None:
    """So that every reply that a client saw end has its row, whatever happens to this process."""
    async with FaultUpstream() as a, Gate({"a": a}) as gate:
        response = await gate.begin("a/m", stream=True)
        body = body_of(response)
        assert gate.ledger.opened_entries
        async for piece in body:
            assert bool(gate.ledger.closed_entries) == (b"[DONE]" in piece)
        await body.aclose()
