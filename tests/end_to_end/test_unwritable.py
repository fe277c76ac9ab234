"""A standard error that takes nothing, as a log on a full disk, stops nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from tests.support.behaviours import chat
from tests.support.served import KEYS, RunningGateway, eventually, one_route
from tests.support.upstream import FaultUpstream


@contextlib.asynccontextmanager
async def served_into(log: str, home: Path, config: str | None = None) -> AsyncIterator[RunningGateway]:
    """Run a gateway whose standard error goes to that file."""
    home.mkdir()
    (home / "stderr.log").symlink_to(log)
    async with await RunningGateway.start(home, config, environ=KEYS) as gateway:
        yield gateway


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
async def test_configuration_is_taken_up_all_the_same(tmp_path: Path) -> None:
    """Broken, then mended: nobody could be told, and status still says what is wrong."""
    async with FaultUpstream() as first, FaultUpstream(default=chat("From the second.")) as second:
        config = one_route(first.base_url)
        async with served_into("/dev/full", tmp_path / "home", config) as gateway:
            assert (await gateway.ask()).status_code == 200
            gateway.paths.config_file.write_text("[broken")

            async def has_problem() -> bool:
                return bool((await gateway.shareai("status", "--json")).json["config_problem"])

            await eventually(has_problem)
            gateway.paths.config_file.write_text(config.replace(first.base_url, second.base_url))

            async def is_taken_up() -> bool:
                return "From the second." in (await gateway.ask()).text

            await eventually(is_taken_up)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")
async def test_the_node_agent_is_started_again_all_the_same(tmp_path: Path) -> None:
    """Its death could be told to nobody."""
    async with served_into("/dev/full", tmp_path / "home") as gateway:
        assert (await gateway.ask(model="shareai-demo")).status_code == 200
        [agent] = psutil.Process(gateway.process.pid).children()
        agent.kill()

        async def answers() -> bool:
            async with asyncio.timeout(10):
                return (await gateway.ask(model="shareai-demo")).status_code == 200

        await eventually(answers)
