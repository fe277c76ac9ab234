"""A machine that does not play along: a clear line and the right exit code; what runs goes on as it can."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.behaviours import chat, silence, stream
from tests.support.served import KEYS, RunningGateway, StartError, eventually, one_route, run_shareai
from tests.support.upstream import FaultUpstream

ANY = "http://127.0.0.1:9/v1"


async def refused_start(home: Path, config: str | None = None, *arguments: str) -> StartError:
    """Start a gateway that cannot start; its message is for a person."""
    with pytest.raises(StartError) as caught:
        await RunningGateway.start(home, config, environ=KEYS, arguments=arguments)
    assert "Traceback" not in caught.value.err
    assert len(caught.value.err.splitlines()) <= 3, caught.value.err
    return caught.value


async def test_a_port_in_use(tmp_path: Path) -> None:
    """Names the address, and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        error = await refused_start(tmp_path, one_route(ANY), "--port", port)
    assert error.code == 1
    assert port in error.err
    assert "--port" in error.err


async def test_an_address_that_is_not_this_machines(tmp_path: Path) -> None:
    """Names it."""
    error = await refused_start(tmp_path, one_route(ANY), "--host", "203.0.113.7")
    assert error.code == 1
    assert "203.0.113.7" in error.err


async def test_a_broken_configuration_names_file_line_key_and_the_nearest(tmp_path: Path) -> None:
    """With exit code 3."""
    error = await refused_start(tmp_path, f'[providers.p1]\nbase_urll = "{ANY}"\n')
    assert error.code == 3
    assert "config.toml:2" in error.err.replace(", line ", ":")
    assert "base_urll" in error.err
    assert "base_url" in error.err


async def test_a_key_that_cannot_be_had(tmp_path: Path) -> None:
    """Names the provider and the variable."""
    error = await refused_start(tmp_path, one_route(ANY).replace("P1_KEY", "NOBODY_SET_THIS"))
    assert error.code == 3
    assert "p1" in error.err
    assert "NOBODY_SET_THIS" in error.err


async def test_a_configuration_that_breaks_while_running_changes_nothing(tmp_path: Path) -> None:
    """The last good one stays in force, status says so, and the mended one is taken up."""
    async with FaultUpstream() as first, FaultUpstream(default=chat("From the second.")) as second:
        config = one_route(first.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            file = gateway.paths.config_file
            file.write_text(config + "\n[routes.chat\n")
            status = await eventually_problem(gateway)
            assert "config.toml" in status
            assert (await gateway.ask()).status_code == 200
            file.write_text(config.replace(first.base_url, second.base_url))

            async def is_taken_up() -> bool:
                return "From the second." in (await gateway.ask()).text

            await eventually(is_taken_up)
            assert (await gateway.shareai("status", "--json")).json["config_problem"] is None
            assert (await gateway.shareai("status")).code == 0


async def eventually_problem(gateway: RunningGateway) -> str:
    """Wait until status tells of the configuration, and return what it says."""
    told: list[str] = []

    async def has_problem() -> bool:
        outcome = await gateway.shareai("status", "--json")
        told[:] = [outcome.json["config_problem"] or ""]
        assert outcome.code == (6 if told[0] else 0)
        return bool(told[0])

    await eventually(has_problem)
    return told[0]


@pytest.mark.parametrize(
    "content",
    [b"", b"GGUF", b"GGUF\x03\x00\x00\x00" + b"\xff" * 64, b"no model" * 100],
    ids=["empty", "cut off", "absurd counts", "something else"],
)
async def test_an_unreadable_model_file(tmp_path: Path, content: bytes) -> None:
    """`node register` refuses it; declared by hand it costs its own requests a 503, and no other."""
    model = tmp_path / "broken.gguf"
    model.write_bytes(content)
    refused = await run_shareai(tmp_path / "home", "node", "register", str(model))
    assert refused.code == 3
    assert "broken.gguf" in refused.err
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url) + f'[local]\nmodels = ["{model}"]\n'
        async with await RunningGateway.start(tmp_path / "home", config, environ=KEYS) as gateway:
            reply = await gateway.ask(model="node/broken")
            assert reply.status_code == 503
            assert "broken.gguf" in reply.json()["error"]["message"]
            assert (await gateway.ask()).status_code == 200


@contextlib.contextmanager
def small_disk(place: Path, kibibytes: int) -> Iterator[Path]:
    """Mount a file system of that size; skips where this user may not."""
    place.mkdir()
    options = f"size={kibibytes}k"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], capture_output=True, check=True)


def make_read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], capture_output=True, check=True)


async def test_a_disk_that_fills_while_running(tmp_path: Path) -> None:
    """Requests go on while entries wait in memory, status says so; with room again every row is there."""
    with small_disk(tmp_path / "disk", 4096) as disk:
        async with FaultUpstream() as upstream:
            config = one_route(upstream.base_url)
            async with await RunningGateway.start(disk, config, environ=KEYS) as gateway:
                assert (await gateway.ask()).status_code == 200
                ballast = disk / "ballast"
                fill(ballast)
                for _ in range(20):
                    assert (await gateway.ask()).status_code == 200

                async def says_so() -> bool:
                    outcome = await gateway.shareai("status", "--json")
                    return bool(outcome.json["ledger_problem"]) and outcome.code == 6

                await eventually(says_so)
                assert (await gateway.client.get("/healthz")).json()["status"] == "degraded"
                ballast.unlink()

                async def is_well() -> bool:
                    return (await gateway.shareai("status", "--json")).json["ledger_problem"] is None

                await eventually(is_well)
                total = (await gateway.shareai("usage", "--json")).json["total"]
                assert total["requests"] == 21


def fill(file: Path) -> None:
    """Write until the disk is full."""
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as open_file:
        while True:
            open_file.write(b"x" * 4096)


async def test_a_disk_that_is_full_at_the_start(tmp_path: Path) -> None:
    """A line that names the folder, exit code 1."""
    with small_disk(tmp_path / "disk", 256) as disk:
        (disk / "config.toml").write_text(one_route(ANY))
        (disk / "stderr.log").touch()
        fill(disk / "ballast")
        outcome = await run_shareai(disk, "serve", "--port", "0", environ=KEYS)
        assert outcome.code == 1
        assert str(disk) in outcome.err
        assert "Traceback" not in outcome.err


async def test_a_read_only_state_folder(tmp_path: Path) -> None:
    """A line that names it, exit code 1, for serving and for a command."""
    with small_disk(tmp_path / "disk", 1024) as disk:
        (disk / "config.toml").write_text(one_route(ANY))
        make_read_only(disk)
        for arguments in (("serve", "--port", "0"), ("key", "create", "laptop"), ("usage",)):
            outcome = await run_shareai(disk, *arguments, environ=KEYS)
            assert outcome.code == 1, arguments
            assert str(disk) in outcome.err
            assert "Traceback" not in outcome.err


async def test_a_database_that_another_program_locks(tmp_path: Path) -> None:
    """A line that says so, exit code 1; nothing is lost."""
    assert (await run_shareai(tmp_path, "key", "create", "laptop")).code == 0
    database = tmp_path / "state" / "shareai.db"
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as held:
        held.execute("BEGIN EXCLUSIVE")
        outcome = await run_shareai(tmp_path, "key", "list")
        assert outcome.code == 1
        assert "locked" in outcome.err
        assert "Traceback" not in outcome.err
    assert "laptop" in (await run_shareai(tmp_path, "key", "list")).out


async def test_a_database_of_a_newer_version_is_left_untouched(tmp_path: Path) -> None:
    """A line that says so, exit code 1, and not a byte changed."""
    assert (await run_shareai(tmp_path, "key", "create", "laptop")).code == 0
    database = tmp_path / "state" / "shareai.db"
    with contextlib.closing(sqlite3.connect(database)) as newer:
        newer.execute("PRAGMA user_version = 9999")
        newer.commit()
    before = database.read_bytes()
    for arguments in (("key", "list"), ("usage",), ("serve", "--port", "0")):
        outcome = await run_shareai(tmp_path, *arguments)
        assert outcome.code == 1
        assert "newer" in outcome.err
        assert "Traceback" not in outcome.err
    assert database.read_bytes() == before


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """A line that names it, exit code 1; it is not overwritten."""
    state = tmp_path / "state"
    state.mkdir(parents=True)
    (state / "shareai.db").write_bytes(b"this is not a database" * 1000)
    outcome = await run_shareai(tmp_path, "usage")
    assert outcome.code == 1
    assert "shareai.db" in outcome.err
    assert (state / "shareai.db").read_bytes() == b"this is not a database" * 1000


async def test_a_locked_database_does_not_hold_up_a_running_gateway(tmp_path: Path) -> None:
    """Requests are answered and kept in the journal, and moved once the lock is gone."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            assert (await gateway.ask()).status_code == 200
            assert (await gateway.shareai("usage", "--json")).json["total"]["requests"] == 1
            with contextlib.closing(sqlite3.connect(gateway.paths.database, isolation_level=None)) as held:
                held.execute("BEGIN IMMEDIATE")
                for _ in range(10):
                    assert (await gateway.ask()).status_code == 200
                held.execute("ROLLBACK")

            async def is_moved() -> bool:
                total = (await gateway.shareai("usage", "--json")).json["total"]
                return bool(total["requests"] == 11)

            await eventually(is_moved)


async def test_requests_under_way_end_before_the_gateway_does(tmp_path: Path) -> None:
    """Ctrl-C lets a stream end, takes no new connection, and exits with 0."""
    gate = asyncio.Event()
    async with FaultUpstream([stream("one ", "two").stall(after=3, until=gate)]) as upstream:
        config = one_route(upstream.base_url)
        gateway = await RunningGateway.start(tmp_path, config, environ=KEYS)
        body = {"model": "chat", "messages": [], "stream": True}
        async with gateway.client.stream("POST", "/v1/chat/completions", json=body) as reply:
            lines = reply.aiter_lines()
            assert "assistant" in await anext(lines)
            gateway.process.send_signal(2)

            async def listens_no_more() -> bool:
                with socket.socket() as probe:
                    probe.settimeout(1)
                    port = int(gateway.origin.rpartition(":")[2])
                    return probe.connect_ex(("127.0.0.1", port)) != 0

            await eventually(listens_no_more)
            gate.set()
            rest = [line async for line in lines]
            assert "data: [DONE]" in rest
        assert await gateway.process.wait() == 0
        await gateway.client.aclose()


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
async def test_a_second_ctrl_c_ends_a_gateway_at_once(tmp_path: Path) -> None:
    """Whatever is under way."""
    async with FaultUpstream([silence()]) as upstream:
        gateway = await RunningGateway.start(tmp_path, one_route(upstream.base_url), environ=KEYS)
        asking = asyncio.get_running_loop().create_task(gateway.ask())
        await eventually(lambda: _has_one(upstream))
        gateway.process.send_signal(2)
        await asyncio.sleep(0.3)
        assert gateway.process.returncode is None
        gateway.process.send_signal(2)
        async with asyncio.timeout(5):
            assert await gateway.process.wait() == 0
        with contextlib.suppress(Exception):
            await asking
        await gateway.client.aclose()


async def _has_one(upstream: FaultUpstream) -> bool:
    return bool(upstream.completions)
