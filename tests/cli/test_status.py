"""What is told of local models that cannot be served: at the start, and by `shareai status`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from shareai_cli.gateway.fleet import demo_model
from tests.support.served import RunningGateway


@pytest.fixture
async def half_broken(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    """Run a gateway over a model that is there, and one whose file is gone."""
    os.link(demo_model().path, tmp_path / "there.gguf")
    config = f'[local]\nmodels = ["{tmp_path / "there.gguf"}", "{tmp_path / "lost.gguf"}"]\n'
    async with await RunningGateway.start(tmp_path / "home", config) as gateway:
        yield gateway


async def test_a_missing_file_is_told_at_the_start(half_broken: RunningGateway) -> None:
    """With the model's name and the file; it is declared, and the others are served."""
    (notice,) = (line for line in half_broken.stderr().splitlines() if "cannot be served" in line)
    assert notice.startswith("shareai: node/lost cannot be served: ")
    assert "lost.gguf" in notice
    assert half_broken.told["models"] == ["there", "lost"]


@pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")
async def test_a_models_problem_is_in_status_and_its_exit_code(half_broken: RunningGateway) -> None:
    """6 from the first request that found the problem; before, nothing is known to be wrong."""
    assert (await half_broken.shareai("status")).code == 0
    assert (await half_broken.ask(model="there")).status_code == 200
    assert (await half_broken.ask(model="lost")).status_code == 503
    told = await half_broken.shareai("status")
    assert told.code == 6
    (line,) = (line for line in told.out.splitlines() if line.startswith("Local model   lost"))
    assert "lost.gguf" in line
    script = await half_broken.shareai("status", "--json")
    assert script.code == 6
    assert {one["id"]: bool(one["problem"]) for one in script.json["local_models"]} == {
        "there": False,
        "lost": True,
    }
