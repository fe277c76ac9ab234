"""`shareai doctor` tells what is wrong, what mends it, and how bad it is, within bounded time."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator

import pytest

from shareai_cli.paths import Paths
from tests.support.check_server import check_server
from tests.support.commands import shareai, shareai_process
from tests.support.configuration import PLANTED
from tests.support.terminal import terminal

MODELS = b'{"object": "list", "data": []}'


@pytest.fixture
def port() -> Iterator[int]:
    """Yield a port that is bound, and on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def configure(paths: Paths, text: str) -> None:
    paths.config_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths.config_file.write_text(f"[server]\nport = 0\n{text}")
    paths.config_file.chmod(0o600)


def test_a_fresh_installation_has_no_problem(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is configured, nothing runs; and looking makes no file."""
    monkeypatch.setenv("SHAREAI_PORT", "0")
    outcome = shareai("doctor", "--json")
    told = outcome.json
    levels = {one["level"] for one in told["findings"]}
    assert "problem" not in levels, told
    assert (outcome.code, told["ok"]) == ((6, False) if "warning" in levels else (0, True))
    names = {one["name"] for one in told["findings"]}
    assert names >= {"program", "compiler", "llama.cpp", "GPU", "SQLite", "keyring", "permissions", "disk",
                     "configuration", "gateway", "port", "proxies", "clock"}  # fmt: skip
    assert not paths.config_file.parent.exists()
    assert outcome.err == ""


def test_what_is_broken_is_a_problem_with_its_remedy(
    paths: Paths, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key file that others can read, a port that is taken, a provider that is dead: exit code 1."""
    monkeypatch.setenv("DEAD_KEY", PLANTED)
    key = paths.config_file.parent / "mine.key"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        configure(paths, "")
        key.write_text(PLANTED)
        key.chmod(0o644)
        paths.config_file.write_text(
            f'[server]\nport = {taken}\n[providers.dead]\nbase_url = "http://127.0.0.1:{port}/v1"\n'
            f'keys = ["env:DEAD_KEY", "file:{key}"]\n'
        )
        outcome = shareai("doctor")
    assert outcome.code == 1
    lines = [line.strip() for line in outcome.out.splitlines()]
    for start, remedy in (
        (f"problem  permissions      others can read {key} (mode 0644).", f"chmod 600 {key}"),
        (f"problem  port             port {taken} of 127.0.0.1 is taken", "shareai serve --port 0"),
        ("problem  provider dead    connection: connection refused", "Start what should listen at"),
    ):
        [place] = [number for number, line in enumerate(lines) if line.startswith(start)]
        assert lines[place + 1].startswith(remedy)
    assert outcome.err.splitlines()[-1].endswith(".")
    assert "problems" in outcome.err
    assert PLANTED not in outcome.out + outcome.err


def test_a_provider_is_reached_without_its_key(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """And each step has its time."""
    monkeypatch.setenv("ALPHA_KEY", PLANTED)
    with check_server(lambda headers: (401, b"{}")) as server:
        configure(paths, f'[providers.alpha]\nbase_url = "{server.base_url}"\nkeys = ["env:ALPHA_KEY"]\n')
        told = shareai("doctor", "--json").json
    [finding] = [one for one in told["findings"] if one["name"] == "provider alpha"]
    assert finding["level"] == "ok"
    assert finding["text"].startswith("HTTP 401 without a key; name ")
    assert finding["text"].endswith(" ms")
    [(path, headers)] = server.asked
    assert path == "/v1/models"
    assert PLANTED not in str(headers)


def test_a_broken_configuration_does_not_hide_the_rest(paths: Paths) -> None:
    """It is one finding, with file and line; all else is looked at."""
    configure(paths, "[sever]\n")
    outcome = shareai("doctor", "--json")
    assert outcome.code == 1
    findings = {one["name"]: one for one in outcome.json["findings"]}
    assert findings["configuration"]["level"] == "problem"
    assert "line 3: sever: unknown key" in findings["configuration"]["text"]
    assert "SQLite" in findings


def test_it_ends_in_time_whoever_does_not_answer(paths: Paths) -> None:
    """A provider that takes the connection and says nothing, and several of them."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        port = silent.getsockname()[1]
        configure(
            paths, "".join(f'[providers.p{n}]\nbase_url = "http://127.0.0.1:{port}/v{n}"\n' for n in range(9))
        )
        began = time.monotonic()
        outcome = shareai_process("doctor", "--json")
        assert time.monotonic() - began < 20  # ten, and what a busy machine adds
    assert outcome.code == 1
    findings = [one for one in outcome.json["findings"] if one["name"].startswith("provider p")]
    assert {one["level"] for one in findings} == {"problem"}
    assert len(findings) == 9


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_progress_is_told_on_a_terminal_alone(paths: Paths) -> None:
    """In a line that goes away, once a second has passed; not where the terminal can do little."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        configure(paths, f'[providers.p]\nbase_url = "http://127.0.0.1:{silent.getsockname()[1]}/v1"\n')
        with terminal("doctor") as screen:
            assert screen.end() == 1
            assert "Looking (provider p" in screen.raw
            assert "\x1b[K" in screen.raw[screen.raw.rindex("Looking (") :]
            assert screen.text.rstrip().endswith(".")
        with terminal("doctor", environ={"TERM": "dumb"}) as screen:
            assert screen.end() == 1
            assert "\x1b" not in screen.raw
            assert "Looking" not in screen.raw
