"""What the accounts hold of each exchange, and that every end of one is settled exactly once."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref

import pytest

from shareai_cli.gateway.exchange import CLIENT_LEFT
from shareai_cli.types import Attempt, Outcome, Usage
from shareai_cli.wire.message import Request
from tests.support.behaviours import chat, events, reply, silence, status, stream
from tests.support.gateway import CALLER, KEY, NOW, FakeLedger, Gate, cancelled, chat_body, fingerprint
from tests.support.upstream import FaultUpstream
from tests.support.waiting import turns, until


async def test_an_answered_request_is_told_in_full() -> None:
    """Who asked, what was asked, who answered with which key, what it took."""
    body = chat_body("chat")
    async with (
        FaultUpstream([status(500)]) as a,
        FaultUpstream([chat(usage=(9, 12))]) as b,
        Gate({"a": a, "b": b}, routes={"chat": ["a/small", "b/large"]}) as gate,
    ):
        answer = await gate.send(body)
        [opened] = gate.ledger.opened_entries
        closed = gate.closed
        assert answer.headers["x-request-id"] == f"req_{closed.request:016x}"
        for entry in (opened, closed):
            assert (entry.caller_key, entry.team) == (CALLER.key_id, CALLER.team)
            assert (entry.request, entry.time_ms) == (closed.request, int(NOW * 1000))
            assert (entry.route, entry.streamed, entry.prompt_bytes) == ("chat", False, len(body))
        assert (closed.target, closed.model, closed.price_as) == ("b/large", "large", "priced-b")
        assert closed.provider_key == fingerprint("b")
        assert (closed.status, closed.outcome, closed.error) == (200, Outcome.OK, "")
        assert closed.usage == Usage(9, 0, 0, 12, 0)
        assert closed.completion_bytes == len(answer.body)
        assert closed.attempts == (
            Attempt("a/small", fingerprint("a"), "status", 500, 0, "priced-a"),
            Attempt("b/large", fingerprint("b"), "ok", 200, 0),
        )


async def test_times_are_taken_from_when_the_request_came() -> None:
    """To the first content, to the end, and of each attempt, in microseconds."""
    go_on = asyncio.Event()
    slow = stream("a ", "b").stall(after=2, until=go_on)
    async with (
        FaultUpstream([silence(), slow]) as a,
        Gate({"a": a}, routes={"chat": ["a/m", "a/n"]}) as gate,
    ):
        beginning = asyncio.get_running_loop().create_task(gate.begin(stream=True))
        await until(lambda: len(a.completions) == 1)
        gate.pass_time(30)
        await until(lambda: len(a.completions) == 2)
        await turns()
        gate.pass_time(2.5)
        go_on.set()
        response = await beginning
        gate.pass_time(1.5)
        await gate.take(response)
        closed = gate.closed
        assert [one.duration_us for one in closed.attempts] == [30_000_000, 4_000_000]
        assert (closed.first_token_us, closed.total_us) == (32_500_000, 34_000_000)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (  # OpenAI: cached and reasoning are parts of prompt and completion
            {
                "prompt_tokens": 2006,
                "completion_tokens": 300,
                "total_tokens": 2306,
                "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 200, "accepted_prediction_tokens": 0},
            },
            Usage(86, 1920, 0, 100, 200),
        ),
        (  # Anthropic's compatible endpoint: details are there and empty
            {
                "prompt_tokens": 10,
                "completion_tokens": 20,
                "total_tokens": 30,
                "prompt_tokens_details": None,
                "completion_tokens_details": None,
            },
            Usage(10, 0, 0, 20, 0),
        ),
        (  # Gemini's compatible endpoint: thinking is in the total alone
            {"prompt_tokens": 8, "completion_tokens": 5, "total_tokens": 113},
            Usage(8, 0, 0, 5, 100),
        ),
        (  # DeepSeek: hits and misses of its cache make up the prompt
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_cache_hit_tokens": 64,
                "prompt_cache_miss_tokens": 36,
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            Usage(36, 64, 0, 20, 30),
        ),
        (  # OpenAI: audio, in and out
            {
                "prompt_tokens": 100,
                "completion_tokens": 20,
                "total_tokens": 120,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 80},
                "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
            },
            Usage(100, 0, 0, 20, 0, has_audio=True),
        ),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 20,
                "total_tokens": 130,
                "completion_tokens_details": {"audio_tokens": 5},
            },
            Usage(100, 0, 0, 20, 10, has_audio=True),
        ),
        (  # OpenRouter: with what was written to a cache
            {
                "prompt_tokens": 100,
                "completion_tokens": 5,
                "total_tokens": 105,
                "cost": 0.01,
                "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 70},
            },
            Usage(10, 20, 70, 5, 0),
        ),
    ],
    ids=["OpenAI", "Anthropic", "Gemini", "DeepSeek", "heard", "spoken", "OpenRouter"],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_usage_is_recorded_as_counts_that_never_overlap(
    streamed: bool, usage: dict[str, object], counts: Usage
) -> None:
    """However the provider counts, in both forms of a reply."""
    if streamed:
        delta = {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}
        behaviour = events(delta, {"choices": [], "usage": usage}, "[DONE]")
    else:
        behaviour = reply(json.dumps({"choices": [{"message": {"content": "a"}}], "usage": usage}).encode())
    async with FaultUpstream([behaviour]) as a, Gate({"a": a}) as gate:
        assert (await gate.ask("a/m", stream=streamed)).status == 200
        assert gate.closed.usage == counts


@pytest.mark.parametrize("usage", [None, "many", {"prompt_tokens": -1}, {"prompt_tokens": 1e300}, [], {}])
async def test_odd_usage_fails_no_request(usage: object) -> None:
    """The reply passes on; the counts are unknown."""
    body = json.dumps({"choices": [], "usage": usage}).encode()
    async with FaultUpstream([reply(body)]) as a, Gate({"a": a}) as gate:
        answer = await gate.ask("a/m")
        assert (answer.status, answer.body) == (200, body)
        assert gate.closed.usage is None


async def test_a_client_that_leaves_before_the_reply_cancels_its_request() -> None:
    """The upstream's connection is closed, and the row says who was being asked."""
    async with FaultUpstream([silence()]) as a, Gate({"a": a}, routes={"chat": ["a/m"]}) as gate:
        asking = asyncio.get_running_loop().create_task(gate.ask())
        await until(lambda: a.completions)
        assert gate.gateway.in_flight == 1
        await cancelled(asking)
        await until(lambda: a.open == 0)
        closed = gate.closed
        assert (closed.outcome, closed.status, closed.target) == (Outcome.CANCELLED, CLIENT_LEFT, "a/m")
        assert closed.price_as == "priced-a"
        assert [one.outcome for one in closed.attempts] == ["cancelled"]


async def test_a_client_that_leaves_while_models_are_looked_up_cancels_its_request() -> None:
    """Before anything was sent on: there is no attempt."""
    async with FaultUpstream(models=silence()) as a, Gate({"a": a}) as gate:
        asking = asyncio.get_running_loop().create_task(gate.ask("bare"))
        await until(lambda: a.requests)
        await cancelled(asking)
        closed = gate.closed
        assert (closed.outcome, closed.attempts, gate.ledger.opened_entries) == (Outcome.CANCELLED, (), [])


async def test_a_failing_trial_of_a_client_that_left_leaves_the_next_one_free() -> None:
    """A cancelled request says nothing about its target."""
    async with FaultUpstream([*[status(500)] * 3, silence()]) as a, Gate({"a": a}) as gate:
        for _ in range(3):
            await gate.ask("a/m")
        gate.pass_time(5)
        asking = asyncio.get_running_loop().create_task(gate.ask("a/m"))
        await until(lambda: len(a.completions) == 4)
        await cancelled(asking)
        assert (await gate.ask("a/m")).status == 200


async def test_many_at_once_are_each_settled_once() -> None:
    """Whatever mixture of ends they come to."""
    kinds = [chat(), status(400), status(500), silence(), reply(b"{}"), chat()]
    async with (
        FaultUpstream(kinds * 10) as a,
        FaultUpstream() as b,
        Gate({"a": a, "b": b}, routes={"chat": ["a/m", "b/m"]}) as gate,
    ):
        loop = asyncio.get_running_loop()
        asking = [loop.create_task(gate.ask(stream=number % 2 == 0)) for number in range(60)]
        await until(lambda: len(a.completions) == 60)
        await turns()
        for task in asking[::7]:
            task.cancel()
        await turns()
        gate.pass_time(600)
        await asyncio.wait(asking)
        assert len(gate.ledger.closed_entries) == len(gate.ledger.opened_entries) == 60
        assert len({entry.request for entry in gate.ledger.closed_entries}) == 60


async def test_numbers_go_on_where_the_accounts_end() -> None:
    """Also where the clock was set back between two runs: no number is given twice."""
    ledger = FakeLedger()
    ledger.newest_request = (1 << 62) + 5
    async with FaultUpstream() as a, Gate({"a": a}, ledger=ledger) as gate:
        answer = await gate.ask("a/m")
        assert gate.closed.request == (1 << 62) + 6
        assert answer.headers["x-request-id"] == "req_4000000000000006"


class Fields(dict[bytes, bytes]):
    """Headers of which one can see when they go."""


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_an_exchange_goes_when_it_has_ended(streamed: bool) -> None:
    """Nothing of it waits for the collector of cycles: requests may be large, and are many."""
    async with FaultUpstream() as a, Gate({"a": a}) as gate:
        headers = Fields({b"authorization": f"Bearer {KEY}".encode()})
        gone = weakref.ref(headers)
        body = chat_body("a/m", stream=streamed)
        gc.disable()
        try:
            response = await gate.gateway.respond(
                Request("POST", "/v1/chat/completions", "", "1.1", headers, body)
            )
            await gate.take(response)
            del headers, response
            await turns()
            assert gone() is None
        finally:
            gc.enable()
