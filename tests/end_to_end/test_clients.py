"""Clients that are in use work unchanged: only the base URL and the key differ."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest

from tests.support.behaviours import chat, status, stream
from tests.support.served import KEYS, RunningGateway, one_route
from tests.support.upstream import FaultUpstream

MESSAGES: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "Hello!"}]


class Served:
    """A gateway over two providers, and OpenAI's own client of it."""

    def __init__(self, gateway: RunningGateway, first: FaultUpstream, second: FaultUpstream) -> None:
        self.gateway = gateway
        self.first = first
        self.second = second
        self.openai = openai.AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=2)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with FaultUpstream() as first, FaultUpstream() as second:
        config = one_route(first.base_url, second.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            served = Served(gateway, first, second)
            yield served
            await served.openai.close()


async def test_openais_client_completes_streams_and_lists(served: Served) -> None:
    """With usage in the stream where it is asked for."""
    made = await served.openai.chat.completions.create(model="chat", messages=MESSAGES)
    assert made.choices[0].message.content == "Hello there."
    assert made.usage is not None
    assert made.usage.total_tokens == 21
    streamed = await served.openai.chat.completions.create(
        model="chat", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    text, usage = "", None
    async for piece in streamed:
        text += "".join(choice.delta.content or "" for choice in piece.choices)
        usage = piece.usage or usage
    assert text == "Hello there."
    assert usage is not None
    assert usage.completion_tokens == 12
    names = [model.id async for model in served.openai.models.list()]
    assert names[0] == "chat"
    assert "p1/m1" in names
    assert (await served.openai.models.retrieve("chat")).owned_by == "shareai"


async def test_a_provider_that_is_down_is_not_noticed(served: Served) -> None:
    """Neither in replies nor in streams; headers tell who answered."""
    await served.first.close()
    raw = await served.openai.chat.completions.with_raw_response.create(model="chat", messages=MESSAGES)
    assert raw.headers["x-shareai-target"] == "p2/m1"
    assert raw.headers["x-shareai-attempts"] == "2"
    assert raw.headers["x-request-id"].startswith("req_")
    streamed = await served.openai.chat.completions.create(model="chat", messages=MESSAGES, stream=True)
    assert "".join([piece.choices[0].delta.content or "" async for piece in streamed]) == "Hello there."


async def test_a_stream_that_breaks_after_content_raises_in_the_client(served: Served) -> None:
    """An error event, no [DONE]; nothing is sent twice."""
    served.first.script.append(stream("one ", "two ", "three").reset(after=3))
    streamed = await served.openai.chat.completions.create(model="chat", messages=MESSAGES, stream=True)
    text = ""
    with pytest.raises(openai.APIError):
        async for piece in streamed:
            text += piece.choices[0].delta.content or ""
    assert text.startswith("one ")
    assert served.second.completions == []


async def test_the_clients_own_mistake_is_passed_back_and_not_retried(served: Served) -> None:
    """OpenAI's client obeys x-should-retry."""
    served.first.script.append(status(400, message="temperature is too high", error_code="invalid_value"))
    with pytest.raises(openai.BadRequestError, match="temperature is too high"):
        await served.openai.chat.completions.create(model="chat", messages=MESSAGES)
    assert len(served.first.completions) == 1
    assert served.second.completions == []
    with pytest.raises(openai.NotFoundError, match="Did you mean 'chat'"):
        await served.openai.chat.completions.create(model="chatt", messages=MESSAGES)


async def test_a_503_is_retried_by_the_client_when_it_may_help(served: Served) -> None:
    """Every target down: Retry-After is short, the client's second try is answered."""
    served.first.script += [status(500)]
    served.second.script += [status(503)]
    made = await served.openai.chat.completions.create(model="chat", messages=MESSAGES)
    assert made.choices[0].message.content == "Hello there."
    assert len(served.first.completions) + len(served.second.completions) == 3


async def test_unknown_fields_and_their_bytes_arrive_unchanged(served: Served) -> None:
    """What this gateway does not know is the upstream's to judge."""
    served.first.default = chat(extra={"new_field": {"a": [1, 2.50, None]}})
    body = (
        b'{"model": "chat", "messages": [{"role": "user", "content": "h\\u00e9 \xc3\xa9"}], '
        b'"x_new": {"deep": [1.0, 1e3, "\\/"]}}'
    )
    reply = await served.gateway.client.post(
        "/v1/chat/completions", content=body, headers={"Content-Type": "application/json"}
    )
    [asked] = served.first.completions
    assert b'{"deep": [1.0, 1e3, "\\/"]}' in asked.body
    assert b'"content": "h\\u00e9 \xc3\xa9"' in asked.body
    assert reply.json()["new_field"] == {"a": [1, 2.5, None]}
    assert asked.key == KEYS["P1_KEY"]
