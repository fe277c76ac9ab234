"""OpenAI's own client takes what a model's process answers, without a word of ours in between."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionToolUnionParam
from pydantic import BaseModel

from shareai_cli.llama.demo.build import ANSWER, LONG_STREAM
from tests.support import chain_models
from tests.support.model_server import CONTEXT, SECRET, SLOTS, Running, serve

MODEL = "shareai-demo"


@asynccontextmanager
async def client_of(served: Running, key: str = SECRET) -> AsyncIterator[openai.AsyncOpenAI]:
    base_url = f"{served.client.base_url}/v1"
    async with openai.AsyncOpenAI(api_key=key, base_url=base_url, max_retries=0) as client:
        yield client


@pytest.fixture
async def demo_client(running: Running) -> AsyncIterator[openai.AsyncOpenAI]:
    async with client_of(running) as client:
        yield client


@pytest.fixture
async def random_client(random_running: Running) -> AsyncIterator[openai.AsyncOpenAI]:
    async with client_of(random_running) as client:
        yield client


@pytest.fixture(params=["hermes", "mistral"])
async def thinker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[openai.AsyncOpenAI]:
    """A client of a model that thinks, and calls functions, in one form or another."""
    write = {"hermes": chain_models.write_hermes, "mistral": chain_models.write_mistral}[request.param]
    async with serve(path=write(tmp_path / "chains.gguf")) as served, client_of(served) as client:
        yield client


@pytest.fixture
async def hermes(tmp_path: Path) -> AsyncIterator[openai.AsyncOpenAI]:
    path = chain_models.write_hermes(tmp_path / "chains.gguf")
    async with serve(path=path) as served, client_of(served) as client:
        yield client


def user(content: str) -> Any:
    return [{"role": "user", "content": content}]


class weather(BaseModel):  # noqa: N801 - the function's name
    city: str
    days: int


class now(BaseModel):  # noqa: N801 - the function's name
    pass


TOOLS: list[ChatCompletionToolUnionParam] = [
    openai.pydantic_function_tool(weather),
    openai.pydantic_function_tool(now),
]


async def test_a_stream_with_its_usage(demo_client: openai.AsyncOpenAI) -> None:
    """Every token of it, why it ended, and the counts at its end."""
    stream = await demo_client.chat.completions.create(
        model=MODEL,
        messages=user("long stream"),
        stream=True,
        stream_options={"include_usage": True},
    )
    text, usage, reason = "", None, None
    async for chunk in stream:
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
            reason = chunk.choices[0].finish_reason or reason
        usage = chunk.usage or usage
    assert (text, reason) == (LONG_STREAM, "stop")
    assert usage is not None
    assert usage.completion_tokens == 400
    assert usage.prompt_tokens_details is not None


async def test_probabilities(demo_client: openai.AsyncOpenAI) -> None:
    """Of each token, and of the likeliest in its place."""
    whole = await demo_client.chat.completions.create(
        model=MODEL, messages=user("hi"), logprobs=True, top_logprobs=3, max_tokens=4, temperature=0
    )
    [choice] = whole.choices
    assert choice.logprobs is not None
    tokens = choice.logprobs.content or []
    assert len(tokens) == 4
    assert ANSWER.startswith("".join(one.token for one in tokens))
    assert all(len(one.top_logprobs) == 3 and one.top_logprobs[0].token == one.token for one in tokens)
    assert all(one.logprob <= 0 for one in tokens)


async def test_parallel_calls_whole_and_streamed(hermes: openai.AsyncOpenAI) -> None:
    """The client puts the streamed deltas together to the same calls, parsed by their models."""
    whole = await hermes.chat.completions.create(model=MODEL, messages=user("call"), tools=TOOLS)
    [choice] = whole.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Let me see."
    made = [(one.function.name, json.loads(one.function.arguments)) for one in calls_of(choice.message)]
    assert made == [("weather", {"city": "Rome", "days": 2}), ("now", {})]
    assert len({one.id for one in calls_of(choice.message)}) == 2

    deltas = 0
    async with hermes.chat.completions.stream(model=MODEL, messages=user("call"), tools=TOOLS) as stream:
        async for event in stream:
            deltas += event.type == "tool_calls.function.arguments.delta"
        final = (await stream.get_final_completion()).choices[0]
    assert deltas > 2
    assert final.finish_reason == "tool_calls"
    parsed = [one.function.parsed_arguments for one in final.message.tool_calls or []]
    assert parsed == [weather(city="Rome", days=2), now()]


def calls_of(message: Any) -> list[Any]:
    return list(message.tool_calls or [])


async def test_one_call_where_more_are_not_wanted_and_none_where_no_tool_is(
    hermes: openai.AsyncOpenAI,
) -> None:
    """`parallel_tool_calls` is kept, and so is `tool_choice` none."""
    single = await hermes.chat.completions.create(
        model=MODEL, messages=user("call"), tools=TOOLS, parallel_tool_calls=False
    )
    assert [one.function.name for one in calls_of(single.choices[0].message)] == ["weather"]
    none = await hermes.chat.completions.create(
        model=MODEL, messages=user("call"), tools=TOOLS, tool_choice="none"
    )
    assert not none.choices[0].message.tool_calls
    assert none.choices[0].message.content == chain_models.ANSWER


async def test_marks_that_are_control_tokens_are_seen(thinker: openai.AsyncOpenAI) -> None:
    """A call and a thought are found by them, and none of them reaches the client."""
    whole = await thinker.chat.completions.create(model=MODEL, messages=user("call"), tools=TOOLS)
    call = calls_of(whole.choices[0].message)[0]
    assert call.function.name == "weather"
    assert weather.model_validate_json(call.function.arguments).city in ("Rome", "Oslo")
    thought = await thinker.chat.completions.create(model=MODEL, messages=user("why?"))
    message = thought.choices[0].message
    assert message.content == chain_models.ANSWER
    assert message.model_extra is not None
    assert message.model_extra["reasoning_content"] == chain_models.THOUGHT


async def test_thoughts_are_streamed_apart(thinker: openai.AsyncOpenAI) -> None:
    """They come first, piece by piece, and the answer after them."""
    stream = await thinker.chat.completions.create(model=MODEL, messages=user("why?"), stream=True)
    pieces: list[tuple[str, str]] = []
    async for chunk in stream:
        delta = chunk.choices[0].delta
        if thought := (delta.model_extra or {}).get("reasoning_content"):
            pieces.append(("thought", thought))
        if delta.content:
            pieces.append(("answer", delta.content))
    kinds = [kind for kind, _ in pieces]
    assert kinds == sorted(kinds, reverse=True)
    assert kinds.count("thought") > 2
    assert "".join(text for kind, text in pieces if kind == "thought").strip() == chain_models.THOUGHT
    assert "".join(text for kind, text in pieces if kind == "answer").strip() == chain_models.ANSWER


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_has_to_come(random_client: openai.AsyncOpenAI, stream: bool) -> None:
    """Even of a model that writes at random: any tool where one is required, or the one that is named."""
    bounded: Any = {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "maxLength": 5}, "days": {"enum": [1, 2, 3]}},
                "required": ["city", "days"],
            },
        },
    }
    for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
        wanted: Any = {
            "model": MODEL,
            "messages": user("hi"),
            "tools": [bounded],
            "tool_choice": choice,
            "parallel_tool_calls": False,
            "max_tokens": 300,
            "seed": 5,
        }
        if stream:
            async with random_client.chat.completions.stream(**wanted) as streamed:
                final: Any = await streamed.get_final_completion()
        else:
            final = await random_client.chat.completions.create(**wanted)
        [call] = calls_of(final.choices[0].message)
        arguments = json.loads(call.function.arguments)
        assert call.function.name == "weather"
        assert len(arguments["city"]) <= 5
        assert arguments["days"] in (1, 2, 3)
        assert final.choices[0].finish_reason == "tool_calls"


class Verdict(BaseModel):
    yes: bool
    grade: int


async def test_an_answer_in_a_schema(random_client: openai.AsyncOpenAI) -> None:
    """The client parses it into the class that it was asked with."""
    parsed = await random_client.chat.completions.parse(
        model=MODEL, messages=user("hi"), response_format=Verdict, max_tokens=300
    )
    assert isinstance(parsed.choices[0].message.parsed, Verdict)


async def test_embeddings_of_texts_and_tokens(random_client: openai.AsyncOpenAI) -> None:
    """The client asks for base64 and hands out numbers; fewer of them where that is wanted."""
    texts = await random_client.embeddings.create(model=MODEL, input=["one", "two", "three"])
    assert [one.index for one in texts.data] == [0, 1, 2]
    assert {len(one.embedding) for one in texts.data} == {64}
    assert texts.usage.total_tokens == texts.usage.prompt_tokens > 0
    floats = await random_client.embeddings.create(model=MODEL, input="one", encoding_format="float")
    assert floats.data[0].embedding == pytest.approx(texts.data[0].embedding, abs=0.01)
    few = await random_client.embeddings.create(model=MODEL, input=[[70, 71], [72]], dimensions=8)
    assert [len(one.embedding) for one in few.data] == [8, 8]


async def test_completions_whole_and_streamed(demo_client: openai.AsyncOpenAI) -> None:
    """A prompt goes on, by its text or its tokens."""
    whole = await demo_client.completions.create(model=MODEL, prompt="<s><|count|>", max_tokens=3, echo=False)
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == ("1 2 3", "length")
    stream = await demo_client.completions.create(
        model=MODEL, prompt="<s><|count|>", max_tokens=5, stream=True, logprobs=1
    )
    text, scores = "", 0
    async for chunk in stream:
        text += chunk.choices[0].text
        if chunk.choices[0].logprobs is not None:
            scores += len(chunk.choices[0].logprobs.tokens or [])
    assert (text, scores) == ("1 2 3 4 5", 5)


async def test_models(demo_client: openai.AsyncOpenAI) -> None:
    """The one that is served is listed."""
    assert [one.id async for one in demo_client.models.list()] == [MODEL]


async def test_mistakes_are_the_clients_own_exceptions(running: Running) -> None:
    """Each with the code and the field that a program may look at."""
    async with client_of(running) as client:
        ask = client.chat.completions.create
        with pytest.raises(openai.BadRequestError) as long:
            await ask(model=MODEL, messages=user("x" * 5000))
        assert (long.value.code, long.value.param) == ("context_length_exceeded", "messages")
        assert "5004" in long.value.message
        assert str(CONTEXT) in long.value.message
        with pytest.raises(openai.BadRequestError) as many:
            await ask(model=MODEL, messages=user("hi"), n=SLOTS + 1)
        assert many.value.param == "n"
        with pytest.raises(openai.BadRequestError) as tool:
            await ask(model=MODEL, messages=user("hi"), tool_choice="required")
        assert tool.value.param == "tool_choice"
        with pytest.raises(openai.BadRequestError) as wide:
            await client.embeddings.create(model=MODEL, input="hi", dimensions=100_000)
        assert wide.value.param == "dimensions"
        with pytest.raises(openai.NotFoundError) as unknown:
            await ask(model="other", messages=user("hi"))
        assert unknown.value.code == "model_not_found"
    async with client_of(running, key="wrong") as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.models.list()


async def test_a_full_queue_is_a_rate_limit(roomy: Running) -> None:
    """With when to come again."""
    async with client_of(roomy) as client:
        endless: Any = await client.chat.completions.create(
            model=MODEL, messages=user("endless stream"), stream=True, n=SLOTS
        )
        async for _ in endless:
            break
        waiting: Any = client.chat.completions.with_streaming_response.create(
            model=MODEL, messages=user("hi"), stream=True, n=SLOTS
        )
        with pytest.raises(openai.RateLimitError) as refused:
            async with waiting:
                pass
        assert refused.value.code == "engine_busy"
        assert int(refused.value.response.headers["retry-after"]) >= 1
        await endless.close()
