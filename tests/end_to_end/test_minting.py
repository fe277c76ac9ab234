"""Keys that clients make for themselves, over the gateway's public interface."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.support.served import CHAT, KEYS, QUESTION, RunningGateway, one_route, shareai_here
from tests.support.upstream import FaultUpstream

PATH = "/v1/keys"


class Minter:
    """A running gateway, and a key that may mint."""

    def __init__(self, gateway: RunningGateway, name: str, key: str) -> None:
        self.gateway = gateway
        self.name = name
        self.key = key

    async def ask(
        self, method: str, path: str = PATH, key: str | None = None, **options: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key or self.key}"} | options.pop("headers", {})
        return await self.gateway.client.request(method, path, headers=headers, **options)

    async def mint(self, name: str, key: str | None = None, **wanted: Any) -> dict[str, Any]:
        answer = await self.ask("POST", key=key, json={"name": name, **wanted})
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def status(self, key: str, model: str = "chat") -> int:
        body = {**QUESTION, "model": model}
        return (await self.ask("POST", CHAT, key, json=body)).status_code


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    """Run one gateway for all tests: each has a key of its own that may mint."""
    home = tmp_path_factory.mktemp("home")
    async with (
        FaultUpstream() as upstream,
        await RunningGateway.start(home, one_route(upstream.base_url), environ=KEYS) as gateway,
    ):
        yield gateway


@pytest_asyncio.fixture(loop_scope="module")
async def minter(gateway: RunningGateway, request: pytest.FixtureRequest) -> Minter:
    return await minting(gateway, request.node.name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mistaken(gateway: RunningGateway) -> Minter:
    """Return one key for all mistakes: none of them leaves anything."""
    return await minting(gateway, "ci")


async def minting(gateway: RunningGateway, name: str) -> Minter:
    """Make a key that may mint."""
    options = ("--may-mint", "--allow", "chat", "--allow", "p1/*", "--limit", "requests_per_day=100")
    made = await gateway.shareai("key", "create", name, *options, "--json")
    return Minter(gateway, name, made.json["key"])


@pytest.mark.asyncio(loop_scope="module")
async def test_a_minted_key_is_used_listed_and_ended(minter: Minter) -> None:
    """At once, like one that a person made; and the next one gets the name."""
    made = await minter.mint("a/b c", allow=["chat"], expires="2h", limits={"soft_budget_total": "1usd"})
    assert (made["object"], made["name"], made["parent"], made["team"]) == (
        "key",
        "a/b c",
        minter.name,
        "default",
    )
    assert (made["allow"], made["limits"], made["may_mint"]) == (
        ["chat"],
        {"soft_budget_total": "1 USD"},
        False,
    )
    assert 7190 < made["expires_at"] - made["created"] <= 7200
    assert [await minter.status(made["key"], model) for model in ("chat", "p1/m1")] == [200, 403]
    listed = await minter.ask("GET")
    assert [one["name"] for one in listed.json()["data"]] == ["a/b c"]
    assert listed.headers["cache-control"] == "no-store"
    assert made["key"] not in listed.text
    ended = await minter.ask("DELETE", f"{PATH}/a%2Fb%20c")
    assert ended.json() == {"object": "key.deleted", "name": "a/b c", "deleted": True}
    assert await minter.status(made["key"]) == 401
    assert (await minter.ask("GET")).json()["data"] == []
    assert (await minter.mint("a/b c"))["allow"] == ["chat", "p1/*"]
    audit = (await minter.gateway.shareai("audit", "list", "--json")).json["rows"]
    changes = [one for one in audit if one["action"] != "key.refuse"]
    assert [(one["action"], one["actor"], one["origin"]) for one in changes[-3:]] == [
        ("key.mint", f"key/{minter.name}", "public API"),
        ("key.revoke", f"key/{minter.name}", "public API"),
        ("key.mint", f"key/{minter.name}", "public API"),
    ]
    assert made["key"] not in str(audit)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_minted_key_ends_with_the_one_above(minter: Minter) -> None:
    """Of any depth, also after a restart; and what a person changes above holds below."""
    first = await minter.mint("first", may_mint=True)
    second = await minter.mint("second", first["key"])
    shown = (await minter.gateway.shareai("key", "show", "second", "--json")).json
    assert (shown["parent_name"], shown["may_mint"]) == ("first", False)
    assert "second" in (await minter.gateway.shareai("key", "show", "first")).out
    assert [await minter.status(second["key"], model) for model in ("chat", "p1/m1")] == [200, 200]
    assert (await minter.gateway.shareai("key", "set", minter.name, "--allow", "chat")).code == 0
    assert [await minter.status(second["key"], model) for model in ("chat", "p1/m1")] == [200, 403]
    assert (await minter.gateway.shareai("key", "revoke", "first", "--yes")).code == 0
    assert [await minter.status(one["key"]) for one in (first, second)] == [401, 401]
    assert await minter.status(minter.key) == 200
    assert (await minter.ask("POST", key=first["key"], json={"name": "late"})).status_code == 401


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("method", "path", "options", "status", "says"),
    [
        ("POST", PATH, {"json": {"name": "x", "allow": ["p2/m"]}}, 403, "cannot be for 'p2/m'"),
        ("POST", PATH, {"json": {"name": "x", "allow": []}}, 403, "every model"),
        ("POST", PATH, {"json": {"name": "ci"}}, 400, "named 'ci' already"),
        ("POST", PATH, {"json": {"name": ""}}, 400, "no name"),
        ("POST", PATH, {"json": {"name": "x", "team": "other"}}, 400, "unknown field `team`"),
        ("POST", PATH, {"json": {"allow": ["chat"]}}, 400, "missing required field `name`"),
        ("POST", PATH, {"json": {"name": "x", "expires": "yesterday"}}, 400, "no time to come"),
        ("POST", PATH, {"json": {"name": "x", "expires": "2020-01-01"}}, 400, "a time to come"),
        ("POST", PATH, {"json": {"name": "x", "limits": {"requests_per_minut": 1}}}, 400, "Did you mean"),
        ("POST", PATH, {"json": {"name": "x", "limits": {"budget_total": 50}}}, 400, '"50 USD"'),
        ("POST", PATH, {"json": {"name": "x", "limits": {"requests_per_day": 10**40}}}, 400, ""),
        ("POST", PATH, {"json": {"name": "x", "prefer": "both"}}, 400, "Invalid enum value"),
        ("POST", PATH, {"content": b'{"name": "\\ud800"}'}, 400, "what key is wanted"),
        ("POST", PATH, {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "what key"),
        ("POST", PATH, {"content": b"[" * 10_000}, 400, "what key is wanted"),
        ("POST", PATH, {"content": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "Content-Type"),
        ("DELETE", f"{PATH}/ci", {}, 404, "no valid key of that name"),
        ("DELETE", f"{PATH}/default", {}, 404, "no valid key of that name"),
        ("DELETE", f"{PATH}/", {}, 404, "no valid key of that name"),
        ("DELETE", PATH, {}, 405, "It takes GET and POST"),
        ("PUT", f"{PATH}/x", {}, 405, "It takes DELETE"),
        ("GET", "/v1/keysmith", {}, 404, "Nothing is served"),
    ],
)  # fmt: skip
async def test_mistakes_are_told(
    mistaken: Minter, method: str, path: str, options: Any, status: int, says: str
) -> None:
    """As an error in OpenAI's shape that says what to do; none of them is made."""
    answer = await mistaken.ask(method, path, **options)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (status, "false")
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert says in answer.json()["error"]["message"]
    assert answer.headers["x-request-id"].startswith("req_")
    assert (await mistaken.ask("GET")).json()["data"] == []


@pytest.mark.asyncio(loop_scope="module")
async def test_a_key_that_may_not_mint_is_told_how_it_could(minter: Minter) -> None:
    """And one that is none at all is refused as everywhere."""
    gateway = minter.gateway
    answer = await minter.ask("POST", key=gateway.key, json={"name": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")
    assert "shareai key set default --may-mint" in answer.json()["error"]["message"]
    assert (await minter.ask("GET", key=gateway.key)).json()["data"] == []
    assert (await minter.ask("GET", key="sk-shareai-none")).status_code == 401
    assert (await gateway.shareai("key", "set", "default", "--may-mint")).code == 0
    assert (await minter.mint("x", gateway.key))["parent"] == "default"
    assert (await shareai_here(gateway.home, "usage", "--by", "team", "--json")).code == 0
