"""A route that hedges, over the wire: who answered, who was given up, and a client that leaves."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from tests.support.behaviours import silence
from tests.support.served import CHAT, KEYS, QUESTION, RunningGateway, eventually, one_route
from tests.support.upstream import FaultUpstream
from tests.support.waiting import until

HEDGE = 'hedge = {after = "50ms", extra = 1.0}\n'


async def test_the_one_that_answers_first_is_told_with_the_other(tmp_path: Path) -> None:
    """Its answer is whole, the other one's connection ends, and what that may have cost is in the row."""
    async with FaultUpstream([silence()]) as silent, FaultUpstream() as well:
        config = one_route(silent.base_url, well.base_url, options='price_as = "openai"') + HEDGE
        async with await RunningGateway.start(
            tmp_path, config.replace("/m1", "/gpt-4o-mini"), environ=KEYS
        ) as gateway:
            answer = await gateway.ask()
            assert answer.json()["choices"][0]["message"]["content"] == "Hello there."
            assert answer.headers["x-shareai-attempts"] == "2"
            await until(lambda: silent.open == 0, seconds=1.0)
            row = (await gateway.shareai("explain", "last", "--json")).json["request"]
            assert [(one["target"].partition("/")[0], one["outcome"]) for one in row["attempts"]] == [
                ("p1", "hedged"),
                ("p2", "ok"),
            ]
            assert row["cost_basis"] == "estimated"
            words = (await gateway.shareai("explain", "last")).out
            assert "given up, as another one asked beside it answered first" in " ".join(words.split())


async def test_a_client_that_leaves_ends_both_within_a_second(tmp_path: Path) -> None:
    """Neither provider works on for nobody."""
    async with FaultUpstream([silence()]) as first, FaultUpstream([silence()]) as second:
        config = one_route(first.base_url, second.base_url) + HEDGE
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            headers = {"Authorization": f"Bearer {gateway.key}"}
            async with httpx.AsyncClient(base_url=gateway.origin, headers=headers, trust_env=False) as client:
                asking = asyncio.get_running_loop().create_task(client.post(CHAT, json=QUESTION))
                await until(lambda: second.completions)
                asking.cancel()
                await asyncio.wait({asking})
            await until(lambda: first.open + second.open == 0, seconds=1.0)

            async def is_told() -> bool:
                row = (await gateway.shareai("explain", "last", "--json")).json["request"]
                return [one["outcome"] for one in row["attempts"]] == ["cancelled", "cancelled"]

            await eventually(is_told)
