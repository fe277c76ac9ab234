"""Keep-alive comments: off unless configured; switched on, the first one commits the reply's status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import cast

import pytest

from shareai_cli.gateway.exchange import CLIENT_LEFT, Exchange, Handler, Reply, Replying
from shareai_cli.gateway.keep_alive import COMMENT, keep_alive
from shareai_cli.gateway.record import Recorder
from shareai_cli.ledger import Ledger
from shareai_cli.types import Outcome
from shareai_cli.wire.message import PushedBody, Request, Writer
from tests.support.behaviours import chat, rate_limited, reply, silence, status, stream
from tests.support.clock import FakeClock
from tests.support.gateway import CALLER, FakeLedger, Gate, cancelled, fields_of
from tests.support.taken import Taken
from tests.support.upstream import FaultUpstream
from tests.support.waiting import turns, until

EVERY = 0.01
ROUTE = {"chat": ["a/m", "b/m"]}


@asynccontextmanager
async def begun(gate: Gate, *, comments: int = 1) -> AsyncIterator[tuple[Taken, dict[bytes, bytes]]]:
    """Ask for a stream whose target is silent, and take its first comments."""
    response = await gate.begin(stream=True)
    assert isinstance(response.body, PushedBody)
    assert response.status == 200
    async with aclosing(Taken(response.body)) as pieces:
        sent = b""
        while len(sent) < comments * len(COMMENT):
            sent += await anext(pieces)
        assert sent.replace(COMMENT, b"") == b""
        yield pieces, dict(fields_of(response))


async def test_without_the_setting_nothing_is_sent_before_content() -> None:
    """The head waits for the first content, however long that takes."""
    async with FaultUpstream([chat().after_delay(0.1)]) as a, Gate({"a": a}) as gate:
        answer = await gate.ask("a/m", stream=True)
        assert answer.headers["x-shareai-target"] == "a/m"
        assert COMMENT not in answer.body


async def test_a_stream_that_is_soon_there_has_no_comments() -> None:
    """Nothing is committed before the first interval is over, so errors keep their status."""
    async with FaultUpstream([chat(), status(400)]) as a, Gate({"a": a}, comments=5.0) as gate:
        answer = await gate.ask("a/m", stream=True)
        assert answer.headers["x-shareai-target"] == "a/m"
        assert COMMENT not in answer.body
        assert (await gate.ask("a/m", stream=True)).status == 400
        assert (await gate.ask("unknown", stream=True)).status == 404


async def test_comments_fill_the_time_and_failover_goes_on() -> None:
    """The head says that the target is pending; who answered, and how many were asked, follows."""
    go_on = asyncio.Event()
    failing = status(500).stall(until=go_on)
    async with FaultUpstream([failing]) as a, FaultUpstream() as b:
        gate = Gate({"a": a, "b": b}, routes=ROUTE, comments=EVERY)
        async with gate, begun(gate, comments=3) as (body, headers):
            assert headers[b"x-shareai-target"] == b"pending"
            assert b"x-shareai-attempts" not in headers
            assert b"x-request-id" in headers
            go_on.set()
            rest = b"".join([piece async for piece in body])
            said = b": x-shareai-target: b/m x-shareai-attempts: 2\n\n"
            assert said in rest
            assert rest.index(said) < rest.index(b"Hello")
            assert rest.endswith(b"data: [DONE]\n\n")
            assert (gate.closed.outcome, gate.closed.target) == (Outcome.OK, "b/m")


async def test_a_total_failure_after_a_comment_is_an_error_event() -> None:
    """The status has gone out; the event says what the status would have said, and there is no `[DONE]`."""
    go_on = asyncio.Event()
    async with FaultUpstream([rate_limited(Retry_After="9").stall(until=go_on)]) as a:
        gate = Gate({"a": a}, routes={"chat": ["a/m"]}, comments=EVERY)
        async with gate, begun(gate) as (body, _):
            go_on.set()
            rest = b"".join([piece async for piece in body])
            ending = rest.replace(COMMENT, b"")
            assert ending.startswith(b'data: {"error":{"message":"No target of')
            assert b"no_target_available" in ending
            assert b"[DONE]" not in ending
            entry = gate.closed
            assert (entry.outcome, entry.error) == (Outcome.FAILED, "no_target_available")


async def test_a_refusal_that_is_passed_back_after_a_comment_is_one_event() -> None:
    """It is the client's own fault, and too late to say so in the status."""
    go_on = asyncio.Event()
    async with FaultUpstream([status(400, message="No.").stall(until=go_on)]) as a:
        gate = Gate({"a": a}, routes={"chat": ["a/m"]}, comments=EVERY)
        async with gate, begun(gate) as (body, _):
            go_on.set()
            rest = b"".join([piece async for piece in body])
            assert b'data: {"error": {"message": "No."' in rest
            assert rest.endswith(b"}}\n\n")
            assert gate.closed.outcome == Outcome.REJECTED


@pytest.mark.parametrize("body", [b"<html>Too large</html>", b"", b"[DONE]", b'{"detail": "no"}'])
async def test_a_refusal_of_another_shape_is_an_error_event_too(body: bytes) -> None:
    """A proxy's page, or nothing: clients read an event's data as JSON, and find out by `error`."""
    go_on = asyncio.Event()
    async with FaultUpstream([reply(body, 413).stall(until=go_on)]) as a:
        gate = Gate({"a": a}, routes={"chat": ["a/m"]}, comments=EVERY)
        async with gate, begun(gate) as (pieces, _):
            go_on.set()
            rest = b"".join([piece async for piece in pieces]).replace(COMMENT, b"")
            [event] = [one for one in rest.split(b"\n\n") if one and not one.startswith(b":")]
            error = json.loads(event.removeprefix(b"data: "))["error"]
            assert error["type"] == "invalid_request_error"
            assert "413" in error["message"]


@pytest.mark.parametrize("comments", [0, 1])
async def test_a_client_that_leaves_while_it_is_pending_ends_the_upstreams_work(comments: int) -> None:
    """With a comment taken or none; the attempt ends, and the request is settled as cancelled."""
    async with FaultUpstream([silence()]) as a:
        gate = Gate({"a": a}, routes={"chat": ["a/m"]}, comments=EVERY)
        async with gate, begun(gate, comments=comments):
            await until(lambda: a.completions)
        await until(lambda: a.open == 0)
        assert gate.closed.outcome == Outcome.CANCELLED
        assert [one.outcome for one in gate.closed.attempts] == ["cancelled"]


async def test_a_client_that_leaves_before_the_first_comment_ends_the_upstreams_work() -> None:
    """Nothing of it is left running."""
    async with FaultUpstream([silence()]) as a, Gate({"a": a}, comments=60.0) as gate:
        asking = asyncio.get_running_loop().create_task(gate.begin("a/m", stream=True))
        await until(lambda: a.completions)
        await cancelled(asking)
        await until(lambda: a.open == 0)
        assert gate.closed.outcome == Outcome.CANCELLED


@pytest.mark.parametrize("takes_content", [False, True])
async def test_a_client_that_leaves_once_content_is_there_ends_the_upstreams_work(
    takes_content: bool,
) -> None:
    """Whether it took the content, or left at the very moment at which it came."""
    after_content = 3  # the head, the role, the first text
    async with FaultUpstream([stream("a", "b").after_delay(5 * EVERY).stall(after=after_content)]) as a:
        gate = Gate({"a": a}, routes={"chat": ["a/m"]}, comments=EVERY)
        async with gate:
            async with begun(gate) as (body, _):
                await until(lambda: any(b"x-shareai-target" in piece for piece in body.waiting))
                if takes_content:
                    async for piece in body:
                        if b'"a"' in piece:
                            break
            await until(lambda: a.open == 0)
            entry = gate.closed
            assert (entry.outcome, entry.target) == (Outcome.CANCELLED, "a/m")
        assert gate.gateway.in_flight == 0


class Settling(PushedBody):
    """An answer that settles its exchange when it is let go, as a relayed stream does."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def start(self, writer: Writer) -> None:
        """Not called: nobody waits for it."""

    def pause(self) -> None:
        """Not called."""

    def resume(self) -> None:
        """Not called."""

    def close(self) -> None:
        """Settle."""
        self._exchange.settle(Outcome.CANCELLED)


def recorded(ledger: FakeLedger, every: float, answer: Handler) -> Replying:
    """Pass a stream's request through the recorder and this stage to `answer`."""
    recorder = Recorder(cast(Ledger, ledger), FakeClock(), lambda entry: None)
    request = Request("POST", "/v1/chat/completions", "", "1.1", {}, b"{}")
    exchange = Exchange(request, recorder, 1, 0, 0.0, caller=CALLER, streamed=True)
    return recorder(keep_alive(lambda: every)(answer))(exchange)


async def test_a_client_that_leaves_as_its_answer_comes_has_left_in_the_accounts_too() -> None:
    """In the same turn of the loop: no status was sent, so there is none of an answer's."""
    ledger = FakeLedger()

    async def answer(exchange: Exchange) -> Reply:
        asking.cancel()
        return Reply(200, [], Settling(exchange))

    asking = asyncio.get_running_loop().create_task(recorded(ledger, 60.0, answer))
    await asyncio.wait({asking})
    assert asking.cancelled()
    [entry] = ledger.closed_entries
    assert (entry.status, entry.outcome) == (CLIENT_LEFT, Outcome.CANCELLED)


async def test_what_goes_wrong_in_here_after_a_comment_has_failed_in_the_accounts() -> None:
    """The reply is cut off, as it has begun; it was not the client that left."""
    ledger = FakeLedger()
    go_on = asyncio.Event()

    async def answer(exchange: Exchange) -> Reply:
        await go_on.wait()
        raise ZeroDivisionError

    response = await recorded(ledger, EVERY, answer)
    assert isinstance(response.body, PushedBody)
    async with aclosing(Taken(response.body)) as pieces:
        await anext(pieces)
        go_on.set()
        with pytest.raises(RuntimeError):
            async for _ in pieces:
                pass
    [entry] = ledger.closed_entries
    assert (entry.outcome, entry.error) == (Outcome.FAILED, "internal_error")


class Full(Taken):
    """A client that has enough as soon as a piece holds `enough`."""

    def __init__(self, body: PushedBody, enough: bytes) -> None:
        super().__init__(body)
        self._enough = enough

    def write(self, piece: bytes) -> None:
        """Take a piece, and have no more come."""
        super().write(piece)
        if self._enough in piece:
            self._body.pause()


@pytest.mark.parametrize("enough", [COMMENT, b'"a"'], ids=["while-pending", "at-the-content"])
async def test_a_client_that_has_enough_when_the_answer_comes_has_its_target_wait(enough: bytes) -> None:
    """What it does not take, which may be images, does not pile up in here."""
    more = asyncio.Event()
    after_content = 3  # the head, the role, the first text
    slow = stream("a", "b").after_delay(5 * EVERY).stall(after=after_content, until=more)
    async with FaultUpstream([slow]) as a, Gate({"a": a}, comments=EVERY) as gate:
        response = await gate.begin("a/m", stream=True)
        assert isinstance(response.body, PushedBody)
        async with aclosing(Full(response.body, enough)) as pieces:
            sent = b""
            while b'"a"' not in sent:
                sent += await anext(pieces)
            more.set()
            await turns()
            assert pieces.waiting == []
            response.body.resume()
            assert b"".join([piece async for piece in pieces]).endswith(b"data: [DONE]\n\n")
