"""The configuration, the port and the gateway that runs are looked at."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from shareai_cli.cli.checks.gateway import check_configuration, check_gateway, check_port
from shareai_cli.config import Settings
from tests.cli.checks.subjects import said, subject
from tests.support.model_files import model_file
from tests.support.served import RunningGateway, eventually


@pytest.fixture
def taken() -> Iterator[int]:
    """Yield a port on which another program listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_port_may_be_free_or_taken(tmp_path: Path, taken: int) -> None:
    """Taken by another program it is a problem, with another port as the way out."""
    finding = check_port(subject(tmp_path, f"[server]\nport = {taken}\n"))
    assert (finding.level, finding.text) == (
        "problem",
        f"port {taken} of 127.0.0.1 is taken by another program",
    )
    assert "shareai serve --port 0" in finding.mend
    with socket.socket() as former:
        former.bind(("127.0.0.1", 0))
        port = former.getsockname()[1]
    assert (
        check_port(subject(tmp_path, f"[server]\nport = {port}\n")).text
        == f"port {port} of 127.0.0.1 is free"
    )
    assert check_port(subject(tmp_path, "[server]\nport = 0\n")).level == "ok"


def test_an_address_that_is_not_this_machines_is_a_problem(tmp_path: Path) -> None:
    """With the setting that names it."""
    finding = check_port(subject(tmp_path, '[server]\nhost = "192.0.2.1"\nport = 6161\n'))
    assert finding.level == "problem"
    assert "[server] host" in finding.mend


def test_what_the_configuration_names_has_to_be_there(tmp_path: Path) -> None:
    """Keys and files; nothing at all is fine, and can be made."""
    [nothing] = check_configuration(replace(subject(tmp_path), settings=Settings()))
    assert (nothing.level, nothing.mend) == ("ok", "shareai init")
    model = model_file(tmp_path / "wise.gguf")
    text = f'[providers.groq]\n[local]\nmodels = ["{model}", "{tmp_path}/lost model.gguf"]\n'
    findings = check_configuration(subject(tmp_path, text))
    assert said(findings) == [("configuration", "problem")] * 2
    assert findings[0].text == "provider groq: The variable GROQ_API_KEY is not set."
    assert findings[1].mend == "shareai model remove 'lost model'"
    (tmp_path / "lost model.gguf").touch()
    [fine] = check_configuration(subject(tmp_path, text, {"GROQ_API_KEY": "x"}))
    assert (fine.level, fine.text) == ("ok", f"{tmp_path}/config.toml: 1 provider, 0 routes, 2 local models")


async def test_a_gateway_that_runs_is_told_of(tmp_path: Path, taken: int) -> None:
    """And its port is its own; what it has trouble with is told as well."""
    config = f'[providers.dead]\nbase_url = "http://127.0.0.1:{taken}/v1"\n'
    async with await RunningGateway.start(tmp_path, config) as gateway:
        port = int(gateway.origin.rpartition(":")[2])
        asked = subject(tmp_path, f"[server]\nport = {port}\n")
        findings = await asyncio.to_thread(check_gateway, asked)
        assert said(findings) == [("gateway", "ok"), ("port", "ok")]
        assert f"process {gateway.process.pid}" in findings[0].text
        assert findings[1].text == f"{port}, on which this gateway listens"

        (tmp_path / "config.toml").write_text("[sever]\n")

        async def tells() -> bool:
            found = await asyncio.to_thread(check_gateway, asked)
            return found[0].level == "problem" and "sever" in found[0].text

        await eventually(tells)


async def test_a_gateway_that_was_killed_does_not_run(tmp_path: Path) -> None:
    """What it left behind is no sign of life."""
    async with await RunningGateway.start(tmp_path) as gateway:
        gateway.kill()
        await gateway.process.wait()
        findings = await asyncio.to_thread(check_gateway, subject(tmp_path, "[server]\nport = 0\n"))
    assert said(findings) == [("gateway", "ok"), ("port", "ok")]
    assert findings[0].text == "none runs here"
