"""`shareai models` and `shareai model`, with a gateway that runs and without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.behaviours import model_list, status
from tests.support.model_files import model_file
from tests.support.served import KEYS, RunningGateway, one_route, shareai_here
from tests.support.upstream import FaultUpstream, refused_port

LATER = 'base_url = "https://later.example/v1"\nkeys = ["env:NOT_SET"]\n'


def by_id(fields: Any) -> dict[str, Any]:
    return {one["id"]: one for one in fields["models"]}


async def test_a_running_gateway_tells_what_can_be_asked_for_and_how_it_stands(tmp_path: Path) -> None:
    """The same in words and in JSON; names that are not there are answered with the nearest."""
    async with FaultUpstream([status(429, {"Retry-After": "600"})]) as upstream:
        config = one_route(upstream.base_url, options='price_as = "openai"\nmodels = ["gpt-5-mini"]')
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            await gateway.ask(model="p1/gpt-5-mini")
            outcome = await gateway.shareai("models", "--json")
            assert (outcome.code, outcome.err) == (0, "")
            assert outcome.json["running"] is True
            found = by_id(outcome.json)
            assert list(found) == ["chat", "p1/gpt-5-mini", "p1/m1", "p1/m2"]
            mini = found["p1/gpt-5-mini"]
            assert 590 < mini.pop("seconds") <= 600
            assert mini == {
                "id": "p1/gpt-5-mini",
                "kind": "provider",
                "provider": "p1",
                "targets": ["p1/gpt-5-mini"],
                "context": 400_000,
                "abilities": ["tools", "vision", "reasoning"],
                "prompt_nano_usd_per_million_tokens": 250_000_000,
                "completion_nano_usd_per_million_tokens": 2_000_000_000,
                "state": "cooling",
                "reason": "HTTP 429",
            }
            assert found["p1/m1"]["context"] is None
            assert found["p1/m1"]["prompt_nano_usd_per_million_tokens"] is None
            words = await gateway.shareai("models", "mini", "--max-price", "2")
            cells = "p1/gpt-5-mini 400k tools vision reasoning 0.25 2.00 cooling 10 min"
            assert words.out.splitlines()[1].split() == cells.split()
            assert "p1/gpt-5-mini: HTTP 429" in words.err
            assert "1 of 4 models." in words.err
            assert "Did you mean p1/gpt-5-mini?" in (await gateway.shareai("models", "gpt5-mini")).err
            routed = await gateway.shareai("models", "--route", "chat", "--json")
            assert list(by_id(routed.json)) == ["chat", "p1/m1"]
            for arguments, hint in (
                (("--provider", "p2"), "Did you mean p1?"),
                (("--route", "caht"), "Did you mean chat?"),
            ):
                refused = await gateway.shareai("models", *arguments)
                assert (refused.code, refused.out) == (2, "")
                assert hint in refused.err


async def test_without_a_gateway_providers_are_asked_directly(tmp_path: Path) -> None:
    """With their keys; who cannot be asked is named with why, and nothing is claimed of how targets stand."""
    with refused_port() as port:
        async with FaultUpstream(models=model_list("gpt-5-mini")) as upstream:
            (tmp_path / "config.toml").write_text(
                one_route(upstream.base_url)
                + f'[providers.down]\nbase_url = "http://127.0.0.1:{port}/v1"\nmodels = ["declared"]\n'
                + '[providers.groq]\nkeys = ["env:NOT_SET"]\n'
                + f'[local]\nmodels = ["{model_file(tmp_path / "tiny.gguf")}"]\n'
            )
            outcome = await shareai_here(tmp_path, "models", "--json", environ=KEYS)
            assert outcome.code == 0
            assert outcome.json["running"] is False
            found = by_id(outcome.json)
            assert found["p1/gpt-5-mini"]["state"] == found["chat"]["state"] == "unknown"
            assert found["node/tiny"]["state"] == "not loaded"
            assert "down/declared" in found
            assert any(name.startswith("groq/") for name in found)
            down, groq = outcome.json["notices"]
            assert "those that the configuration declares are shown" in down
            assert "NOT_SET is not set" in groq
            assert [one.key for one in upstream.requests] == [KEYS["P1_KEY"]]
            words = await shareai_here(tmp_path, "models", "--local", environ=KEYS)
            assert words.out.splitlines()[1].split() == ["node/tiny", "8k", "none", "0", "0", "not", "loaded"]
            assert "No gateway runs here" in words.err
            assert len(upstream.requests) == 1, "nobody is asked for what no provider has"


async def test_a_running_gateway_takes_up_what_is_added_and_removed(tmp_path: Path) -> None:
    """By the time that the command ends; one that reads another file, or cannot take it up, is said to."""
    model, home = model_file(tmp_path / "tiny.gguf"), tmp_path / "home"
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url) + "# a person's comment\n"
        async with await RunningGateway.start(home, config, environ=KEYS) as gateway:

            async def offered() -> list[str]:
                return [one["id"] for one in (await gateway.client.get("/v1/models")).json()["data"]]

            added = await gateway.shareai("model", "add", str(model))
            assert added.code == 0, added.err
            assert "The running gateway serves it." in added.err
            assert "node/tiny" in await offered()
            assert "# a person's comment" in gateway.paths.config_file.read_text()
            elsewhere = tmp_path / "other.toml"
            foreign = await gateway.shareai("--config", str(elsewhere), "model", "add", str(model))
            assert foreign.code == 0
            assert f"reads another configuration: {gateway.paths.config_file}" in foreign.err
            assert (await gateway.shareai("model", "remove", "tiny", "--yes")).code == 0
            assert "node/tiny" not in await offered()
            assert model.exists()
            file = gateway.paths.config_file
            file.write_text(f"{file.read_text()}[providers.later]\n" + LATER)
            refused = await gateway.shareai("model", "add", str(model))
            assert refused.code == 0
            assert "The running gateway did not take it up." in refused.err
            assert "NOT_SET is not set" in refused.err


async def test_nothing_that_can_be_asked_for_tells_what_to_do(tmp_path: Path) -> None:
    """On stderr, without a table."""
    with refused_port() as port:
        (tmp_path / "config.toml").write_text(
            f'[providers.down]\nbase_url = "http://127.0.0.1:{port}/v1"\nkeys = []\n'
        )
        outcome = await shareai_here(tmp_path, "models")
    assert (outcome.code, outcome.out) == (0, "")
    assert "Provider down did not list its models" in outcome.err
    assert "Nothing can be asked for yet. shareai provider add openai" in outcome.err
