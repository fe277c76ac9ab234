"""What was used is told alike by a running gateway and by the accounts alone, and bounded by both."""

from __future__ import annotations

import time
from pathlib import Path

from shareai_cli.cli.state import open_admin
from shareai_cli.client import PREFIX, Admin, HttpAdmin, find_gateway
from shareai_cli.types import LATEST_MS, Budget, Limits, Subject
from tests.support.served import KEYS, RunningGateway, one_route
from tests.support.upstream import FaultUpstream

HOUR_MS = 3_600_000


def all_of_it(admin: Admin, now_ms: int) -> list[object]:
    """Ask for everything that reports of use have."""
    since_ms = now_ms - 5 * HOUR_MS
    return [
        admin.usage_series("provider", "hour", since_ms, now_ms),
        admin.usage_series(None, "day", since_ms, now_ms),
        admin.usage("provider", since_ms),
        admin.usage("node", None),
        admin.dearest_prompts(None, 5),
        [(one.subject, one.limit, one.most, one.used) for one in admin.budgets()],
    ]


async def test_a_gateway_and_the_accounts_tell_the_same(tmp_path: Path) -> None:
    """Courses over time, prompts, budgets of the configuration and of the database."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url) + '[limits.organization]\nsoft_budget_per_month = "5 USD"\n'
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            await gateway.shareai("team", "create", "dev", "--limit", "budget_total=3USD")
            for _ in range(3):
                assert (await gateway.ask()).status_code == 200
            found = find_gateway(gateway.paths)
            assert found is not None
            now_ms = int(time.time() * 1000) + 60_000
            running = HttpAdmin(found)
            told = all_of_it(running, now_ms)
            running.close()
    declared = {Subject("organization"): Limits(budgets=(Budget("month", 5 * 10**9, soft=True),))}
    with open_admin(gateway.paths, lambda: declared) as admin:
        assert all_of_it(admin, now_ms) == told
    series, _, report, nodes, prompts, budgets = told
    assert [(line.name, sum(line.requests)) for line in series.lines] == [("p1", 3)]  # type: ignore[attr-defined]
    assert [row.name for row in report.rows] == ["p1"]  # type: ignore[attr-defined]
    assert [row.name for row in nodes.rows] == [""]  # type: ignore[attr-defined]
    assert [one.sums.requests for one in prompts] == [3]  # type: ignore[attr-defined]
    assert sorted(budgets) == [  # type: ignore[call-overload]
        ("organization", "soft_budget_per_month", 5 * 10**9, 0),
        ("team/dev", "budget_total", 3 * 10**9, 0),
    ]


NOT_QUESTIONS = (
    "/usage/series",
    "/usage/series?slot=hour&since_ms=0&until_ms=99999999999999999999",
    "/usage/series?slot=hour&since_ms=0&until_ms=253402300799999",
    "/usage/series?slot=day&since_ms=253402300700000&until_ms=253402300799999",
    "/usage/series?slot=minute&since_ms=0&until_ms=1",
    "/usage/series?slot=day&since_ms=5&until_ms=4",
    "/usage/series?by=day&slot=day&since_ms=5&until_ms=9",
    "/usage/series?slot=day&since_ms=5&until_ms=9&zone=UTC",
    "/usage/prompts?limit=-1",
    "/usage/prompts?limit=many",
    "/usage/prompts?since_ms=x",
    "/usage?by=prompt",
    "/usage?by=provider&by=%ff",
)


async def test_questions_that_cannot_be_are_refused(tmp_path: Path) -> None:
    """With the reason, and never with a 500; whatever limit is said, an answer is bounded."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            found = find_gateway(gateway.paths)
            assert found is not None
            headers = {"Authorization": f"Bearer {found.token}"}
            for path in NOT_QUESTIONS:
                reply = await gateway.client.get(f"{PREFIX}{path}", headers=headers)
                assert reply.status_code == 400, (path, reply.text)
                assert reply.json()["error"]["message"]
            admin = HttpAdmin(found)
            assert admin.dearest_prompts(LATEST_MS, 10**15) == []
            admin.close()
