"""Completions of a text and embeddings go a chat's whole way: routes, failover, accounts, limits, cache."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from shareai_cli.config import CacheSettings
from shareai_cli.types import Budget, Caller, Limits, Outcome, Subject, Usage
from tests.support.behaviours import Behaviour, chat, events, reply, status
from tests.support.gateway import KEY, Answer, Gate, key_digest
from tests.support.upstream import FaultUpstream

ROUTES = {"any": ["a/m", "b/m"]}
TEXT = {"model": "any", "prompt": "Once upon a time"}
TEXTS = {"model": "any", "input": ["one", "two"]}

COMPLETED = {
    "id": "cmpl-1",
    "object": "text_completion",
    "choices": [{"index": 0, "text": " there was", "logprobs": None, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6},
}
EMBEDDED = {
    "object": "list",
    "data": [{"object": "embedding", "index": index, "embedding": [0.6, 0.8]} for index in range(2)],
    "usage": {"prompt_tokens": 7, "total_tokens": 7},
}


def answered(value: Mapping[str, Any]) -> Behaviour:
    return reply(json.dumps(value).encode())


def streamed(usage: bool = True) -> Behaviour:
    choice = {"index": 0, "logprobs": None}
    chunks: list[Any] = [
        {"choices": [{**choice, "text": "", "finish_reason": None}]},
        {"choices": [{**choice, "text": " there", "finish_reason": None}]},
        {"choices": [{**choice, "text": " was", "finish_reason": "stop"}]},
    ]
    if usage:
        chunks.append({"choices": [], "usage": COMPLETED["usage"]})
    return events(*chunks, "[DONE]")


async def complete(gate: Gate, **fields: object) -> Answer:
    return await gate.send(json.dumps(TEXT | fields).encode(), path="/v1/completions")


async def embed(gate: Gate, **fields: object) -> Answer:
    return await gate.send(json.dumps(TEXTS | fields).encode(), path="/v1/embeddings")


async def test_both_are_routed_to_their_own_paths_and_recorded_with_tokens() -> None:
    """The reply is the target's, byte for byte; the accounts have what it cost, and a hash of the prompt."""
    async with (
        FaultUpstream([answered(COMPLETED), answered(EMBEDDED)]) as a,
        FaultUpstream() as b,
        Gate({"a": a, "b": b}, routes=ROUTES) as gate,
    ):
        text, vectors = await complete(gate), await embed(gate)
        assert (text.json, vectors.json) == (COMPLETED, EMBEDDED)
        assert [one.path for one in a.requests] == ["/v1/completions", "/v1/embeddings"]
        assert [one.json["model"] for one in a.requests] == ["m", "m"]
        assert text.headers["x-shareai-target"] == vectors.headers["x-shareai-target"] == "a/m"
        first, second = gate.ledger.closed_entries
        assert (first.outcome, first.usage, first.route) == (Outcome.OK, Usage(4, completion=2), "any")
        assert (second.outcome, second.usage, second.completion_bytes) == (Outcome.OK, Usage(7), 0)
        assert first.fingerprint != second.fingerprint != b""
        assert len(gate.ledger.opened_entries) == 2


async def test_a_completion_streams_with_usage_that_the_client_did_not_ask_for_taken_out() -> None:
    """As with chats: it is asked for, counted, and passed on only where it is wanted."""
    async with (
        FaultUpstream([streamed(), streamed()]) as a,
        FaultUpstream() as b,
        Gate({"a": a, "b": b}, routes=ROUTES) as gate,
    ):
        plain = await complete(gate, stream=True)
        assert [one["choices"][0]["text"] for one in plain.events[:-1]] == ["", " there", " was"]
        wanted = await complete(gate, stream=True, stream_options={"include_usage": True})
        assert wanted.events[-2]["usage"] == COMPLETED["usage"]
        assert all(one.wants_usage for one in a.requests)
        assert [one.usage for one in gate.ledger.closed_entries] == [Usage(4, completion=2)] * 2


@pytest.mark.parametrize(
    "fault",
    [
        status(500),
        status(429),
        status(401),
        status(404),
        status(501),
        chat().reset(after=0),
        reply(b"{}"),
        reply(b'{"error": {"message": "no"}, "data": [], "choices": []}'),
        reply(b"<html>"),
    ],
)
async def test_whoever_fails_is_followed_by_the_next(fault: Behaviour) -> None:
    """Failover is that of chats; a reply without what was asked for is a failure."""
    for ask, value in ((complete, COMPLETED), (embed, EMBEDDED)):
        async with (
            FaultUpstream([fault]) as a,
            FaultUpstream([answered(value)]) as b,
            Gate({"a": a, "b": b}, routes=ROUTES) as gate,
        ):
            answer = await ask(gate)
            assert answer.json == value
            assert answer.headers["x-shareai-target"] == "b/m"
            assert [one.target for one in gate.closed.attempts] == ["a/m", "b/m"]


async def test_a_stream_that_fails_before_its_text_is_followed_by_the_next() -> None:
    """A first event without text is no content."""
    broken = events({"choices": [{"index": 0, "text": "", "finish_reason": None}]}).end(after=2)
    async with (
        FaultUpstream([broken]) as a,
        FaultUpstream([streamed()]) as b,
        Gate({"a": a, "b": b}, routes=ROUTES) as gate,
    ):
        answer = await complete(gate, stream=True)
        assert answer.headers["x-shareai-target"] == "b/m"
        assert answer.events[-2]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("code", [404, 405, 410, 501])
async def test_a_target_that_makes_no_embeddings_still_chats(code: int) -> None:
    """That a provider does not have the path is not held against it, however often."""
    async with (
        FaultUpstream(default=lambda one: chat() if "chat" in one.path else status(code)) as a,
        FaultUpstream(default=answered(EMBEDDED)) as b,
        Gate({"a": a, "b": b}, routes=ROUTES) as gate,
    ):
        for _ in range(6):
            assert (await embed(gate)).headers["x-shareai-target"] == "b/m"
        assert (await gate.ask("any")).headers["x-shareai-target"] == "a/m"
        assert gate.notices == []


async def test_what_the_client_did_wrong_is_passed_back() -> None:
    """A 400 is the target's own word, and is not retried."""
    async with (
        FaultUpstream([status(400)]) as a,
        FaultUpstream() as b,
        Gate({"a": a, "b": b}, routes=ROUTES) as gate,
    ):
        assert (await embed(gate, dimensions=10**9)).status == 400
        assert not b.requests
        assert gate.closed.outcome is Outcome.REJECTED


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("completions", {"model": "any"}, "prompt"),
        ("completions", {"model": "any", "prompt": {"a": 1}}, "prompt"),
        ("completions", {"model": "any", "prompt": None}, "prompt"),
        ("completions", TEXT | {"messages": []}, "messages"),
        ("completions", TEXT | {"input": "x"}, "input"),
        ("completions", TEXT | {"stream": "yes"}, "stream"),
        ("embeddings", {"input": "x"}, "model"),
        ("embeddings", {"model": "any", "input": 5}, "input"),
        ("embeddings", TEXTS | {"prompt": "x"}, "prompt"),
    ],
)
async def test_a_body_that_cannot_be_understood_is_refused(path: str, body: object, param: str) -> None:
    """With the field; nobody is asked."""
    async with FaultUpstream() as a, Gate({"a": a}, routes={"any": ["a/m"]}) as gate:
        answer = await gate.send(json.dumps(body).encode(), path=f"/v1/{path}")
        assert (answer.status, answer.error["param"]) == (400, param)
        assert not a.requests


async def test_keys_are_needed_and_keep_to_their_models() -> None:
    """No key is a 401; one that is for other models a 403."""
    async with FaultUpstream() as a, Gate({"a": a}, routes={"any": ["a/m"]}) as gate:
        refused = await gate.send(json.dumps(TEXTS).encode(), path="/v1/embeddings", key=None)
        assert refused.status == 401
        gate.gateway.replace_keys({key_digest(KEY): Caller(7, "laptop", "default", allowed=("other",))})
        answer = await embed(gate)
        assert (answer.status, answer.error["code"]) == (403, "model_not_allowed")
        assert (await gate.get("/v1/embeddings")).status == 405
        assert (await gate.send(b"{}", path="/embeddings")).status == 404
        assert not a.requests


async def test_equal_requests_share_what_is_kept_and_kinds_do_not() -> None:
    """The same texts are embedded once; a completion of the same model is another request."""
    async with (
        FaultUpstream(
            default=lambda one: answered(EMBEDDED if "embed" in one.path else COMPLETED),
        ) as a,
        Gate({"a": a}, routes={"any": ["a/m"]}, cache=CacheSettings(60.0)) as gate,
    ):
        kept = [(await embed(gate)).headers["x-shareai-cache"] for _ in range(2)]
        assert kept == ["miss", "hit"]
        kept = [(await complete(gate, prompt="one")).headers["x-shareai-cache"] for _ in range(2)]
        assert kept == ["miss", "hit"]
        assert (await embed(gate)).json == EMBEDDED
        assert len(a.requests) == 2


async def test_limits_count_their_tokens_and_budgets_their_money() -> None:
    """Embeddings have no answer to reserve for, and nothing is put into their request."""
    key = Subject("key", "laptop", (7,))
    budget = Budget("month", 5_000)
    limits = {key: Limits(budgets=(budget,))}
    async with (
        FaultUpstream(default=lambda one: answered(EMBEDDED if "embed" in one.path else COMPLETED)) as a,
        Gate({"a": a}, routes={"any": ["a/m"]}, limits=limits, price_as={"a": "openai"}) as gate,
    ):
        assert (await embed(gate)).status == 200
        assert a.requests[-1].json == TEXTS | {"model": "m"}
        assert (await complete(gate)).status == 200
        assert 256 <= a.requests[-1].json["max_tokens"] < 16_384
        assert "max_completion_tokens" not in a.requests[-1].json
        [use] = gate.gateway.limit_use()
        assert use.used == 7 + 4 + 2 * 2
