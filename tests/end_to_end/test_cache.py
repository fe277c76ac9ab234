"""A cache as a person uses it: switched on in config.toml, seen, cleared, and found in the accounts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from tests.support.behaviours import stream
from tests.support.served import CHAT, KEYS, QUESTION, RunningGateway, eventually, one_route, shareai_here
from tests.support.upstream import FaultUpstream

STORED = '\n[routes.chat.cache]\nage = "1h"\ndisk = "1 MiB"\n'


def how(response: httpx.Response) -> str | None:
    found = response.headers.get("x-shareai-cache")
    return str(found) if found is not None else None


async def test_replies_are_kept_shown_and_forgotten(tmp_path: Path) -> None:
    """Hits cost nothing, survive a restart where the configuration says so, and go when they are cleared."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url) + STORED
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            answers = [await gateway.ask(stream=streamed) for streamed in (False, False, True, True)]
            assert [how(one) for one in answers] == ["miss", "hit", "miss", "hit"]
            assert answers[2].content == answers[3].content
            [use] = (await gateway.shareai("cache", "stats", "--json")).json["caches"]
            assert (use["route"], use["replies"], use["hits"], use["misses"]) == ("chat", 2, 2, 2)
            assert (await gateway.shareai("cache", "stats")).out.splitlines()[1].split()[0] == "chat"
            usage = (await gateway.shareai("usage", "--json")).json["total"]
            assert (usage["requests"], usage["hit"], usage["failed"]) == (4, 2, 0)
            told = await gateway.shareai("explain", answers[1].headers["x-request-id"])
            assert "200: an answer that was kept, from p1/m1" in told.out
            assert "none: nothing was billed" in told.out
        offline = await shareai_here(tmp_path, "cache", "stats", "--json")
        assert [(one["stored_replies"], one["hits"]) for one in offline.json["caches"]] == [(2, 0)]
        async with await RunningGateway.start(tmp_path, environ=KEYS) as gateway:
            assert how(await gateway.ask(stream=False)) == "hit"
            cleared = await gateway.shareai("cache", "clear", "chat")
            assert cleared.out == "Forgotten: 1 reply in memory, 2 replies on the disk.\n"
            assert how(await gateway.ask(stream=False)) == "miss"
            unknown = await gateway.shareai("cache", "clear", "chatt")
            assert (unknown.code, "Did you mean 'chat'?" in unknown.err) == (2, True)
        assert (await shareai_here(tmp_path, "cache", "clear")).out == (
            "Forgotten: 0 replies in memory, 1 reply on the disk.\n"
        )
        nothing = await shareai_here(tmp_path, "cache", "stats")
        assert (nothing.out, nothing.err.count("\n")) == ("", 1)
        assert not gateway.paths.replies.exists()
        assert len(upstream.completions) == 3


async def test_a_cache_is_switched_on_and_off_while_it_runs(tmp_path: Path) -> None:
    """As soon as the configuration is taken up."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            assert how(await gateway.ask()) is None
            for text, expected in (('cache = "5m"\n', ["miss", "hit"]), ("", [None, None])):
                gateway.paths.config_file.write_text(config + text)

                async def is_taken_up(wanted: bool = bool(text)) -> bool:
                    return bool((await gateway.shareai("cache", "stats", "--json")).json["caches"]) == wanted

                await eventually(is_taken_up)
                assert [how(await gateway.ask()) for _ in range(2)] == expected


async def test_equal_streams_over_real_connections_are_one_call(tmp_path: Path) -> None:
    """Each connection gets every byte, also after the one that led was cut."""
    go_on = asyncio.Event()
    slow = stream(*[f"word {number} " for number in range(50)]).stall(after=20, until=go_on)
    async with FaultUpstream([slow]) as upstream:
        config = one_route(upstream.base_url) + 'cache = "5m"\n'
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            question = {**QUESTION, "stream": True}
            async with gateway.client.stream("POST", CHAT, json=question) as leader:
                assert how(leader) == "miss"
                await anext(leader.aiter_bytes())
                loop = asyncio.get_running_loop()
                others = [loop.create_task(gateway.ask(stream=True)) for _ in range(50)]
                await asyncio.sleep(0.5)
            go_on.set()
            answers = await asyncio.gather(*others)
            assert {how(one) for one in answers} == {"joined"}
            [body] = {one.content for one in answers}
            assert body.count(b"word ") == 50
            assert body.endswith(b"data: [DONE]\n\n")
            assert len(upstream.completions) == 1

            async def is_recorded() -> bool:
                usage = (await gateway.shareai("usage", "--json")).json["total"]
                return (usage["joined"], usage["cancelled"], usage["prompt_tokens"]) == (50, 1, 9)

            await eventually(is_recorded)
