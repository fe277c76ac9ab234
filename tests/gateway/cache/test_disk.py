"""Replies that outlast the process, where a route wants them on the disk."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest
from msgspec.structs import replace

from shareai_cli.config import CacheSettings
from shareai_cli.gateway.cache import disk
from shareai_cli.ledger import Replies
from shareai_cli.paths import Paths
from shareai_cli.types import Outcome
from tests.support.behaviours import chat
from tests.support.gateway import Gate
from tests.support.upstream import FaultUpstream
from tests.support.waiting import until

ROUTE = {"chat": ["a/m"]}
ON_DISK = CacheSettings(60.0, disk=1 << 20)


@pytest.fixture(autouse=True)
def state(paths: Paths) -> None:
    paths.make_state()


@asynccontextmanager
async def gate_over(
    a: FaultUpstream, paths: Paths, cache: CacheSettings | None = ON_DISK
) -> AsyncIterator[Gate]:
    async with Gate({"a": a}, routes=ROUTE, cache=cache, replies=Replies(paths.replies)) as gate:
        yield gate


def count(paths: Paths) -> int:
    with closing(sqlite3.connect(f"file:{paths.replies}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM replies").fetchone()[0])


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_another_process_gives_what_one_has_kept(paths: Paths, streamed: bool) -> None:
    """From the disk first, then from memory, byte for byte; each is a row that costs nothing."""
    async with FaultUpstream() as a:
        async with gate_over(a, paths) as gate:
            first = await gate.ask(stream=streamed)
        async with gate_over(a, paths) as gate:
            second, third = await gate.ask(stream=streamed), await gate.ask(stream=streamed)
            assert second.body == third.body == first.body
            assert [one.headers["x-shareai-cache"] for one in (second, third)] == ["hit", "hit"]
            entries = gate.ledger.closed_entries
            ends = [(one.outcome, one.route, one.target, one.attempts) for one in entries]
            assert ends == [(Outcome.HIT, "chat", "a/m", ())] * 2
            assert gate.ledger.opened_entries == []
        assert len(a.completions) == 1


async def test_nothing_is_written_unless_the_route_says_so(paths: Paths) -> None:
    """A cache alone is in memory; and requests are nowhere at all."""
    async with FaultUpstream() as a:
        async with gate_over(a, paths, CacheSettings(60.0)) as gate:
            await gate.ask()
        assert not paths.replies.exists()
        async with gate_over(a, paths) as gate:
            await gate.ask(messages=[{"role": "user", "content": "a very secret question"}])
    assert count(paths) == 1
    assert b"a very secret question" not in b"".join(one.read_bytes() for one in paths.state.glob("replies*"))


async def test_a_route_that_stores_nothing_any_more_has_nothing_left(paths: Paths) -> None:
    """Its replies go as soon as the configuration says so, at a start or while it runs."""
    async with FaultUpstream() as a:
        async with gate_over(a, paths) as gate:
            await gate.ask()
            await until(paths.replies.exists)
            route = replace(gate.settings.routes["chat"], cache=CacheSettings(60.0))
            await gate.gateway.replace(replace(gate.settings, routes={"chat": route}))
            await until(lambda: not paths.replies.exists())
            await gate.gateway.replace(gate.settings)
            await gate.ask(n=2)
        assert count(paths) == 1
        async with gate_over(a, paths, None):
            await until(lambda: not paths.replies.exists())


async def test_what_is_under_way_is_not_stored_once_the_route_stores_nothing(paths: Paths) -> None:
    """The configuration counts as it is when the reply is complete."""
    go_on = asyncio.Event()
    async with FaultUpstream([chat().stall(until=go_on)]) as a, gate_over(a, paths) as gate:
        asking = asyncio.get_running_loop().create_task(gate.ask())
        await until(lambda: a.completions)
        route = replace(gate.settings.routes["chat"], cache=None)
        await gate.gateway.replace(replace(gate.settings, routes={"chat": route}))
        go_on.set()
        assert (await asking).status == 200
    assert not paths.replies.exists()


async def test_what_waits_to_be_written_is_bounded(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is too slow does not fill the memory: what is beyond is only in memory's own tier."""
    monkeypatch.setattr(disk, "MOST_WAITING", 10)
    async with FaultUpstream() as a, gate_over(a, paths) as gate:
        await gate.ask()
        assert (await gate.ask()).headers["x-shareai-cache"] == "hit"
        assert not paths.replies.exists()
    assert not paths.replies.exists()


async def test_clearing_reaches_the_disk(paths: Paths) -> None:
    """And says what there was."""
    async with FaultUpstream() as a:
        async with gate_over(a, paths) as gate:
            await gate.ask()
            [cleared] = await gate.gateway.cache.clear()
            assert (cleared.replies, cleared.stored_replies) == (1, 1)
            assert not paths.replies.exists()
        async with gate_over(a, paths) as gate:
            assert (await gate.ask()).headers["x-shareai-cache"] == "miss"


async def test_a_file_that_fails_fails_no_request(paths: Paths) -> None:
    """It is told once; replies are kept in memory."""
    paths.replies.mkdir()
    async with FaultUpstream() as a, gate_over(a, paths) as gate:
        assert (await gate.ask()).headers["x-shareai-cache"] == "miss"
        assert (await gate.ask()).headers["x-shareai-cache"] == "hit"
        assert (await gate.ask(n=2)).status == 200
        assert [one.outcome for one in gate.ledger.closed_entries] == [Outcome.OK, Outcome.HIT, Outcome.OK]
        await until(lambda: gate.notices)
        assert len(gate.notices) == 1
        assert gate.notices[0].startswith("Replies cannot be kept in their file: ")
