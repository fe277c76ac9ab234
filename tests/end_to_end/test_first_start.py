"""What a newcomer meets: one command, a key, a curl line that works, real llama.cpp."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import socket
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from shareai_cli.paths import find_paths
from tests.support.served import PROGRAM, RunningGateway, StartError, eventually, run_shareai
from tests.support.waiting import alive, until

pytestmark = pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")

KEY = re.compile(r"sk-shareai-[A-Za-z0-9_-]{43}")


async def test_nothing_configured_serves_the_demo_model(tmp_path: Path) -> None:
    """Through real llama.cpp, with exact usage, at no cost, in the accounts."""
    async with await RunningGateway.start(tmp_path) as gateway:
        assert gateway.told["models"] == ["shareai-demo"]
        reply = await gateway.ask(model="shareai-demo")
        assert reply.status_code == 200
        assert "demo" in reply.json()["choices"][0]["message"]["content"].lower()
        assert reply.headers["x-shareai-target"] == "node/shareai-demo"
        counted = reply.json()["usage"]
        usage = (await gateway.shareai("usage", "--json")).json
        assert usage["total"]["requests"] == 1
        assert usage["total"]["prompt_tokens"] == counted["prompt_tokens"]
        assert usage["total"]["completion_tokens"] == counted["completion_tokens"]
        assert (usage["total"]["cost_nano_usd"], usage["total"]["unknown_cost"]) == (0, 0)
        await until(lambda: "200  shareai-demo -> node/shareai-demo" in gateway.stderr())


async def test_without_a_terminal_the_key_goes_into_a_private_file(tmp_path: Path) -> None:
    """Its place is named, it is nowhere else; the next start makes no other, and names the place again."""
    async with await RunningGateway.start(tmp_path) as gateway:
        file = Path(gateway.told["key_file"])
        assert gateway.told["key"] is None
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert KEY.fullmatch(gateway.key)
        assert (await gateway.client.get("/v1/models")).status_code == 200
    for one in tmp_path.rglob("*"):
        if one.is_file() and one != file:
            assert gateway.key.encode() not in one.read_bytes(), one
    async with await RunningGateway.start(tmp_path) as again:
        assert (again.told["key"], again.told["key_file"]) == (None, str(file))
        assert (await again.client.get("/v1/models")).status_code == 200


async def test_a_first_start_that_fails_makes_no_key(tmp_path: Path) -> None:
    """Nobody would have seen it: the first start that succeeds makes it, and names its place."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(StartError):
            await RunningGateway.start(tmp_path, arguments=("--port", str(taken.getsockname()[1])))
    assert (await run_shareai(tmp_path, "key", "list", "--json")).json["keys"] == []
    async with await RunningGateway.start(tmp_path) as gateway:
        assert gateway.told["key_file"] is not None
        assert (await gateway.client.get("/v1/models")).status_code == 200


def read_until(terminal: int, marker: str, seconds: float = 30.0) -> str:
    """Read a terminal until something stands there."""
    import select
    import time

    text = ""
    end = time.monotonic() + seconds
    while marker not in text:
        left = end - time.monotonic()
        assert left > 0, text
        if select.select([terminal], [], [], left)[0]:
            text += os.read(terminal, 65536).decode()
    return text.replace("\r\n", "\n")


def test_on_a_terminal_the_key_is_shown_once_and_the_curl_line_works(tmp_path: Path) -> None:
    """Pasted as it stands; the second start shows neither the key nor makes one."""
    environ = {**os.environ, "SHAREAI_HOME": str(tmp_path)}
    for start in ("first", "second"):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [*PROGRAM, "serve", "--port", "0"], stdin=theirs, stdout=theirs, stderr=theirs, env=environ
        )
        os.close(theirs)
        try:
            text = read_until(ours, "Next:")
            if start == "second":
                assert not KEY.search(text)
                continue
            key = KEY.findall(text)
            assert len(set(key)) == 1
            [line] = [one for one in text.split("\n") if one.startswith("curl ")]
            if subprocess.run(["which", "curl"], capture_output=True, check=False).returncode == 0:
                done = subprocess.run(
                    ["bash", "-c", line], capture_output=True, text=True, timeout=60, check=True
                )
                assert json.loads(done.stdout)["choices"][0]["finish_reason"] == "stop"
                assert "200  shareai-demo" in read_until(ours, "tokens")
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            os.close(ours)
    assert not find_paths(environ).first_key_file.exists()


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGKILL"])
async def test_no_process_outlives_the_gateway(tmp_path: Path, how: str) -> None:
    """Neither the agent nor a model's process, however the gateway ends."""
    gateway = await RunningGateway.start(tmp_path)
    assert (await gateway.ask(model="shareai-demo")).status_code == 200
    family = [one.pid for one in psutil.Process(gateway.process.pid).children(recursive=True)]
    assert len(family) == 2
    gateway.process.send_signal(getattr(signal, how))
    assert await asyncio.wait_for(gateway.process.wait(), 20) == (-9 if how == "SIGKILL" else 0)
    await until(lambda: not any(map(alive, family)))
    await gateway.client.aclose()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_model_that_dies_costs_its_own_request_and_starts_again(
    tmp_path: Path, how: signal.Signals
) -> None:
    """The request that it worked on fails; the gateway goes on, and so does the model after its wait."""
    async with await RunningGateway.start(tmp_path) as gateway:
        async with gateway.client.stream(
            "POST",
            "/v1/chat/completions",
            json={
                "model": "shareai-demo",
                "messages": [{"role": "user", "content": "long stream"}],
                "stream": True,
            },
        ) as reply:
            pieces = reply.aiter_text()
            text = await anext(pieces)
            status = (await gateway.shareai("status", "--json")).json
            [model] = status["local_models"]
            os.kill(model["pid"], how)
            text += "".join([piece async for piece in pieces])
        if "[DONE]" not in text:
            assert '"error"' in text
        assert (await gateway.client.get("/healthz")).status_code == 200

        async def answers() -> bool:
            return (await gateway.ask(model="shareai-demo")).status_code == 200

        await eventually(answers)


async def test_the_gateway_itself_never_imports_llama_cpp(tmp_path: Path) -> None:
    """Its memory maps know no such library, while a model's process has it."""
    if sys.platform != "linux":
        pytest.skip("memory maps are read from /proc")
    async with await RunningGateway.start(tmp_path) as gateway:
        await gateway.ask(model="shareai-demo")
        maps = Path(f"/proc/{gateway.process.pid}/maps").read_text()
        assert "llama" not in maps
        family = psutil.Process(gateway.process.pid).children(recursive=True)
        assert any("libllama" in Path(f"/proc/{one.pid}/maps").read_text() for one in family)
