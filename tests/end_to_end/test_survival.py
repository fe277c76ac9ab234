"""`kill -9` under load: the database stays whole, and what a client saw end is in it exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path

import httpx
import pytest

from tests.support.behaviours import Behaviour, Received, chat, stream
from tests.support.served import CHAT, KEYS, QUESTION, RunningGateway, one_route, run_shareai
from tests.support.upstream import FaultUpstream
from tests.support.waiting import until

KILLS = 20
CLIENTS = 8


class Load:
    """Clients that ask until the gateway is gone, and remember which replies they saw end."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.gateway = gateway
        self.ended: list[str] = []
        self.begun: list[str] = []

    async def run(self, number: int) -> None:
        streamed = number % 2 == 0
        with contextlib.suppress(httpx.HTTPError):
            while True:
                await (self._stream() if streamed else self._whole())

    async def _whole(self) -> None:
        reply = await self.gateway.ask()
        if reply.status_code == 200 and reply.json()["choices"]:
            self.ended.append(reply.headers["x-request-id"])

    async def _stream(self) -> None:
        body = {**QUESTION, "stream": True}
        async with self.gateway.client.stream("POST", CHAT, json=body) as reply:
            identity = reply.headers["x-request-id"]
            self.begun.append(identity)
            async for line in reply.aiter_lines():
                if line == "data: [DONE]":
                    self.ended.append(identity)


def answer(request: Received) -> Behaviour:
    """Answer streams slowly enough that each kill meets some under way."""
    return stream("one ", "two ", "three").spaced(0.004) if request.streamed else chat("An answer.")


async def test_a_killed_gateway_loses_nothing_that_a_client_saw_end(tmp_path: Path) -> None:
    """Twenty kills at different moments: integrity_check passes, one row for every reply that ended."""
    ended: list[str] = []
    begun: list[str] = []
    async with FaultUpstream(default=answer) as upstream:
        config = one_route(upstream.base_url)
        for kill in range(KILLS):
            gateway = await RunningGateway.start(tmp_path, config, environ=KEYS)
            load = Load(gateway)
            async with asyncio.TaskGroup() as group:
                for number in range(CLIENTS):
                    group.create_task(load.run(number))
                with contextlib.suppress(TimeoutError):
                    await until(lambda: load.ended)  # noqa: B023 - it is waited for here
                await asyncio.sleep(0.013 * kill)
                gateway.kill()
            await gateway.process.wait()
            await gateway.client.aclose()
            assert load.ended, f"kill {kill} met no load"
            ended += load.ended
            begun += load.begun
    report = await run_shareai(tmp_path, "usage", "--json")
    assert report.code == 0, report.err
    with contextlib.closing(sqlite3.connect(gateway.paths.database)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = [row[0] for row in database.execute("SELECT id FROM requests")]
    kept = {f"req_{number:016x}" for number in rows}
    assert len(kept) == len(rows)
    assert set(ended) - kept == set()
    assert set(begun) - kept == set(), "a stream that had begun has a row, complete or not"
    total = json.loads(report.out)["total"]
    assert total["requests"] == len(rows)
    assert total["incomplete"] > 0


async def test_a_lone_open_becomes_an_incomplete_row_once(tmp_path: Path) -> None:
    """Killed in the middle of a stream: the next start finds it, and the start after that adds nothing."""
    never = asyncio.Event()
    async with FaultUpstream([stream("one ", "two").stall(after=3, until=never)]) as upstream:
        config = one_route(upstream.base_url)
        gateway = await RunningGateway.start(tmp_path, config, environ=KEYS)
        with contextlib.suppress(httpx.HTTPError):
            async with gateway.client.stream("POST", CHAT, json={**QUESTION, "stream": True}) as reply:
                async for line in reply.aiter_lines():
                    if "one" in line:
                        gateway.kill()
        await gateway.process.wait()
        await gateway.client.aclose()
        for _ in range(2):
            again = await RunningGateway.start(tmp_path, config, environ=KEYS)
            await again.stop()
    total = (await run_shareai(tmp_path, "usage", "--json")).json["total"]
    assert (total["requests"], total["incomplete"]) == (1, 1)


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_the_end_of_the_gateway_cuts_off_is_incomplete(tmp_path: Path, streamed: bool) -> None:
    """The client had not left: whoever reads the accounts is told who ended it, and with which status."""
    never = asyncio.Event()
    answer = stream("one ", "two").stall(after=3, until=never) if streamed else chat().stall(until=never)
    async with FaultUpstream([answer]) as upstream:
        config = "[server]\ndrain = 0.2\n" + one_route(upstream.base_url)
        gateway = await RunningGateway.start(tmp_path, config, environ=KEYS)
        asking = asyncio.get_running_loop().create_task(
            gateway.client.post(CHAT, json={**QUESTION, "stream": streamed})
        )
        await until(lambda: upstream.completions)
        gateway.process.terminate()
        assert await gateway.process.wait() == 0
        with pytest.raises(httpx.HTTPError):
            await asking
        await gateway.client.aclose()
    told = (await run_shareai(tmp_path, "explain", "last", "--json")).json["request"]
    assert (told["outcome"], told["error"], told["status"]) == (
        "incomplete", "gateway_ended", 200 if streamed else 503,
    )  # fmt: skip
