"""What the environment gives: key variables make providers, and llama.cpp may be missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.configuration import PLANTED
from tests.support.served import KEYS, RunningGateway, one_route, run_shareai
from tests.support.upstream import FaultUpstream

WITHOUT_LLAMA = """
import sys

class Finder:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] != "llama_cpp":
            return self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = map(Finder, sys.meta_path)
"""


@pytest.fixture
def without_llama(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which every process finds no llama-cpp-python."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(WITHOUT_LLAMA)
    return {"PYTHONPATH": str(folder)}


async def test_known_key_variables_make_providers(tmp_path: Path) -> None:
    """Without a configuration; which ones is said, the keys are not, and the demo model makes room."""
    environ = {"OPENAI_API_KEY": PLANTED, "GROQ_API_KEY": PLANTED}
    async with await RunningGateway.start(tmp_path, environ=environ) as gateway:
        assert gateway.told["providers"] == ["openai", "groq"]
        assert gateway.told["models"] == []
        assert (await gateway.shareai("status", "--json")).json["providers"] == ["openai", "groq"]
        assert (await gateway.ask(model="shareai-demo")).status_code == 404
    banner = await run_shareai(tmp_path, "provider", "list", environ=environ)
    assert "OPENAI_API_KEY" in banner.out
    assert PLANTED not in banner.out + banner.err


async def test_without_llama_provider_keys_work(tmp_path: Path, without_llama: dict[str, str]) -> None:
    """A local model that is declared nevertheless costs its own requests a 503 with the line that adds it."""
    model = tmp_path / "tiny.gguf"
    model.write_bytes(b"GGUF")
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url) + f'[local]\nmodels = ["{model}"]\n'
        environ = {**KEYS, **without_llama}
        async with await RunningGateway.start(tmp_path / "home", config, environ=environ) as gateway:
            assert (await gateway.ask()).status_code == 200
            reply = await gateway.ask(model="node/tiny")
            assert reply.status_code == 503
            assert "pip install llama-cpp-python" in reply.text


async def test_without_llama_and_without_providers_the_next_step_is_said(
    tmp_path: Path, without_llama: dict[str, str]
) -> None:
    """The gateway runs, so that what is added meanwhile is taken up."""
    async with await RunningGateway.start(tmp_path / "home", environ=without_llama) as gateway:
        assert gateway.told["models"] == []
        reply = await gateway.ask(model="shareai-demo")
        assert reply.status_code == 404
    registered = await run_shareai(tmp_path / "home", "node", "register", environ=without_llama)
    assert registered.code == 0
    assert "pip install llama-cpp-python" in registered.err
