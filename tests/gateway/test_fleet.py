from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from shareai_cli.errors import ModelUnavailable
from shareai_cli.gateway.fleet import Fleet, demo_model
from shareai_cli.types import LocalModel
from shareai_cli.wire.deadlines import Deadlines
from tests.support.waiting import alive, until

needs_llama = pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")
CHAT = {"model": "shareai-demo", "messages": [{"role": "user", "content": "hi"}]}


class Started:
    """A fleet whose waits a test sees and does not wait for."""

    def __init__(self, models: list[LocalModel]) -> None:
        self.waits: list[float] = []
        self.problems: list[str] = []
        self.deadlines = Deadlines()
        self.fleet = Fleet(
            models, deadlines=self.deadlines, sleep=self._sleep, on_problem=self.problems.append
        )

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)

    async def ask(self, method: str, path: str, **options: object) -> httpx.Response:
        origin, secret = await self.fleet.ready(20)
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            return await client.request(
                method,
                f"http://127.0.0.1:{origin.port}{path}",
                headers={"Authorization": f"Bearer {secret.reveal()}"},
                **options,  # type: ignore[arg-type]
            )


@pytest.fixture
async def started() -> AsyncIterator[Started]:
    made = Started([demo_model()])
    await made.fleet.start()
    yield made
    await made.fleet.close()
    made.deadlines.close()


@needs_llama
async def test_the_demo_model_answers_through_the_agent(started: Started) -> None:
    """From the gateway's side: an origin, a secret, and a chat completion; closing ends both processes."""
    reply = await started.ask("POST", "/v1/chat/completions", json=CHAT)
    assert reply.json()["choices"][0]["message"]["content"].startswith("Hello!")
    [model] = (await started.ask("GET", "/health")).json()["models"]
    agent, child = started.fleet.pid, model["pid"]
    assert agent is not None
    await started.fleet.close()
    assert started.fleet.origin() is None
    assert not alive(agent)
    await until(lambda: not alive(child))


@needs_llama
async def test_completions_and_embeddings_pass_the_agent_too(started: Started) -> None:
    """Each under its own path, errors included."""
    prompt = {"model": "shareai-demo", "prompt": "<s><|count|>", "max_tokens": 3}
    completed = await started.ask("POST", "/v1/completions", json=prompt)
    assert completed.json()["choices"][0]["text"] == "1 2 3"
    texts = {"model": "shareai-demo", "input": ["one", "two"], "dimensions": 8}
    embedded = await started.ask("POST", "/v1/embeddings", json=texts)
    assert [len(one["embedding"]) for one in embedded.json()["data"]] == [8, 8]
    wrong = await started.ask("POST", "/v1/embeddings", json=texts | {"dimensions": 10**6})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "dimensions")


@needs_llama
async def test_a_killed_agent_takes_its_children_along_and_is_started_again(started: Started) -> None:
    """Nothing of the dead agent's stays, and the next request finds a new one."""
    await started.ask("POST", "/v1/chat/completions", json=CHAT)
    [model] = (await started.ask("GET", "/health")).json()["models"]
    agent = started.fleet.pid
    assert agent is not None
    os.kill(agent, signal.SIGKILL)
    await until(lambda: not alive(model["pid"]))
    await until(lambda: started.fleet.pid not in (None, agent))
    assert (await started.ask("POST", "/v1/chat/completions", json=CHAT)).status_code == 200
    assert started.waits == [0.5]
    assert "signal 9" in started.problems[0]


async def answered(started: Started) -> None:
    """Ask until there is an answer: a model that has died is started again after a wait."""
    async with asyncio.timeout(20):
        while (await started.ask("POST", "/v1/chat/completions", json=CHAT)).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@needs_llama
async def test_a_model_that_keeps_dying_is_set_aside_until_somebody_asks_again(started: Started) -> None:
    """As the status shows it; its requests are told why meanwhile."""
    for _ in range(3):
        await answered(started)
        [model] = await started.fleet.reports()
        assert model.pid is not None
        os.kill(model.pid, signal.SIGKILL)
        while (await started.fleet.reports())[0].pid is not None:  # noqa: ASYNC110 - a process tells nobody
            await asyncio.sleep(0.01)
    [model] = await started.fleet.reports()
    assert model.state == "set aside"
    refused = await started.ask("POST", "/v1/chat/completions", json=CHAT)
    assert refused.status_code == 503
    assert "set aside" in refused.json()["error"]["message"]
    await started.fleet.try_again()
    assert (await started.ask("POST", "/v1/chat/completions", json=CHAT)).status_code == 200


async def test_an_agent_that_cannot_start_is_said_and_tried_with_growing_waits(tmp_path: Path) -> None:
    """The gateway serves on: `ready` is a 503 with the reason."""
    (tmp_path / "httptools.py").write_text("raise SystemExit(9)")
    waits: list[float] = []
    enough = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            enough.set()
            await asyncio.Event().wait()

    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    deadlines = Deadlines()
    fleet = Fleet([demo_model()], deadlines=deadlines, environ=environ, sleep=sleep)
    await fleet.start()
    await asyncio.wait_for(enough.wait(), 30)
    assert waits == [0.5, 1.0, 2.0]
    with pytest.raises(ModelUnavailable, match="status 9"):
        await fleet.ready(0.01)
    await fleet.close()
    deadlines.close()


async def test_without_models_there_is_no_process() -> None:
    """A gateway of cloud providers alone starts no agent until it is told of a model."""
    started = Started([])
    await started.fleet.start()
    assert started.fleet.origin() is None
    with pytest.raises(ModelUnavailable):
        await started.fleet.ready(5)
    await started.fleet.update([demo_model()])
    listed = (await started.ask("GET", "/v1/models")).json()["data"]
    await started.fleet.update([LocalModel("renamed", demo_model().path)])
    renamed = (await started.ask("GET", "/v1/models")).json()["data"]
    assert ([model["id"] for model in listed], [model["id"] for model in renamed]) == (
        ["shareai-demo"],
        ["renamed"],
    )
    await started.fleet.close()
    started.deadlines.close()


GATEWAY = """
import asyncio, httpx, sys
from shareai_cli.gateway.fleet import Fleet, demo_model
from shareai_cli.wire.deadlines import Deadlines

async def main():
    fleet = Fleet([demo_model()], deadlines=Deadlines())
    await fleet.start()
    origin, secret = await fleet.ready(20)
    client = httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{origin.port}", trust_env=False, timeout=20,
        headers={"Authorization": f"Bearer {secret.reveal()}"},
    )
    endless = {"model": "shareai-demo", "stream": True,
               "messages": [{"role": "user", "content": "endless stream"}]}
    async with client.stream("POST", "/v1/chat/completions", json=endless):
        [model] = (await client.get("/health")).json()["models"]
        print(fleet.pid, model["pid"], flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@needs_llama
def test_no_process_outlives_a_gateway_that_was_killed() -> None:
    """SIGKILL leaves it no time to end anything: agent and child end by their pipes, while computing too."""
    gateway = subprocess.Popen([sys.executable, "-c", GATEWAY], stdout=subprocess.PIPE, text=True)
    with gateway:
        assert gateway.stdout is not None
        pids = [int(text) for text in gateway.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(alive, pids))
        gateway.kill()
    asyncio.run(until(lambda: not any(map(alive, pids))))


@needs_llama
async def test_the_fleet_tells_how_this_machine_is(started: Started) -> None:
    """As its agent says; without one, why there is none."""
    await started.fleet.ready(20)
    node = await started.fleet.look()
    assert (node.name, node.state, node.reason) == ("node", "serving", "")
    assert [(one.id, one.state) for one in node.models] == [("shareai-demo", "unloaded")]
    assert node.processor
    await started.fleet.close()
    gone = await started.fleet.look()
    assert (gone.state, [one.id for one in gone.models]) == ("offline", ["shareai-demo"])


async def test_a_machine_without_models_says_so() -> None:
    """No agent runs for none."""
    fleet = Started([]).fleet
    assert (await fleet.look()).reason.startswith("This machine serves no model")
