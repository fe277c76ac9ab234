"""`shareai node register` ends with what to do next, as things stand."""

from __future__ import annotations

import asyncio
import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from shareai_cli.client import find_gateway
from shareai_cli.gateway.fleet import demo_model
from tests.support.served import RunningGateway, run_shareai

pytestmark = pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "models" / "tiny.gguf"
    file.parent.mkdir()
    os.link(demo_model().path, file)
    return file


async def next_step(home: Path, *models: Path) -> str:
    """Register models in a home, and return what is told to be done next."""
    outcome = await run_shareai(home, "node", "register", *map(str, models))
    assert outcome.code == 0, outcome.err
    (step,) = (line for line in outcome.err.splitlines() if line.startswith("Next: "))
    return step.removeprefix("Next: ")


async def test_without_a_model_one_is_registered_next(tmp_path: Path) -> None:
    """The machine's facts alone serve nothing."""
    assert await next_step(tmp_path / "home") == "shareai node register ~/models/MODEL.gguf"


async def test_without_a_gateway_one_is_started_next(tmp_path: Path, model: Path) -> None:
    """And then asked for the model that was named, or for the one that was registered before."""
    step = "shareai serve, then ask for the model {}."
    assert await next_step(tmp_path / "home", model) == step.format("tiny")
    other = model.with_name("other.gguf")
    os.link(model, other)
    assert await next_step(tmp_path / "home", other) == step.format("other")
    assert await next_step(tmp_path / "home") == step.format("tiny")


async def test_a_model_goes_by_the_name_that_it_has(tmp_path: Path, model: Path) -> None:
    """One that was declared under a name of its own is asked for by that one."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(f'[local]\nmodels = [{{path = "{model}", name = "mine"}}]\n')
    assert await next_step(home, model) == "shareai serve, then ask for the model mine."


async def test_a_running_gateway_takes_the_model_up(tmp_path: Path, model: Path) -> None:
    """Nothing is left to be started."""
    async with await RunningGateway.start(tmp_path / "home") as gateway:
        assert await next_step(gateway.home, model) == "ask for the model tiny."


async def test_a_gateway_that_was_killed_has_to_be_started(tmp_path: Path, model: Path) -> None:
    """The address that it left behind tells nothing."""
    gateway = await RunningGateway.start(tmp_path / "home")
    gateway.kill()
    await asyncio.wait_for(gateway.process.wait(), 20)
    await gateway.client.aclose()
    assert find_gateway(gateway.paths) is not None
    assert await next_step(gateway.home, model) == "shareai serve, then ask for the model tiny."
