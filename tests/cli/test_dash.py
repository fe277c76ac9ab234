"""`shareai dash` and `shareai status --watch` as commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from shareai_cli.client import find_gateway
from tests.support.commands import shareai
from tests.support.served import KEYS, RunningGateway, one_route, run_shareai
from tests.support.terminal import terminal
from tests.support.upstream import FaultUpstream


def test_without_a_terminal_it_says_what_to_do_instead() -> None:
    """Exit code 2, and nothing drawn."""
    outcome = shareai("dash")
    assert (outcome.code, outcome.out) == (2, "")
    assert "status --watch" in outcome.err


@pytest.mark.parametrize("command", [("dash", "--json"), ("status", "--watch")])
def test_a_named_gateway_wants_a_token_and_an_encrypted_way(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is sent."""
    plain = shareai(*command, "--gateway", "http://gateway.example:6161")
    assert plain.code == 2
    assert "unencrypted" in plain.err
    without = shareai(*command, "--gateway", "https://gateway.example")
    assert without.code == 4
    assert "SHAREAI_ADMIN_TOKEN" in without.err
    assert shareai(*command, "--gateway", "nonsense").code == 2


def test_status_takes_a_gateway_only_to_watch_it() -> None:
    """And `--json` only where it does not watch."""
    assert shareai("status", "--gateway", "http://127.0.0.1:1").code == 2
    assert shareai("status", "--watch", "--json").code == 2


async def test_json_is_what_the_screens_begin_with(tmp_path: Path) -> None:
    """Of this machine's gateway, or of one that is named; without one there is nothing."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            assert (await gateway.ask()).status_code == 200
            told = (await gateway.shareai("dash", "--json")).json
            assert told["is_whole"] is True
            assert [one["name"] for one in told["routes"]] == ["chat"]
            found = find_gateway(gateway.paths)
            assert found is not None
            environ = {"SHAREAI_ADMIN_TOKEN": found.token}
            away = tmp_path / "away"
            named = await run_shareai(away, "dash", "--json", "--gateway", found.address, environ=environ)
            assert named.json["requests"] == 1
            environ = {"SHAREAI_ADMIN_TOKEN": "another"}
            wrong = await run_shareai(away, "dash", "--json", "--gateway", found.address, environ=environ)
            assert wrong.code == 4
            watched = await run_shareai(
                away, "status", "--watch", "--gateway", found.address, environ=environ
            )
            assert watched.code == 4
            assert "Traceback" not in wrong.err + watched.err
    assert (await run_shareai(tmp_path, "dash", "--json")).code == 1


async def test_status_is_watched_until_ctrl_c(tmp_path: Path) -> None:
    """At a terminal it is drawn over itself; what is left behind is the last of it."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            with terminal(
                "status", "--watch", "--every", "0.2", environ={"SHAREAI_HOME": str(tmp_path)}
            ) as shown:
                shown.until("● live")
                shown.until("p1/m1")
                await gateway.ask()
                shown.until("100 %")
                shown.type("\x03")
                assert shown.end() == 0
            assert "Traceback" not in shown.text
