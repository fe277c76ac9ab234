"""Teams and limits as a person declares them while a gateway runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from shareai_cli.client import find_gateway
from tests.support.served import CHAT, KEYS, QUESTION, RunningGateway, one_route
from tests.support.upstream import FaultUpstream


def admin_of(gateway: RunningGateway) -> httpx.AsyncClient:
    """Return a client of the admin API."""
    address = find_gateway(gateway.paths)
    assert address is not None
    return httpx.AsyncClient(
        base_url=f"{address.address}/admin/v1",
        headers={"Authorization": f"Bearer {address.token}"},
        trust_env=False,
        timeout=30,
    )


async def limits_of(gateway: RunningGateway) -> dict[str, Any]:
    listed = (await gateway.shareai("limit", "list", "--json")).json["limits"]
    return {one["subject"]: one["limits"] for one in listed}


async def test_teams_and_limits_are_declared_while_a_gateway_runs(tmp_path: Path) -> None:
    """Through it, with who and from where in the audit; all of it outlasts a restart."""
    async with FaultUpstream() as upstream:
        async with await RunningGateway.start(
            tmp_path, one_route(upstream.base_url), environ=KEYS
        ) as gateway:
            for arguments in (
                ("team", "create", "dev", "--limit", "requests_per_day=100"),
                ("limit", "set", "team/dev", "soft_budget_per_month=50 USD"),
                ("limit", "set", "organization", "requests_per_day=1000"),
                ("limit", "set", "route/chat", "tokens_per_day=100000"),
                ("limit", "remove", "team/dev", "requests_per_day"),
            ):
                done = await gateway.shareai(*arguments)
                assert (done.code, done.err) == (0, ""), done.err
            key = (await gateway.shareai("key", "create", "ci", "--team", "dev")).out.strip()
            headers = {"Authorization": f"Bearer {key}"}
            assert (await gateway.client.post(CHAT, json=QUESTION, headers=headers)).status_code == 200
            expected = {
                "organization": {"requests_per_day": 1000},
                "route/chat": {"tokens_per_day": 100000},
                "team/dev": {"soft_budget_per_month": "50 USD"},
            }
            assert await limits_of(gateway) == expected
            async with admin_of(gateway) as admin:
                declared = (await admin.get("/config")).json()["limits"]
            assert declared == {
                "organization": expected["organization"],
                "routes": {"chat": expected["route/chat"]},
            }
            rows = (await gateway.shareai("usage", "--by", "team", "--json")).json["rows"]
            assert [(row["name"], row["requests"]) for row in rows] == [("dev", 1)]
            told = (await gateway.shareai("audit", "list", "--json")).json["rows"]
            assert [(one["action"], one["subject"]) for one in told][1:] == [
                ("team.create", "dev"),
                ("team.change", "dev"),
                ("config.change", str(tmp_path / "config.toml")),
                ("config.change", str(tmp_path / "config.toml")),
                ("team.change", "dev"),
                ("key.create", "ci"),
            ]
            # A gateway may see by itself that its file has changed before the command can tell it.
            origins = {one["origin"] for one in told[1:] if one["action"] != "config.change"}
            assert origins == {"admin API"}
            assert told[3]["after"] == '{"limits":{"organization":{"requests_per_day":1000}}}'
            assert (await gateway.shareai("status", "--json")).json["limits"] is not None
        async with await RunningGateway.start(tmp_path, environ=KEYS) as gateway:
            assert await limits_of(gateway) == expected
            refused = await gateway.shareai("team", "remove", "dev", "--yes")
            assert (refused.code, "key revoke ci" in refused.err) == (2, True)


async def test_the_admin_interface_takes_no_nonsense(tmp_path: Path) -> None:
    """Bodies of another kind, limits that cannot be and names that nobody has: each a 400 that says what.

    A broken limit in the file leaves the former ones: it is told with its line.
    """
    config = one_route("http://127.0.0.1:9/v1") + "[limits.organization]\nrequests_per_day = 5\n"
    async with (
        await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway,
        admin_of(gateway) as admin,
    ):
        for method, path, body, says in (
            ("POST", "/teams", {"name": "dev", "limits": {"requests_per_day": 0}}, "from 1 to"),
            ("POST", "/teams", {"name": "dev", "limits": {"requests_per_day": 1.5}}, "not what"),
            ("POST", "/teams", {"name": "dev", "limits": [1]}, "not what"),
            ("POST", "/teams", {"name": "\x1b[31m"}, "no name"),
            ("POST", "/teams", {}, "not what"),
            ("PATCH", "/teams/default", {}, "not what"),
            ("PATCH", "/teams/none", {"limits": {}}, "no team named"),
            ("DELETE", "/teams/none", None, "no team named"),
            ("PATCH", "/keys/none", {"prefer": "own"}, "no valid key named"),
            ("PATCH", "/keys/default", {"prefer": "both"}, "not what"),
            ("PATCH", "/keys/default", {"limits": {"budget_total": "50"}}, "US dollars"),
            ("POST", "/keys", {"name": "x", "settings": {"team": "none"}}, "no team named"),
            ("POST", "/keys", {"name": "x", "settings": {"limits": {"none": 1}}}, "no such limit"),
        ):
            answer = await admin.request(method, path, json=body)
            assert answer.status_code == 400, (path, body, answer.text)
            assert says in answer.json()["error"]["message"], (path, body, answer.text)
        assert [one["name"] for one in (await admin.get("/teams")).json()["teams"]] == ["default"]
        assert [one["name"] for one in (await admin.get("/keys")).json()["keys"]] == ["default"]
        (tmp_path / "config.toml").write_text(config.replace("= 5", "= 0"))
        problem = (await admin.post("/reload", content=b"{}")).json()["problem"]
        assert "requests_per_day: should be from 1" in problem
        declared = (await admin.get("/config")).json()["limits"]
        assert declared == {"organization": {"requests_per_day": 5}}
