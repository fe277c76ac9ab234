"""Keys for some models, their end and their rotation, as commands make them and a gateway takes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.served import CHAT, KEYS, QUESTION, RunningGateway, one_route, shareai_here
from tests.support.upstream import FaultUpstream


async def ask(gateway: RunningGateway, key: str, model: str = "chat") -> int:
    """Ask with a key, and return the status."""
    headers = {"Authorization": f"Bearer {key}"}
    return (await gateway.client.post(CHAT, json={**QUESTION, "model": model}, headers=headers)).status_code


async def test_a_running_gateway_takes_up_what_a_key_is_for(tmp_path: Path) -> None:
    """At once: it is refused what it is not for, and `auto` means what it prefers."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            assert (await gateway.shareai("team", "create", "red")).code == 0
            options = ("--allow", "chat", "--prefer-model", "chat", "--team", "red", "--expires", "1h")
            made = (await gateway.shareai("key", "create", "ci", *options, "--json")).json
            assert [await ask(gateway, made["key"], model) for model in ("chat", "auto", "p1/m1")] == [
                200,
                200,
                403,
            ]
            assert await ask(gateway, gateway.key, "p1/m1") == 200
            shown = (await gateway.shareai("key", "show", "ci", "--json")).json
            assert (shown["team"], shown["allowed"], shown["preferences"]) == ("red", ["chat"], ["chat"])
            assert shown["expires_ms"] == made["expires_ms"]
            listed = (await gateway.shareai("key", "list")).out
            assert "EXPIRES" in listed
            assert "red" in listed
            assert made["key"] not in listed + (await gateway.shareai("key", "show", "ci")).out


@pytest.mark.parametrize("running", [True, False])
async def test_a_key_is_rotated_with_and_without_a_gateway(tmp_path: Path, running: bool) -> None:
    """Both secrets are valid in the overlap, only the new one without; revoking ends all of them."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        gateway = await RunningGateway.start(tmp_path, config, environ=KEYS)

        async def change(*arguments: str) -> str:
            nonlocal gateway
            if not running:
                await gateway.stop()
            outcome = await shareai_here(tmp_path, "key", *arguments, "--json")
            assert outcome.code == 0, outcome.err
            if not running:
                gateway = await RunningGateway.start(tmp_path, environ=KEYS)
            return str(outcome.json.get("key"))

        first = await change("create", "a/b c")  # a name that has to be quoted in a path
        second = await change("rotate", "a/b c", "--overlap", "1h")
        assert [await ask(gateway, key) for key in (first, second)] == [200, 200]
        third = await change("rotate", "a/b c")
        assert [await ask(gateway, key) for key in (first, second, third)] == [401, 401, 200]
        fourth = await change("rotate", "a/b c", "--overlap", "1h")
        await change("revoke", "a/b c", "--yes")
        assert [await ask(gateway, key) for key in (third, fourth)] == [401, 401]
        rows = (await shareai_here(tmp_path, "usage", "--by", "key", "--json")).json["rows"]
        assert [(row["name"], row["requests"]) for row in rows] == [("a/b c", 3)]
        await gateway.stop()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "x", "--expires", "yesterday"), "no time to come"),
        (("create", "x", "--expires", "2020-01-01"), "a time to come"),
        (("create", "x", "--allow", "gpt-*"), "names no model"),
        (("create", "x", "--prefer-model", "auto"), "'auto'"),
        (("create", "x", "--team", ""), "team"),
        (("rotate", "defualt"), "Did you mean 'default'?"),
        (("rotate", "default", "--overlap", "soon"), "--overlap"),
        (("rotate", "default", "--overlap", "367d"), "at most 366d"),
        (("show", "defualt"), "Did you mean 'default'?"),
    ],
)
async def test_what_cannot_be_is_refused_in_words(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    """On standard error, with exit code 2, and no key is made or changed."""
    await shareai_here(tmp_path, "key", "create", "default")
    before = (await shareai_here(tmp_path, "key", "list", "--json")).out
    outcome = await shareai_here(tmp_path, "key", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err
    assert "Traceback" not in outcome.err
    assert (await shareai_here(tmp_path, "key", "list", "--json")).out == before
