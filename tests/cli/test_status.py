"""What is told of local models that cannot be served: at the start, and by `shareai status`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from msgspec.structs import replace

from shareai_cli.cli.status import print_status
from shareai_cli.client import Status
from shareai_cli.gateway.fleet import demo_model
from shareai_cli.types import LimitUse
from tests.support.served import RunningGateway


def test_what_is_used_of_limits_is_in_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Requests and tokens as they are, money in dollars, what is under way apart; none where nothing is."""
    quiet = Status("1", 1, "http://x/v1", 1.0, 0, 0, 0, 0, "/c.toml", None, (), (), (), None, (), None, 0)
    print_status(quiet)
    assert "LIMIT" not in capsys.readouterr().out
    used = (
        LimitUse("team/dev", "requests_per_minute", 1000, 999, resets_ms=None),
        LimitUse("key/ci", "budget_per_month", 50 * 10**9, 1_234_567_890, reserved=10**7),
        LimitUse("route/chat", "soft_budget_per_day", 10_000, 189_050, soft=True),
    )
    print_status(replace(quiet, limits=used))
    *_, requests, money, little = capsys.readouterr().out.splitlines()
    assert requests.split() == ["team/dev", "requests_per_minute", "999", "1,000", "-", "-"]
    assert money.split() == ["key/ci", "budget_per_month", "$1.2346", "$50.0000", "$0.0100", "-"]
    assert little.split() == ["route/chat", "soft_budget_per_day", "$0.00018905", "$0.00001", "-", "-"]


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
