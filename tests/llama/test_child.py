from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from shareai_cli.errors import ModelUnavailable
from shareai_cli.llama.demo.build import ANSWER, DEMO_FILE
from shareai_cli.types import Layout, LocalModel
from shareai_cli.wire.process import AgentStart, ChildProcess, ChildStart, RestartWaits, without_secrets
from tests.support.waiting import alive, until

SECRET = "the-secret-of-this-test"
DEFAULT = Layout()


def start_line(path: Path, layout: Layout = DEFAULT, **fields: Any) -> ChildStart:
    return ChildStart(SECRET, LocalModel("shareai-demo", str(path), **fields), layout)


async def start(path: Path, layout: Layout = DEFAULT, **fields: Any) -> ChildProcess:
    return await ChildProcess.start(
        "shareai_cli.llama", start_line(path, layout, **fields), seconds=30, environ=os.environ
    )


async def test_a_child_serves_until_its_pipe_ends() -> None:
    """It says its port, answers who has the secret, leaves the terminal's signals to its parent, and ends."""
    child = await start(DEMO_FILE, context=1024, threads=1)
    try:
        os.kill(child.pid, signal.SIGINT)
        os.kill(child.pid, signal.SIGTERM)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{child.port}", trust_env=False) as client:
            body = {"model": "shareai-demo", "messages": [{"role": "user", "content": "hi"}]}
            assert (await client.post("/v1/chat/completions", json=body)).status_code == 401
            client.headers["Authorization"] = f"Bearer {SECRET}"
            reply = await client.post("/v1/chat/completions", json=body)
            assert reply.json()["choices"][0]["message"]["content"] == ANSWER
            # Also in the middle of a computation that nothing reads.
            endless = {**body, "messages": [{"role": "user", "content": "endless stream"}], "stream": True}
            async with client.stream("POST", "/v1/chat/completions", json=endless) as stream:
                await anext(stream.aiter_bytes())
                await child.stop(10)
        assert await child.wait() == 0
    finally:
        await child.stop()


@pytest.mark.parametrize("flash_attention", [None, True, False])
async def test_a_child_is_laid_out_as_its_parent_says(flash_attention: bool | None) -> None:
    """So many slots, so large a cache; a request may take no more than the model was trained for."""
    for layout, context in ((Layout(cells=512, slots=3), 512), (Layout(cells=65536, slots=3), 32768)):
        child = await start(DEMO_FILE, layout, flash_attention=flash_attention)
        try:
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{child.port}",
                headers={"Authorization": f"Bearer {SECRET}"},
                trust_env=False,
            ) as client:
                health = (await client.get("/health")).json()
            assert (health["context"], health["slots"]) == (context, 3)
        finally:
            await child.stop()


@pytest.mark.parametrize("damage", ["missing", "cut", "garbage"])
async def test_an_unreadable_model_is_told_to_the_parent(damage: str, tmp_path: Path) -> None:
    """The process says why in one line that names the file, and ends."""
    path = tmp_path / "broken.gguf"
    if damage != "missing":
        path.write_bytes(DEMO_FILE.read_bytes()[:100_000] if damage == "cut" else b"\x00" * 5000)
    with pytest.raises(ModelUnavailable, match=r"broken\.gguf"):
        await start(path)


@pytest.mark.parametrize(
    ("program", "seconds", "words"),
    [
        ("import sys; sys.stdin.read()", 0.3, r"not start within 0\.3 s"),
        ("print('Hello')", 30, "start protocol"),
        ("print('x' * 3_000_000)", 30, "too long"),
        ("print('{}')", 30, "no port"),
        ("raise SystemExit(7)", 30, "status 7"),
        ("import os; os.kill(os.getpid(), 11)", 30, "signal 11"),
    ],
)
async def test_a_process_that_does_not_keep_to_the_protocol_is_ended(
    program: str, seconds: float, words: str, tmp_path: Path
) -> None:
    """Silence, other words and an early end are errors in words, and nothing is left running."""
    (tmp_path / "stranger.py").write_text(program)
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with pytest.raises(ModelUnavailable, match=words):
        await ChildProcess.start("stranger", AgentStart(SECRET), seconds=seconds, environ=environ)


async def test_a_child_ends_with_a_parent_that_was_killed() -> None:
    """Nobody closed the pipe on purpose: the system did, when it took the parent's files away."""
    line = msgspec.json.encode(start_line(DEMO_FILE)).decode()
    program = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-P', '-m', 'shareai_cli.llama'],\n"
        "                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)\n"
        f"child.stdin.write({line!r} + '\\n'); child.stdin.flush()\n"
        "child.stdout.readline(); print(child.pid, flush=True); sys.stdin.read()\n"
    )
    parent = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs in this loop
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    await until(lambda: not alive(child))


def test_restarts_wait_longer_each_time_and_a_long_life_forgets() -> None:
    """0.5 s, doubled up to 30 s; a process that lived for 30 s is no repeated failure."""
    waits = RestartWaits()
    assert [waits.died(1.0) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert waits.died(31.0) == 0.5


def test_start_lines_do_not_print_their_secret_and_keys_stay_behind() -> None:
    """A child needs no key of the environment, and what starts it shows none."""
    assert SECRET not in repr(start_line(DEMO_FILE)) + repr(AgentStart(SECRET))
    environ = {"PATH": "/bin", "OPENAI_API_KEY": "x", "hf_token": "y", "CUDA_VISIBLE_DEVICES": "0"}
    environ["https_proxy"] = "http://user:password@proxy.example:3128"
    assert without_secrets(environ) == {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "0"}
