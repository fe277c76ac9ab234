"""The dashboard beside a real gateway with real requests."""

from __future__ import annotations

from pathlib import Path

from shareai_cli.cli.watched import NamedSource, OwnSource
from shareai_cli.client import GatewayAddress, find_gateway
from tests.support.dashboards import shown
from tests.support.served import KEYS, RunningGateway, one_route
from tests.support.upstream import FaultUpstream


async def test_overview_requests_and_one_of_them(tmp_path: Path) -> None:
    """A target that is down is told of at once; a request opens with its attempts, by keys alone."""
    async with FaultUpstream() as first, FaultUpstream() as second:
        config = one_route(first.base_url, second.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            assert (await gateway.ask(stream=True)).status_code == 200
            async with shown(OwnSource(gateway.paths), size=(110, 30)) as screen:
                await screen.until("● live", "p1/m1", "● serving", "Nothing has happened yet.")
                await first.close()
                for _ in range(4):
                    assert (await gateway.ask()).status_code == 200
                await screen.until("✕ ejected", "p1/m1 was ejected", "+5 unknown")

                await screen.press("g", "r")
                await screen.until("5 of the last 5", "tried p1/m1 → p2/m1", "default")
                await screen.press("slash")
                await screen.type("target:p1 route:chat")
                await screen.until("4 of the last 5")
                await screen.press("enter", "enter")
                text = await screen.until("1. p1/m1  ✕ refused", "2. p2/m1  ✓ ok, HTTP 200", "cost")
                assert KEYS["P1_KEY"] not in text
                await screen.press("escape", "escape")
                await screen.until("5 of the last 5")

                await screen.press("down")
                await screen.until("held")
                assert (await gateway.ask()).status_code == 200
                await screen.until("5 of the last 6")
                await screen.press("n")
                await screen.until("6 of the last 6")

                await screen.press("question_mark")
                await screen.until("g r", "Filter")
                await screen.press("escape", "g", "o")
                await screen.until("ShareAI Overview")
                await screen.press("g", "x")
                await screen.until("ShareAI Overview")


async def test_a_gateway_that_was_killed_and_comes_back(tmp_path: Path) -> None:
    """What it told last stays, and says so; the next gateway is found without a key being pressed."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        gateway = await RunningGateway.start(tmp_path, config, environ=KEYS)
        async with shown(OwnSource(gateway.paths)) as screen:
            await screen.until("● live", "p1/m1")
            gateway.kill()
            await gateway.process.wait()
            await gateway.client.aclose()
            assert "p1/m1" in await screen.until("◌ Lost at")
            async with await RunningGateway.start(tmp_path, environ=KEYS) as again:
                await screen.until("● live", again.origin)


async def test_without_a_gateway_the_accounts_are_shown(tmp_path: Path) -> None:
    """With what was asked today, and saying that no gateway runs; the state stays free for one to start."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            assert (await gateway.ask()).status_code == 200
        async with shown(OwnSource(gateway.paths)) as screen:
            await screen.until("○ No gateway runs", "p1/m1", "○ offline", "+1 unknown")
            await screen.press("g", "r")
            await screen.until("1 of the last 1", "✓ 200")
            await screen.press("enter")
            await screen.until("1. p1/m1  ✓ ok, HTTP 200")
            async with await RunningGateway.start(tmp_path, environ=KEYS):
                await screen.press("escape")
                await screen.until("● live")


async def test_a_token_that_is_not_valid_any_more(tmp_path: Path) -> None:
    """The screen says so and goes on trying: the gateway may have been started anew."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            found = find_gateway(gateway.paths)
            assert found is not None
            async with shown(
                NamedSource(GatewayAddress(found.address, "no-token", 0)), size=(120, 24)
            ) as screen:
                await screen.until("✕ ", "does not accept the admin token")
                assert screen.app.screen.has_class("stale")
