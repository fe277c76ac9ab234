"""`shareai dash --web`: the dashboard in a browser of this machine, and of nobody else."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.commands import shareai
from tests.support.served import KEYS, PROGRAM, RunningGateway, one_route
from tests.support.upstream import FaultUpstream

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("textual_serve")


@asynccontextmanager
async def served(home: Path) -> AsyncIterator[str]:
    """Yield the address that `shareai dash --web` prints; sees that it ends well."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "dash", "--web",
        env={**os.environ, "SHAREAI_HOME": str(home)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            yield (await process.stdout.readline()).decode().strip()
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            _, told = await process.communicate()
        assert process.returncode == 0, told.decode()
        assert b"Traceback" not in told


async def test_a_browser_with_the_address_gets_a_dashboard(tmp_path: Path) -> None:
    """Its page loads nothing from elsewhere; what is typed there reaches the dashboard."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS), served(tmp_path) as address:
            assert urlsplit(address).hostname == "127.0.0.1"
            async with aiohttp.ClientSession() as session:
                async with session.get(address) as page:
                    text = await page.text()
                    assert page.status == 200
                    assert "https://" not in text
                    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
                    assert page.headers["Referrer-Policy"] == "no-referrer"
                for name in ("js/textual.js", "css/xterm.css", "fonts/RobotoMono-VariableFont_wght.ttf"):
                    assert f"static/{name}" in text
                    async with session.get(f"{address}static/{name}") as file:
                        assert file.status == 200
                async with session.ws_connect(f"{address}ws?width=100&height=30") as socket:
                    await _until(socket, "live", "p1/m1")
                    await socket.send_json(["stdin", "g"])
                    await _until(socket, "Jump to")
                    await socket.send_json(["stdin", "r"])
                    await _until(socket, "ShareAI Requests")
                    await socket.send_json(["resize", {"width": 60, "height": 20}])
                    await socket.send_json(["stdin", "q"])
                    await _until(socket)


async def test_who_does_not_have_the_address_gets_nothing(tmp_path: Path) -> None:
    """Not without the token, not under another name, not from another site's page."""
    async with served(tmp_path) as address, httpx.AsyncClient(trust_env=False) as http:
        parts = urlsplit(address)
        origin, token = f"http://{parts.netloc}", parts.path.strip("/")
        assert len(token) >= 43
        for path in ("/", "/ws", "/static/js/textual.js", f"/{token[:-1]}/", f"/{token}x/"):
            refused = await http.get(origin + path)
            assert (refused.status_code, "whole address" in refused.text) == (404, True), path
        assert (await http.get(f"{origin}/download/x")).status_code == 404
        for headers, status in (
            ({"Host": "evil.example"}, 421),
            ({"Host": f"evil.example:{parts.port}"}, 421),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": f"http://localhost:{parts.port}"}, 403),
            ({"Host": f"localhost:{parts.port}"}, 200),
            ({"Origin": origin}, 200),
        ):
            assert (await http.get(address, headers=headers)).status_code == status, headers
        async with aiohttp.ClientSession() as session:
            for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
                with pytest.raises(aiohttp.WSServerHandshakeError):
                    await session.ws_connect(f"{address}ws", headers=headers)


async def test_dashboards_are_bounded() -> None:
    """Each one is a process; there is room again once one has ended."""
    from shareai_cli.cli.dash_web import MOST_PAGES, opened

    ends_when_told = ["head", "-c", "1"]
    async with opened(ends_when_told, 0) as site, aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(f"{site.address}ws") for _ in range(MOST_PAGES)]
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await session.ws_connect(f"{site.address}ws")
        await sockets[0].close()
        async with asyncio.timeout(20):
            while True:
                try:
                    await session.ws_connect(f"{site.address}ws")
                    break
                except aiohttp.WSServerHandshakeError:
                    await asyncio.sleep(0.05)


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    """With what to do."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        outcome = shareai("dash", "--web", "--port", str(taken.getsockname()[1]))
    assert outcome.code != 0
    assert "--port 0" in outcome.err
    assert "Traceback" not in outcome.err


async def _until(socket: Any, *wanted: str) -> None:
    """Read until all of that was drawn; without words, until the dashboard has ended."""
    drawn = ""
    async with asyncio.timeout(20):
        while not wanted or not all(one in drawn for one in wanted):
            message = await socket.receive()
            if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING):
                assert not wanted, f"ended before {wanted}: {drawn[-500:]}"
                return
            drawn += message.data.decode() if isinstance(message.data, bytes) else ""
