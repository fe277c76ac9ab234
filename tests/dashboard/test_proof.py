"""What a dashboard that is kept open has to bear, on every screen, beside a real gateway."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from shareai_cli.cli.dash_drills import DashDrilling
from shareai_cli.cli.dash_playground import ChatKey, DashTalking, PassingKey
from shareai_cli.cli.watched import NamedSource, OwnSource
from shareai_cli.client import GatewayAddress, HttpAdmin, find_gateway
from shareai_cli.dashboard.app import SCREENS_IN_ORDER
from shareai_cli.dashboard.tools import Tools
from shareai_cli.errors import GatewayUnreachable
from tests.dashboard.test_terminal import Tmux
from tests.support.behaviours import model_list, silence
from tests.support.dashboards import ShownDashboard, shown
from tests.support.served import KEYS, RunningGateway, one_route
from tests.support.upstream import FaultUpstream

STEERING = "m\x1b]0;owned\x07\x1b[2J\u202egnp.exe"


async def _visit_all(screen: ShownDashboard, *wanted: str) -> None:
    """Jump to every screen, and see that it shows itself."""
    for one in SCREENS_IN_ORDER:
        await screen.press("g", one.LETTER)
        await screen.until(f"ShareAI {one.NAME}", *wanted)


def test_a_connection_that_was_closed_meanwhile_is_a_gateway_that_does_not_answer() -> None:
    """The stream's end closes it, and a screen may just be about to ask."""
    admin = HttpAdmin(GatewayAddress("http://127.0.0.1:9", "token", 0))
    admin.close()
    with pytest.raises(GatewayUnreachable, match="does not answer"):
        admin.status()


async def test_a_gateway_that_dies_while_a_model_answers(tmp_path: Path) -> None:
    """The answer says so, every screen does, and the next gateway answers."""
    async with FaultUpstream([silence()]) as upstream:
        config = one_route(upstream.base_url)
        gateway = await RunningGateway.start(tmp_path, config, environ=KEYS)
        source = OwnSource(gateway.paths)
        tools = Tools(DashDrilling(source), DashTalking(source, ChatKey(gateway.paths), is_own=True))
        async with shown(source, size=(110, 30), tools=tools) as screen:
            await screen.until("● live")
            await screen.press("g", "p")
            await screen.until("chat > p1/m1")
            await screen.press("i", "h", "enter")
            await screen.until("… waits", "Stop")
            while not upstream.completions:
                await screen.pilot.pause(0.05)
            gateway.kill()
            await gateway.process.wait()
            await gateway.client.aclose()
            await screen.until("✕ failed", "◌ Lost at")
            await _visit_all(screen, "◌ Lost at")
            async with await RunningGateway.start(tmp_path, environ=KEYS):
                await screen.until("● live")
                await screen.press("g", "p")
                await screen.until("● serving" if "ASK" in screen.text else "✕ failed")
                await screen.press("i", "enter")
                await screen.until("✓ complete", "Hello there.")
                await _visit_all(screen, "● live")


async def test_an_admin_token_that_ends_while_the_dashboard_runs(tmp_path: Path) -> None:
    """As the gateway was started anew: each screen says so, and nothing can be started or asked."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        gateway = await RunningGateway.start(tmp_path, config, environ=KEYS)
        found = find_gateway(gateway.paths)
        assert found is not None
        source = NamedSource(found)
        tools = Tools(DashDrilling(source), DashTalking(source, PassingKey(), is_own=False))
        async with shown(source, size=(120, 30), tools=tools) as screen:
            await screen.until("● live")
            await _visit_all(screen, "● live")
            await screen.press("g", "d")
            await screen.until("[x] chat")
            await screen.press("g", "p")
            await screen.until("chat > p1/m1")
            await gateway.client.aclose()
            assert await gateway.stop() == 0
            port = ("--port", found.address.rpartition(":")[2])
            async with await RunningGateway.start(tmp_path, environ=KEYS, arguments=port) as again:
                assert again.origin == found.address
                await screen.until("✕ ", "does not accept the admin token")
                await _visit_all(screen, "does not accept the admin token")
                await screen.press("g", "p", "i", "h", "enter")
                await screen.until("✕ failed", "admin token")
                await screen.press("g", "d", "s")
                await screen.until("No gateway runs that")


@pytest.mark.timeout(180)
@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
async def test_a_real_terminal_through_all_of_it(tmp_path: Path) -> None:
    """Every screen, small and large; a drill; models whose names steer; the terminal is as it was after."""
    async with FaultUpstream(models=model_list("m1", STEERING)) as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path / "home", config, environ=KEYS) as gateway:
            tmux = Tmux(tmp_path)
            environ = {"SHAREAI_HOME": str(gateway.home), "PS1": "$ ", "LC_ALL": "C.UTF-8"}
            await tmux.run("-u", "new-session", "-d", "-x", "120", "-y", "30", "sh", environ=environ)
            try:
                title = await tmux.run("display", "-p", "#{pane_title}")
                program = f"{sys.executable} -c 'from shareai_cli.cli import main; main()'"
                await tmux.run("send-keys", f"{program} dash; echo left with $?", "Enter")
                await tmux.until("● live")
                for one in SCREENS_IN_ORDER:
                    await tmux.run("send-keys", "g")
                    await tmux.until("Jump to")
                    await tmux.run("send-keys", one.LETTER)
                    await tmux.until(f"ShareAI {one.NAME}")
                    await tmux.run("resize-window", "-x", "20", "-y", "5")
                    await tmux.run("resize-window", "-x", "120", "-y", "30")
                    await tmux.until(f"ShareAI {one.NAME}", "Quit")
                await tmux.run("send-keys", "g")
                await tmux.until("Jump to")
                await tmux.run("send-keys", "p")
                await tmux.until("chat > p1/m1", "m�]0;owned��[2J�gnp.exe")
                await tmux.run("send-keys", "g")
                await tmux.until("Jump to")
                await tmux.run("send-keys", "d")
                await tmux.until("[x] chat")
                await tmux.run("send-keys", "Down", "Down", "Space", "Down", "Space")
                await tmux.until("[ ] failover", "[x] answers", "cases")
                await tmux.run("send-keys", "s")
                await tmux.until("Start this drill?")
                await tmux.run("send-keys", "Enter")
                await tmux.until("✓ passed", "ended")
                assert await tmux.run("display", "-p", "#{pane_title}") == title
                await tmux.run("send-keys", "q")
                text = await tmux.until("left with 0")
                assert "ShareAI" not in text
                assert (
                    await tmux.run("display", "-p", "#{alternate_on} #{mouse_any_flag} #{cursor_flag}")
                ) == "0 0 1\n"
            finally:
                await tmux.run("kill-server")
