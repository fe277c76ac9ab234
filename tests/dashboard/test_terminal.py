"""The dashboard in a real terminal emulator: tmux."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.served import KEYS, RunningGateway, one_route
from tests.support.upstream import FaultUpstream

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Tmux:
    """A tmux server of its own with one window."""

    def __init__(self, folder: Path) -> None:
        self._socket = str(folder / "tmux")

    async def run(self, *arguments: str, environ: dict[str, str] | None = None) -> str:
        process = await asyncio.create_subprocess_exec(
            "tmux", "-f", "/dev/null", "-S", self._socket, *arguments,
            stdout=asyncio.subprocess.PIPE, env={**os.environ, **(environ or {})},
        )  # fmt: skip
        return (await process.communicate())[0].decode()

    async def until(self, *wanted: str, seconds: float = 30.0) -> str:
        """Wait until all of that stands in the window."""
        text = ""
        try:
            async with asyncio.timeout(seconds):
                while not all(one in text for one in wanted):
                    await asyncio.sleep(0.1)
                    text = await self.run("capture-pane", "-p")
        except TimeoutError:
            raise AssertionError(f"not seen: {wanted}\n{text}") from None
        return text


async def test_a_terminal_is_as_it_was_after_the_dashboard(tmp_path: Path) -> None:
    """Started, jumped about in, made small and large again, and left with `q`."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path / "home", config, environ=KEYS) as gateway:
            assert (await gateway.ask()).status_code == 200
            tmux = Tmux(tmp_path)
            environ = {"SHAREAI_HOME": str(gateway.home), "PS1": "$ ", "LC_ALL": "C.UTF-8"}
            await tmux.run("-u", "new-session", "-d", "-x", "80", "-y", "24", "sh", environ=environ)
            try:
                program = f"{sys.executable} -c 'from shareai_cli.cli import main; main()'"
                await tmux.run("send-keys", f"echo before; {program} dash; echo left with $?", "Enter")
                await tmux.until("● live", "p1/m1", "● serving")
                await tmux.run("send-keys", "g")
                await tmux.until("Jump to")
                await tmux.run("send-keys", "r")
                await tmux.until("ShareAI Requests", "1 of the last 1")
                await tmux.run("resize-window", "-x", "20", "-y", "5")
                await tmux.run("resize-window", "-x", "80", "-y", "24")
                await tmux.until("ShareAI Requests", "1 of the last 1")
                await tmux.run("send-keys", "q")
                text = await tmux.until("left with 0")
                assert "before" in text
                assert "ShareAI" not in text
                assert (
                    await tmux.run("display", "-p", "#{alternate_on} #{mouse_any_flag} #{cursor_flag}")
                ) == ("0 0 1\n")
            finally:
                await tmux.run("kill-server")
