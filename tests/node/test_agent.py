from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from shareai_cli.node.agent import Agent
from shareai_cli.node.children import Children
from shareai_cli.types import LocalModel
from shareai_cli.wire.deadlines import Deadlines
from tests.support.clock import FakeClock
from tests.support.loopback import client_of
from tests.support.waiting import until

SECRET = "the-secret-of-this-test"
CHAT = "/v1/chat/completions"
ANSWER_START = "Hello! This is ShareAI's demo model"


class Running:
    """A served agent, a client of it, and its clock."""

    def __init__(self, client: httpx.AsyncClient, children: Children, clock: FakeClock) -> None:
        self.client = client
        self.children = children
        self.clock = clock

    async def post(self, content: str = "hi", **fields: object) -> httpx.Response:
        return await self.client.post(CHAT, json=body(content, **fields))

    def pid(self) -> int:
        pid = self.children.reports()[0].pid
        assert pid is not None
        return pid


def body(content: str = "hi", **fields: object) -> dict[str, object]:
    return {"model": "shareai-demo", "messages": [{"role": "user", "content": content}], **fields}


@pytest.fixture
async def running(demo: LocalModel) -> AsyncIterator[Running]:
    clock, deadlines = FakeClock(), Deadlines()
    children = Children([demo], environ=os.environ, has_llama=True, deadlines=deadlines, clock=clock)
    async with client_of(Agent(children, secret=SECRET).handle, SECRET) as client:
        yield Running(client, children, clock)
    await children.close()
    deadlines.close()


async def test_completions_and_streams_pass_through(running: Running) -> None:
    """What the child says reaches the client as it is, errors too."""
    whole = await running.post()
    assert whole.json()["choices"][0]["message"]["content"].startswith(ANSWER_START)
    streamed = await running.post("long stream", stream=True)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.text.count("data: ") == 403
    assert streamed.text.endswith("data: [DONE]\n\n")
    refused = await running.post(temperature=9)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "temperature"
    assert refused.headers["x-should-retry"] == "false"


async def test_a_client_that_leaves_frees_the_engine_of_the_child(running: Running) -> None:
    """Closing one side closes the other; the endless reply ends and the next is answered."""
    async with running.client.stream("POST", CHAT, json=body("endless stream", stream=True)) as reply:
        assert b"tick" in await anext(reply.aiter_bytes())
    assert (await running.post()).status_code == 200


async def test_a_stream_keeps_its_model_loaded_until_it_ends(running: Running) -> None:
    """Also where its client leaves; an answer that is whole, and a refused one, keep it no longer either."""
    async with running.client.stream("POST", CHAT, json=body("endless stream", stream=True)) as reply:
        assert b"tick" in await anext(reply.aiter_bytes())
        running.clock.forward(1e6)
        running.children.unload_idle()
        assert running.children.reports()[0].state == "ready"

    def is_unloaded() -> bool:
        running.clock.forward(1e6)
        running.children.unload_idle()
        return running.children.reports()[0].state == "unloaded"

    await until(is_unloaded)
    for fields in ({}, {"stream": True}, {"temperature": 9}):
        await running.post("long stream", **fields)
        await until(is_unloaded, 2.0)


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_killed_child_costs_its_own_request(running: Running, death: signal.Signals) -> None:
    """The running stream breaks off without [DONE]; a 503 says when; then the model is served again."""
    received = b""
    with pytest.raises(httpx.RemoteProtocolError):
        async with running.client.stream("POST", CHAT, json=body("endless stream", stream=True)) as reply:
            async for piece in reply.aiter_bytes():
                if not received:
                    os.kill(running.pid(), death)
                received += piece
    assert b"tick" in received
    assert b"[DONE]" not in received
    await until(lambda: running.children.reports()[0].state == "waiting")
    refused = await running.post()
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error"]["code"] == "model_unavailable"
    running.clock.forward(1.0)
    assert (await running.post()).status_code == 200


async def test_bad_requests_are_refused_before_any_child(running: Running) -> None:
    """400 for what names no model, 404 for an unknown one, 401, 404 and 405; nothing is started."""
    for broken in (b"", b"[]", b'{"model": 5}', b'{"a": ' + b"[" * 100_000, b'{"model": "\xff"}'):
        assert (await running.client.post(CHAT, content=broken)).status_code == 400
    assert (await running.post(model="other")).json()["error"]["code"] == "model_not_found"
    assert (await running.client.get("/v1/nothing")).status_code == 404
    assert (await running.client.get(CHAT)).status_code == 405
    reply = await running.client.get("/v1/models", headers={"Authorization": "Bearer wrong"})
    assert reply.status_code == 401
    health = (await running.client.get("/health")).json()
    assert [model["state"] for model in health["models"]] == ["unloaded"]


async def test_models_are_listed_and_replaced(running: Running, demo: LocalModel) -> None:
    """A gateway whose configuration changed tells the agent its models anew."""
    listed = (await running.client.get("/v1/models")).json()
    assert [model["id"] for model in listed["data"]] == ["shareai-demo"]
    other = LocalModel("other", demo.path)
    told = await running.client.put("/v1/models", content=msgspec.json.encode([other]))
    assert [model["id"] for model in told.json()["data"]] == ["other"]
    assert (await running.post(model="other")).status_code == 200
    assert (await running.post()).status_code == 404
    bad = await running.client.put("/v1/models", content=json.dumps([{"id": 5}]))
    assert bad.status_code == 400
