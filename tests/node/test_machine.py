"""How a machine is, as its agent tells those who watch."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest

from shareai_cli.live import LiveGpu, LiveNode
from shareai_cli.node.agent import Agent
from shareai_cli.node.children import Children
from shareai_cli.node.facts import Gpu, NodeFacts
from shareai_cli.node.machine import Machine, Sensors, ThisMachine
from shareai_cli.types import LocalModel
from shareai_cli.wire.deadlines import Deadlines
from tests.support.loopback import client_of

FACTS = NodeFacts(
    "box", "Linux 6.1", "x86_64", "3.11", "EPYC", 2, 4, 24 << 30, (Gpu("NVIDIA H100", 80 << 30),), True
)
SECRET = "the-secret-of-this-test"


class FakeMachine:
    """A machine as a test says it is."""

    def __init__(self, sensors: Sensors) -> None:
        self.read = sensors
        self.looked = 0

    def facts(self) -> NodeFacts:
        self.looked += 1
        return FACTS

    def sensors(self) -> Sensors:
        return self.read


@pytest.fixture
async def children(demo: LocalModel) -> AsyncIterator[Children]:
    deadlines = Deadlines()
    made = Children([demo], environ=os.environ, has_llama=True, deadlines=deadlines)
    yield made
    await made.close()
    deadlines.close()


async def test_a_loaded_model_tells_its_slots_and_queue(children: Children, demo: LocalModel) -> None:
    """One that is not loaded is not loaded by being looked at; facts are looked for once."""
    reads = FakeMachine(Sensors(0.5, 12 << 30, 61.0))
    machine = Machine(children, reads)
    cold = await machine.look()
    assert (cold.hostname, cold.cores, cold.load, cold.temperature) == ("box", 2, 0.5, 61.0)
    assert cold.gpus == (LiveGpu("NVIDIA H100", 80 << 30),)
    assert [(one.id, one.state, one.slots, one.memory) for one in cold.models] == [
        (demo.id, "unloaded", None, None)
    ]
    await children.lease(demo.id)
    [model] = (await machine.look()).models
    assert (model.state, model.running, model.waiting) == ("ready", 0, 0)
    assert model.slots is not None
    assert model.slots > 0
    assert model.context is not None
    assert model.memory is not None
    assert model.memory > 1 << 20
    assert reads.looked == 1


async def test_the_agent_tells_it_over_http(children: Children) -> None:
    """To whoever has its secret, with what this machine says of itself."""
    async with client_of(Agent(children, secret=SECRET).handle, SECRET) as client:
        node = msgspec.json.decode((await client.get("/machine")).content, type=LiveNode)
        assert (node.name, node.state) == ("node", "serving")
        assert node.hostname
        assert node.memory
        assert node.memory_used
        assert node.load is None
        again = msgspec.json.decode((await client.get("/machine")).content, type=LiveNode)
        assert again.load is not None
        assert 0 <= again.load <= 1


async def test_without_llama_it_says_why_it_serves_nothing(demo: LocalModel) -> None:
    """And how to mend it."""
    children = Children([demo], environ={}, has_llama=False, deadlines=Deadlines())
    node = await Machine(children, FakeMachine(Sensors())).look()
    assert node.state == "broken"
    assert "llama.cpp is not installed here" in node.reason


def test_graphics_processors_tell_load_heat_and_power() -> None:
    """What one does not tell stays unknown; a line that is none is no processor."""

    def probe(command: Sequence[str]) -> str:
        if "--query-gpu=name,memory.total,driver_version" in command:
            return "NVIDIA H100, 81559, 570.1\n"
        if command[0] == "nvidia-smi":
            known = "NVIDIA H100, 81559, 1024, 37, 45, 118.53"
            return f"{known}\nTesla, 16384, 0, [N/A], [Not Supported], [N/A]\nx\n"
        return ""

    machine = ThisMachine(probe)
    machine.facts()
    assert machine.sensors().gpus == (
        LiveGpu("NVIDIA H100", 81559 << 20, 1024 << 20, 0.37, 45.0, 118.53),
        LiveGpu("Tesla", 16384 << 20, 0),
    )
    assert ThisMachine(lambda command: "").sensors().gpus == ()
