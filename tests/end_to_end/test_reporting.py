"""What the one who runs a gateway is told: refusals in the audit, and a webhook that can be wrong."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from shareai_cli.client import find_gateway
from shareai_cli.paths import find_paths
from tests.support.behaviours import status
from tests.support.served import CHAT, KEYS, QUESTION, RunningGateway, StartError, eventually, one_route
from tests.support.signatures import verify
from tests.support.upstream import FaultUpstream
from tests.support.waiting import until

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
HOOK = '\n[webhook]\nurl = "{url}/hidden-path"\nsecret = "env:HOOK_SECRET"\n'


async def test_refusals_that_matter_are_in_the_audit(tmp_path: Path) -> None:
    """A key for another model, one that may not mint, one that was revoked, a wrong token, a browser.

    Who, and from where.
    """
    async with (
        FaultUpstream() as upstream,
        await RunningGateway.start(tmp_path, one_route(upstream.base_url), environ=KEYS) as gateway,
        httpx.AsyncClient(base_url=gateway.origin, trust_env=False) as client,
    ):

        async def ask(key: str, model: str = "chat") -> int:
            body = {**QUESTION, "model": model}
            return (
                await client.post(CHAT, json=body, headers={"Authorization": f"Bearer {key}"})
            ).status_code

        made = await gateway.shareai("key", "create", "ci", "--allow", "chat", "--json")
        for _ in range(3):
            assert await ask(made.json["key"], "p1/m1") == 403
        await gateway.shareai("key", "revoke", "ci", "--yes")
        assert await ask(made.json["key"]) == 401
        assert await ask("sk-shareai-nobody") == 401
        assert (await gateway.client.post("/v1/keys", json={"name": "mine"})).status_code == 403
        admin = f"{gateway.origin}/admin/v1/status"
        assert (await client.get(admin, headers={"Authorization": "Bearer wrong"})).status_code == 401
        running = find_gateway(find_paths({"SHAREAI_HOME": str(tmp_path)}))
        assert running is not None
        browser = {"Authorization": f"Bearer {running.token}", "Origin": "http://evil.example"}
        assert (await client.get(admin, headers=browser)).status_code == 403

        async def refusals() -> list[Any]:
            rows = (await gateway.shareai("audit", "list", "--json")).json["rows"]
            return sorted(
                (
                    one["action"],
                    one["subject"],
                    one["actor"],
                    one["origin"],
                    json.loads(one["after"])["reason"],
                )
                for one in rows
                if one["action"].endswith(".refuse")
            )

        expected = [
            ("admin.refuse", "admin API", "unknown", "admin API from 127.0.0.1", "browser"),
            ("admin.refuse", "admin API", "unknown", "admin API from 127.0.0.1", "wrong token"),
            ("key.refuse", "ci", "key/ci", "public API from 127.0.0.1", "model_not_allowed"),
            ("key.refuse", "ci", "key/ci", "public API from 127.0.0.1", "revoked"),
            ("key.refuse", "default", "key/default", "public API from 127.0.0.1", "permission_denied"),
        ]

        async def is_told() -> bool:
            return await refusals() == expected

        await eventually(is_told)
        assert (await gateway.shareai("audit", "verify")).code == 0


async def test_a_webhook_that_cannot_be_signed_is_told_before_it_is_needed(tmp_path: Path) -> None:
    """By `config check`, `doctor`, the start, and a reload, which keeps to the configuration of before."""
    async with FaultUpstream() as upstream, FaultUpstream(default=status(204)) as receiver:
        plain = one_route(upstream.base_url)
        config = plain + HOOK.format(url=receiver.origin)
        with pytest.raises(StartError, match="Webhook: The variable HOOK_SECRET is not set"):
            await RunningGateway.start(tmp_path, config, environ=KEYS)
        environ = {**KEYS, "HOOK_SECRET": SECRET}
        async with await RunningGateway.start(tmp_path, config, environ=environ) as gateway:
            for arguments in (("config", "check"), ("doctor",)):
                outcome = await gateway.shareai(*arguments)
                assert "HOOK_SECRET is not set" in outcome.out + outcome.err
            shown = await gateway.shareai("config", "show")
            assert 'secret = "env:HOOK_SECRET"' in shown.out
            assert "hidden-path" not in shown.out + (await gateway.shareai("config", "show", "--origin")).out
            (tmp_path / "config.toml").write_text(config.replace("HOOK_SECRET", "OTHER_SECRET"))

            async def is_told() -> bool:
                problem = (await gateway.shareai("status", "--json")).json["config_problem"] or ""
                return "Webhook: The variable OTHER_SECRET is not set" in problem

            await eventually(is_told)
            assert "hidden-path" not in gateway.stderr()
            assert SECRET not in gateway.stderr()


async def test_a_soft_budget_is_told_of_once_and_everywhere(tmp_path: Path) -> None:
    """In the log, the audit and the webhook, signed, and not again after a restart within the period."""
    async with FaultUpstream() as upstream, FaultUpstream(default=status(204)) as receiver:
        limits = '\n[limits.organization]\nsoft_budget_per_month = "0.000001 USD"\n'
        config = one_route(upstream.base_url, options='price_as = "openai"').replace("/m1", "/gpt-4o-mini")
        config += limits + HOOK.format(url=receiver.origin)
        environ = {**KEYS, "HOOK_SECRET": SECRET}
        for _ in range(2):
            async with await RunningGateway.start(tmp_path, config, environ=environ) as gateway:
                for _ in range(3):
                    assert (await gateway.ask()).status_code == 200
                await until(lambda: receiver.requests)

                async def is_told(gateway: RunningGateway = gateway) -> bool:
                    rows = (await gateway.shareai("audit", "list", "--json")).json["rows"]
                    return [one["subject"] for one in rows if one["action"] == "limit.warn"] == [
                        "organization"
                    ]

                await eventually(is_told)
        [request] = receiver.requests
        verify(request, SECRET)
        assert request.json["type"] == "limit.warn"
        assert request.json["data"]["limit"] == "soft_budget_per_month"
        assert gateway.stderr().count("organization has used up its soft_budget_per_month") == 1
