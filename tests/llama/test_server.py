from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from shareai_cli.llama.demo.build import ANSWER, LONG_STREAM
from tests.support.model_server import CONTEXT, SECRET, SLOTS, Running
from tests.support.waiting import until

CHAT = "/v1/chat/completions"


def body(content: str = "hi", **fields: object) -> dict[str, object]:
    return {"model": "shareai-demo", "messages": [{"role": "user", "content": content}], **fields}


async def post(served: Running, content: str = "hi", **fields: object) -> httpx.Response:
    return await served.client.post(CHAT, json=body(content, **fields))


def events(text: str) -> list[Any]:
    assert text.endswith("data: [DONE]\n\n")
    return [json.loads(line[6:]) for line in text.split("\n\n") if line and line != "data: [DONE]"]


async def test_a_completion_is_openais_object_with_exact_usage(running: Running) -> None:
    """The whole answer, why it ended, and the model's own token counts."""
    reply = await post(running, "hi")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    value = reply.json()
    assert value["object"] == "chat.completion"
    assert value["model"] == "shareai-demo"
    [choice] = value["choices"]
    assert choice["message"] == {"role": "assistant", "content": ANSWER, "refusal": None}
    assert choice["finish_reason"] == "stop"
    # <s> <|user|> h i <|end|> <|answer|>
    assert value["usage"]["prompt_tokens"] == 6
    assert value["usage"]["total_tokens"] == 6 + value["usage"]["completion_tokens"]


async def test_a_stream_begins_with_the_role_and_ends_with_usage(running: Running) -> None:
    """One event a token of content, a finish, usage with no choices, and [DONE]."""
    reply = await post(running, "a long stream", stream=True, stream_options={"include_usage": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    first, *content, finish, usage = events(reply.text)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert len(content) == 400
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in content) == LONG_STREAM
    assert finish["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 400
    assert len({chunk["id"] for chunk in [first, *content, finish, usage]}) == 1


async def test_choices_have_their_own_events_and_one_usage(running: Running) -> None:
    """`n` gives as many choices, each with its text and end; the prompt is counted once."""
    whole = (await post(running, "hi", n=2)).json()
    assert [choice["index"] for choice in whole["choices"]] == [0, 1]
    assert [choice["message"]["content"] for choice in whole["choices"]] == [ANSWER, ANSWER]
    assert whole["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    alone = (await post(running, "hi")).json()["usage"]
    assert whole["usage"]["prompt_tokens"] == alone["prompt_tokens"]
    assert whole["usage"]["completion_tokens"] == 2 * alone["completion_tokens"]

    reply = await post(running, "hi", n=2, stream=True, stream_options={"include_usage": True})
    *chunks, usage = events(reply.text)
    for index in (0, 1):
        of_choice = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == index]
        assert of_choice[0]["delta"]["role"] == "assistant"
        assert "".join(choice["delta"].get("content", "") for choice in of_choice) == ANSWER
        assert [choice["finish_reason"] for choice in of_choice[-2:]] == [None, "stop"]
    assert usage["usage"]["completion_tokens"] == 2 * alone["completion_tokens"]


async def test_probabilities_come_only_when_asked_for(running: Running) -> None:
    """`logprobs` tells each token of the content with `top_logprobs` others, streamed or not."""
    plain = (await post(running, "hi")).json()["choices"][0]
    assert plain["logprobs"] is None
    asked = (await post(running, "hi", logprobs=True, top_logprobs=2)).json()["choices"][0]
    content = asked["logprobs"]["content"]
    assert "".join(token["token"] for token in content) == ANSWER
    assert all(token["bytes"] == list(token["token"].encode()) for token in content)
    assert all(len(token["top_logprobs"]) == 2 for token in content)
    # The chain's next token is as good as certain.
    assert all(token["logprob"] > -0.01 for token in content)
    assert all(token["top_logprobs"][0]["token"] == token["token"] for token in content)
    streamed = events((await post(running, "hi", logprobs=True, stream=True)).text)
    scores = [
        chunk["choices"][0]["logprobs"]["content"] for chunk in streamed if chunk["choices"][0]["logprobs"]
    ]
    assert "".join(token["token"] for tokens in scores for token in tokens) == ANSWER
    assert all(token["top_logprobs"] == [] for tokens in scores for token in tokens)


async def test_what_a_prompt_shares_with_the_last_one_is_told(running: Running) -> None:
    """`cached_tokens` counts what was not computed again."""
    first = (await post(running, "one and the same prompt")).json()["usage"]
    again = (await post(running, "one and the same prompt")).json()["usage"]
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert again["prompt_tokens_details"]["cached_tokens"] == again["prompt_tokens"] - 1


async def test_biases_and_stop_tokens_reach_the_draw(running: Running) -> None:
    """`logit_bias` with -100 keeps a token away, `stop_token_ids` end a reply."""
    model = running.model
    [third] = model.tokenize(" 3")[-1:]
    banned = (await post(running, "long stream", max_tokens=3, logit_bias={str(third): -100})).json()
    assert banned["choices"][0]["message"]["content"].startswith("1 2")
    assert banned["choices"][0]["message"]["content"] != "1 2 3"
    stopped = (await post(running, "long stream", stop_token_ids=[third])).json()["choices"][0]
    assert (stopped["message"]["content"], stopped["finish_reason"]) == ("1 2", "stop")


async def test_a_tool_call_grows_in_a_stream_and_comes_whole_otherwise(running: Running) -> None:
    """What the model writes in the Hermes form reaches the client in OpenAI's, streamed or not."""
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
    whole = (await post(running, "weather?", tools=tools)).json()["choices"][0]
    assert whole["finish_reason"] == "tool_calls"
    assert whole["message"]["content"] is None
    [call] = whole["message"]["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]) == {"location": "Paris"}

    streamed = events((await post(running, "weather?", tools=tools, stream=True)).text)
    deltas = [chunk["choices"][0]["delta"] for chunk in streamed]
    [first], *more = [delta["tool_calls"] for delta in deltas if "tool_calls" in delta]
    assert first["function"] == {"name": "get_weather", "arguments": ""}
    assert {one["index"] for [one] in more} == {first["index"]} == {0}
    grown = "".join(one["function"]["arguments"] for [one] in more)
    assert grown == call["function"]["arguments"]
    assert streamed[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert not any(delta.get("content") for delta in deltas)

    answered = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "sunny"},
    ]
    after = await post(running, tools=tools, messages=answered)
    assert after.json()["choices"][0]["message"]["content"] == ANSWER


async def test_a_tools_schema_that_no_grammar_keeps_stands_against_no_call_that_need_not_come(
    running: Running,
) -> None:
    """Where one has to come it is the client's mistake."""
    endless = {"anyOf": [{"$ref": "#"}, {"type": "null"}]}
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": endless}}]
    free = (await post(running, "weather?", tools=tools)).json()["choices"][0]
    assert free["message"]["tool_calls"][0]["function"]["name"] == "get_weather"
    demanded = await post(running, "weather?", tools=tools, tool_choice="required")
    assert demanded.status_code == 400
    assert "schemas" in demanded.json()["error"]["message"]


async def test_limits_and_stops_are_kept(running: Running) -> None:
    """`max_tokens` counts exactly, `max_completion_tokens` goes before it, `stop` ends before its string."""
    short = (await post(running, "long stream", max_tokens=5)).json()
    assert short["choices"][0]["message"]["content"] == "1 2 3 4 5"
    assert short["choices"][0]["finish_reason"] == "length"
    assert short["usage"]["completion_tokens"] == 5
    newer = (await post(running, "long stream", max_tokens=50, max_completion_tokens=2)).json()
    assert newer["usage"]["completion_tokens"] == 2
    stopped = (await post(running, "long stream", stop=[" 7 8"])).json()["choices"][0]
    assert (stopped["message"]["content"], stopped["finish_reason"]) == ("1 2 3 4 5 6", "stop")


async def test_a_reply_ends_where_the_context_does(running: Running) -> None:
    """A model that never ends is ended by its context, with the reason `length`."""
    value = (await post(running, "endless stream")).json()
    assert value["choices"][0]["finish_reason"] == "length"
    assert value["usage"]["total_tokens"] == CONTEXT


async def test_too_long_messages_are_refused_with_both_figures(running: Running) -> None:
    """A prompt that leaves no room is a 400 `context_length_exceeded` that says how long and how much."""
    reply = await post(running, "x" * 5000)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert error["param"] == "messages"
    assert "5004" in error["message"]
    assert str(CONTEXT) in error["message"]
    assert reply.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 3}, "n"),
        ({"logit_bias": {"100000": 1}}, "logit_bias"),
        ({"temperature": 9}, "temperature"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
    ],
)
async def test_bad_parameters_are_a_400_and_the_server_goes_on(
    running: Running, fields: dict[str, Any], param: str | None
) -> None:
    """The field is named, and the next request is answered."""
    reply = await post(running, **fields)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == (param or next(iter(fields)))
    assert (await post(running, max_tokens=1)).status_code == 200


async def test_unknown_models_paths_methods_and_secrets_are_refused(running: Running) -> None:
    """404 `model_not_found`, 404, 405, and one 401 for whoever has not the secret."""
    assert (await post(running, model="other")).json()["error"]["code"] == "model_not_found"
    assert (await running.client.get("/v1/nothing")).status_code == 404
    assert (await running.client.get(CHAT)).status_code == 405
    for wrong in ("", "Bearer wrong", "Basic x"):
        reply = await running.client.post(CHAT, json=body(), headers={"Authorization": wrong})
        assert reply.status_code == 401
        assert SECRET not in reply.text
    assert (await running.client.get("/health")).json()["context"] == CONTEXT


async def test_a_client_that_leaves_a_stream_frees_the_engine(running: Running) -> None:
    """The engine stops with the stream that it worked for, and answers the next one."""
    async with running.client.stream("POST", CHAT, json=body("endless stream", stream=True)) as reply:
        assert b"tick" in await anext(reply.aiter_bytes())
    await running.idle()
    assert (await post(running)).json()["choices"][0]["message"]["content"] == ANSWER


async def test_a_request_waits_and_more_than_may_wait_get_a_429(roomy: Running) -> None:
    """A request waits for the engine; with the queue full the next is told when to come again."""
    endless = body("endless stream", stream=True, n=SLOTS)
    async with roomy.client.stream("POST", CHAT, json=endless) as reply:
        pieces = reply.aiter_bytes()
        await anext(pieces)
        waiting = asyncio.get_running_loop().create_task(post(roomy))
        await until(lambda: roomy.scheduler.load().waiting and roomy.scheduler.load().running == SLOTS)
        refused = await post(roomy)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "engine_busy"
        health = (await roomy.client.get("/health")).json()
        assert (health["slots"], health["running"], health["waiting"]) == (SLOTS, SLOTS, 1)
        await reply.aclose()
    assert (await waiting).json()["choices"][0]["message"]["content"] == ANSWER
