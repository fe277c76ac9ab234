"""Limits on real sockets and real accounts: together nobody passes a budget, and a kill forgets nothing."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from shareai_cli.paths import Paths, find_paths
from shareai_cli.types import Budget, Limits, Subject
from tests.gateway.limits.killed import ask
from tests.gateway.limits.making import by_name
from tests.gateway.limits.whole import LIMITS, SECRET, counted, serving, sums_of_rows
from tests.ledger.making import check_whole, query
from tests.support.behaviours import Behaviour, Received, chat
from tests.support.loopback import client_of
from tests.support.upstream import FaultUpstream

ROOT = Path(__file__).parents[3]
PARALLEL = 200
KILLS = 50
LONGEST = 300
BUDGET = 8_000


def as_dear_as_can_be(request: Received) -> Behaviour:
    """Take as many tokens as there are bytes, and the longest answer."""
    return chat(usage=(len(request.body), request.json["max_tokens"])).after_delay(0.01)


@pytest.mark.parametrize("says", [True, False], ids=["says how long", "leaves it open"])
async def test_together_they_never_pass_a_budget(paths: Paths, says: bool) -> None:
    """Two hundred at once, again and again, with the dearest answers; what is refused is not sent."""
    limits = {Subject("key", "ci", (1,)): Limits(budgets=(Budget("total", BUDGET),))}
    asking: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
    if says:
        asking["max_tokens"] = LONGEST
    statuses: list[int] = []
    async with (
        FaultUpstream(default=as_dear_as_can_be) as upstream,
        serving(paths, upstream.base_url, limits) as whole,
        client_of(whole.gateway.respond, SECRET) as client,
    ):
        codes: set[str] = set()
        for _ in range(10):
            answers = await asyncio.gather(
                *[client.post("/v1/chat/completions", json=asking) for _ in range(PARALLEL)]
            )
            statuses += [one.status_code for one in answers]
            refused = [one for one in answers if one.status_code == 429]
            codes = {one.json()["error"]["code"] for one in refused}
            if len(refused) == PARALLEL:
                break
        assert codes == {"insufficient_quota"}
        await whole.ledger.settled()
        [use] = whole.gateway.limiter.use()
        spent = sums_of_rows(paths)["key/ci"][2]
        assert use.reserved == 0
        assert use.used == spent <= BUDGET
        assert spent > BUDGET * 0.8, "the budget can be used"
        assert len(upstream.completions) == statuses.count(200) >= (5 if says else 1)


async def killed(home: Path, kills: int) -> list[dict[str, object]]:
    """Return what each of the gateways said that were killed one after the other."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.gateway.limits.killed", str(home), str(kills), cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each gateway is forked from a process that is loaded")
async def test_a_kill_forgets_nothing(tmp_path: Path) -> None:
    """Killed fifty times between reserving and settling: each start counts what the rows add up to."""
    said = await killed(tmp_path, KILLS)
    assert len(said) == KILLS + 2
    for one in said:
        assert one["counted"] == one["rows"], one
    paths = find_paths({"SHAREAI_HOME": str(tmp_path)})
    check_whole(paths)
    [(incomplete, requests)] = query(paths, "SELECT sum(outcome = 2), count(*) FROM requests")
    assert incomplete >= KILLS, "kills have met requests under way"
    assert requests > incomplete


async def test_new_limits_know_what_was_used_before_while_requests_come_and_go(paths: Paths) -> None:
    """Set in the middle of a load they count every request once: before, meanwhile and after."""
    async with (
        FaultUpstream(default=lambda request: chat().after_delay(0.002)) as upstream,
        serving(paths, upstream.base_url, {}) as whole,
    ):
        is_over = False

        async def load(number: int) -> None:
            while not is_over:
                await ask(whole.port, number)

        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(load(number))
            await asyncio.sleep(0.1)
            for _ in range(5):
                await whole.gateway.replace_limits(LIMITS)
                await asyncio.sleep(0.03)
                uses = by_name(whole.gateway.limiter.use())
                assert uses["organization", "requests_per_hour"].used > 0
                await whole.gateway.replace_limits({})
                await asyncio.sleep(0.03)
            await whole.gateway.replace_limits(LIMITS)
            await asyncio.sleep(0.05)
            is_over = True
        await whole.ledger.settled()
        assert counted(whole.gateway.limiter.use()) == sums_of_rows(paths)
