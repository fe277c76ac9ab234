"""Limits as a person sets them on a gateway that runs: kept at once, and not forgotten by a restart."""

from __future__ import annotations

from pathlib import Path

from tests.support.served import KEYS, RunningGateway, one_route
from tests.support.upstream import FaultUpstream

PRICED = 'price_as = "openai"'
LIMITS = '\n[limits.routes.chat]\nbudget_per_month = "1 USD"\n'


async def test_limits_are_kept_from_the_moment_they_are_set(tmp_path: Path) -> None:
    """One that is set at run time knows what was used before; a killed gateway's successor does, too."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url, options=PRICED).replace("/m1", "/gpt-4o-mini") + LIMITS
        gateway = await RunningGateway.start(tmp_path, config, environ=KEYS)
        assert [(await gateway.ask()).status_code for _ in range(2)] == [200, 200]
        assert upstream.completions[0].json["max_completion_tokens"] == 16_384
        done = await gateway.shareai("limit", "set", "key/default", "requests_per_day=3")
        assert done.code == 0, done.err
        assert [(await gateway.ask()).status_code for _ in range(2)] == [200, 429]
        gateway.kill()
        await gateway.process.wait()
        await gateway.client.aclose()
        async with await RunningGateway.start(tmp_path, environ=KEYS) as gateway:
            refused = await gateway.ask()
            assert refused.status_code == 429
            assert "Key 'default' is over requests_per_day (3)" in refused.json()["error"]["message"]
            uses = {one["limit"]: one for one in (await gateway.shareai("status", "--json")).json["limits"]}
            assert uses["requests_per_day"]["used"] == 3
            [(spent,)] = gateway.rows("SELECT sum(cost_nano) FROM requests")
            assert uses["budget_per_month"]["used"] == spent > 0
            assert (await gateway.shareai("limit", "remove", "key/default", "requests_per_day")).code == 0
            assert (await gateway.ask()).status_code == 200
        assert len(upstream.completions) == 4
