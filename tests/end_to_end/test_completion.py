"""Shells complete the models that a provider was seen to offer, and ask nobody for them."""

from __future__ import annotations

from pathlib import Path

from tests.support.behaviours import model_list
from tests.support.served import KEYS, RunningGateway, one_route, run_shareai
from tests.support.upstream import FaultUpstream


async def _complete(home: Path, *words: str) -> list[str]:
    *before, incomplete = words
    asking = {"_SHAREAI_COMPLETE": f"+{incomplete}"}
    outcome = await run_shareai(home, *before, environ=asking)
    assert (outcome.code, outcome.err) == (0, "")
    return outcome.out.splitlines()


async def test_a_gateway_leaves_what_it_saw_offered(tmp_path: Path) -> None:
    """While it runs and when it has ended; completing sends nothing to anybody."""
    async with FaultUpstream(models=model_list("llama3.2:3b", "m1")) as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            assert await _complete(tmp_path, "chat", "p1/") == ["p1/m1"]
            assert (await gateway.client.get("/v1/models")).status_code == 200
            seen = upstream.accepted
            assert await _complete(tmp_path, "chat", "p1/") == ["p1/llama3.2:3b", "p1/m1"]
            assert await _complete(tmp_path, "chat", "lla") == ["llama3.2:3b"]
            assert await _complete(tmp_path, "chat", "ch") == ["chat"]
            assert upstream.accepted == seen
        assert await _complete(tmp_path, "route", "add", "x", "p1/l") == ["p1/llama3.2:3b"]


async def test_shareai_models_leaves_it_too(tmp_path: Path) -> None:
    """Without any gateway."""
    async with FaultUpstream(models=model_list("llama3.2:3b")) as upstream:
        (tmp_path / "config.toml").write_text(one_route(upstream.base_url))
        assert (await run_shareai(tmp_path, "models", environ=KEYS)).code == 0
        assert await _complete(tmp_path, "chat", "p1/") == ["p1/llama3.2:3b", "p1/m1"]
