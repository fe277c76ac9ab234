"""Commands reach the accounts whether a gateway runs or not, and the admin API answers nobody else."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import httpx
import pytest

from shareai_cli.client import find_gateway
from shareai_cli.paths import find_paths
from tests.support.served import KEYS, RunningGateway, StartError, eventually, one_route, shareai_here
from tests.support.upstream import FaultUpstream
from tests.support.waiting import until


async def test_a_key_made_before_or_during_the_gateway_is_valid_at_once(tmp_path: Path) -> None:
    """And one that is revoked is not; the schema is the one that scripts rely on."""
    made = await shareai_here(tmp_path, "key", "create", "early", "--json")
    assert made.json["key"].startswith("sk-shareai-")
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        (tmp_path / "state" / "first-key").write_text(made.json["key"])
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            assert gateway.told["key"] is None
            assert (await gateway.ask()).status_code == 200
            later = (await gateway.shareai("key", "create", "later", "--json")).json["key"]
            headers = {"Authorization": f"Bearer {later}"}
            assert (await gateway.client.get("/v1/models", headers=headers)).status_code == 200
            assert (await gateway.shareai("key", "revoke", "later", "--yes")).code == 0
            assert (await gateway.client.get("/v1/models", headers=headers)).status_code == 401
            listed = (await gateway.shareai("key", "list", "--json")).json["keys"]
            assert [(one["name"], one["revoked_ms"] is None) for one in listed] == [
                ("early", True),
                ("later", False),
            ]
            report = (await gateway.shareai("usage", "--json", "--by", "key")).json
            assert [(row["name"], row["requests"]) for row in report["rows"]] == [("early", 1)]
    after = (await shareai_here(tmp_path, "usage", "--json", "--by", "target")).json
    assert after["total"]["requests"] == 1
    assert [row["name"] for row in after["rows"]] == ["p1/m1"]


@pytest.mark.parametrize("running", [True, False])
async def test_names_that_cannot_be_keys_are_refused_in_words(tmp_path: Path, running: bool) -> None:
    """The same through the gateway as without one: taken, unknown, not possible."""
    async with FaultUpstream() as upstream:
        gateway = await RunningGateway.start(tmp_path, one_route(upstream.base_url), environ=KEYS)
        if not running:
            await gateway.stop()
        for arguments, words in (
            (("create", "default"), "default"),
            (("create", ""), "name"),
            (("create", "a" * 500), "name"),
            (("create", "with\nline"), "name"),
            (("revoke", "defualt"), "Did you mean 'default'?"),
        ):
            outcome = await shareai_here(tmp_path, "key", *arguments)
            assert outcome.code == 2, arguments
            assert words in outcome.err
            assert outcome.out == ""
        await gateway.stop()


async def test_status_tells_of_the_gateway_and_its_targets(tmp_path: Path) -> None:
    """A target that failed three times in a row, why, and for how long; without a gateway exit code 1."""
    without = await shareai_here(tmp_path, "status", "--json")
    assert (without.code, without.json["running"]) == (1, False)
    async with FaultUpstream() as first, FaultUpstream() as second:
        config = one_route(first.base_url, second.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            await first.close()
            for _ in range(4):
                assert (await gateway.ask()).status_code == 200
            outcome = await gateway.shareai("status", "--json")
            assert outcome.code == 0
            told = outcome.json
            assert told["running"] is True
            assert (told["pid"], told["requests"]) == (gateway.process.pid, 4)
            assert told["routes"] == ["chat"]
            [trouble] = [one for one in told["troubles"] if one["target"] == "p1/m1"]
            assert trouble["state"] == "ejected"
            assert "refused" in trouble["reason"]
            assert 0 < trouble["seconds"] <= 5
            words = (await gateway.shareai("status")).out
            assert "p1/m1" in words
            assert "connection refused" in words
    assert (await shareai_here(tmp_path, "status")).code == 1


async def test_a_second_gateway_on_the_same_state_is_refused(tmp_path: Path) -> None:
    """With where the first one is."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            with pytest.raises(StartError) as caught:
                await RunningGateway.start(tmp_path, environ=KEYS)
            assert caught.value.code == 1
            assert gateway.origin in caught.value.err
            assert "Traceback" not in caught.value.err


async def test_commands_work_after_a_gateway_was_killed(tmp_path: Path) -> None:
    """Its address is still there, its lock is not; another program may have its port by then."""
    async with FaultUpstream() as upstream:
        gateway = await RunningGateway.start(tmp_path, one_route(upstream.base_url), environ=KEYS)
        assert (await gateway.ask()).status_code == 200
        gateway.kill()
        await gateway.process.wait()
        await gateway.client.aclose()
    paths = find_paths({"SHAREAI_HOME": str(tmp_path)})
    assert find_gateway(paths) is not None
    assert (await shareai_here(tmp_path, "key", "create", "new")).code == 0
    assert (await shareai_here(tmp_path, "usage", "--json")).json["total"]["requests"] == 1
    assert (await shareai_here(tmp_path, "status")).code == 1


async def test_the_admin_api_wants_its_token_and_answers_no_browser(tmp_path: Path) -> None:
    """Neither a client's key nor a page of a browser's gets in; the token's file is private."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            found = find_gateway(gateway.paths)
            assert found is not None
            assert gateway.paths.endpoint_file.stat().st_mode & 0o777 == 0o600
            url = f"{found.address}/admin/v1"
            token = {"Authorization": f"Bearer {found.token}"}
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.get(f"{url}/status", headers=token)).status_code == 200
                assert (await client.get(f"{url}/status")).status_code == 401
                assert (await gateway.client.get("/admin/v1/status")).status_code == 401
                for foreign in ({"Origin": "http://127.0.0.1:6161"}, {"Sec-Fetch-Site": "same-origin"}):
                    assert (await client.get(f"{url}/status", headers=token | foreign)).status_code == 403
                assert (await client.get(f"{url}/nothing", headers=token)).status_code == 404
                assert (await client.delete(f"{url}/status", headers=token)).status_code == 405
                assert (await client.get(f"{url}/usage?by=nothing", headers=token)).status_code == 400
                for since in ("x", "-1", "9" * 20):
                    refused = await client.get(f"{url}/usage?since_ms={since}", headers=token)
                    assert refused.status_code == 400
                for body in (b"", b"{}", b'{"name": 5}', b"[" * 100_000):
                    reply = await client.post(f"{url}/keys", headers=token, content=body)
                    assert reply.status_code == 400
                shown = (await client.get(f"{url}/config", headers=token)).text
                assert "env:P1_KEY" in shown
                assert KEYS["P1_KEY"] not in shown
                for page in ("providers", "routes", "models", "nodes", "keys"):
                    assert page in (await client.get(f"{url}/{page}", headers=token)).json()


async def test_those_who_watch_hear_of_every_request(tmp_path: Path) -> None:
    """At most ten events a second; a watcher holds up neither requests nor the gateway's end."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            found = find_gateway(gateway.paths)
            assert found is not None
            seen: list[dict[str, object]] = []
            ended = asyncio.Event()

            async def watch() -> None:
                headers = {"Authorization": f"Bearer {found.token}"}
                url = f"{found.address}/admin/v1/events"
                async with (
                    httpx.AsyncClient(trust_env=False, timeout=30) as client,
                    client.stream("GET", url, headers=headers) as reply,
                ):
                    async for line in reply.aiter_lines():
                        seen.extend(json.loads(one[6:]) for one in (line,) if one.startswith("data: "))
                ended.set()

            async with asyncio.TaskGroup() as group:
                group.create_task(watch())
                await until(lambda: seen)
                for _ in range(5):
                    await gateway.ask()
                await until(lambda: sum(len(one["settled"]) for one in seen) == 5)  # type: ignore[arg-type,misc]
                assert seen[-1]["requests"] == 5
                assert len(seen) <= 7
                assert await gateway.stop() == 0
                await asyncio.wait_for(ended.wait(), 10)


async def test_a_node_is_registered_once_however_often(tmp_path: Path) -> None:
    """With its facts and models; the file keeps its comments, and a running gateway serves the model."""
    model = tmp_path / "models" / "tiny.gguf"
    model.parent.mkdir()
    demo = Path(__file__).parents[2] / "shareai_cli" / "llama" / "demo" / "shareai-demo.gguf"
    os.link(demo, model)
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url) + "# a person's comment\n"
        async with await RunningGateway.start(tmp_path / "home", config, environ=KEYS) as gateway:
            for _ in range(2):
                outcome = await gateway.shareai("node", "register", str(model), "--json")
                assert outcome.code == 0, outcome.err
                assert outcome.json["node"]["models"] == ["tiny"]
                assert outcome.json["node"]["facts"]["memory"] > 1 << 28
            [node] = (await gateway.shareai("node", "list", "--json")).json["nodes"]
            assert node["models"] == ["tiny"]
            text = gateway.paths.config_file.read_text()
            assert text.count("tiny.gguf") == 1
            assert "# a person's comment" in text

            async def is_offered() -> bool:
                listed = (await gateway.client.get("/v1/models")).json()["data"]
                return "node/tiny" in [one["id"] for one in listed]

            await eventually(is_offered)
            refused = await gateway.shareai("node", "register", str(tmp_path / "none.gguf"))
            assert refused.code == 3
            assert "none.gguf" in refused.err
