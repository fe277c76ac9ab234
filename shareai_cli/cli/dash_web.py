"""Serves the dashboard to browsers of this machine: `shareai dash --web`.

textual-serve runs a dashboard for each page, in a process of its own. Only who has the address gets there, as
it ends in a token that is made anew at each start. What is asked for under another name than this
machine's, or by another site's page, is refused: no page that a person visits can get at a dashboard.
"""

from __future__ import annotations

import asyncio
import hmac
import html
import logging
import secrets
import shlex
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from textual_serve.server import Server

from shareai_cli.errors import AddressInUse

HOST: Final = "127.0.0.1"

MOST_PAGES: Final = 8
"""At the same time: each one is a process."""

ENDING: Final = 2.0
"""Seconds that pages have to end in."""

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>ShareAI</title>
<link rel="stylesheet" href="{base}/static/css/xterm.css">
<script src="{base}/static/js/textual.js"></script>
<style>
@font-face {{ font-family: "Roboto Mono"; font-weight: 100 700;
  src: url("{base}/static/fonts/RobotoMono-VariableFont_wght.ttf"); }}
body {{ background: #121212; color: #e0e0e0; font-family: "Roboto Mono", monospace; }}
#ended {{ display: none; position: absolute; z-index: 9; inset: 0; padding: 40vh 1em 0; text-align: center;
  background: #121212; }}
body.-closed #ended {{ display: block; }}
a {{ color: inherit; }}
</style>
</head>
<body>
<div id="terminal" class="textual-terminal" data-font-size="14"
  data-session-websocket-url="{socket}"></div>
<div id="ended">The dashboard has ended. <a href="{base}/">Again</a></div>
</body>
</html>
"""

_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # the terminal sets its sizes so
        "font-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self' ws://127.0.0.1:* ws://localhost:*",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class DashboardSite:
    """The pages; `port` is known once they are served."""

    def __init__(self, words: Sequence[str], token: str) -> None:
        """`words` are the command that each page runs."""
        self.port = 0
        self._token = token
        self._pages = 0
        self._served = Server(shlex.join(words), title="ShareAI")

        async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._check(request)
            return await handler(request)

        self.app = app = web.Application(middlewares=[web.middleware(checked)])
        base = f"/{token}"
        app.router.add_get(f"{base}/", self._page)
        app.router.add_get(f"{base}/ws", self._socket)
        app.router.add_static(f"{base}/static", self._served.statics_path)
        app.router.add_get("/download/{key}", self._served.handle_download)
        app.on_response_prepare.append(_harden)

    def __repr__(self) -> str:
        return f"<DashboardSite on port {self.port} [pages: {self._pages}]>"

    @property
    def address(self) -> str:
        """What a person opens."""
        return f"http://{HOST}:{self.port}/{self._token}/"

    def _check(self, request: web.Request) -> None:
        """Let in who was given the address, and nobody under another name or from another site."""
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if host not in (f"{HOST}:{self.port}", f"localhost:{self.port}"):
            raise web.HTTPMisdirectedRequest(text="This is not the name of this machine.\n")
        if origin is not None and origin != f"http://{host}":
            raise web.HTTPForbidden(text="Another site may not ask for this.\n")
        first = request.path.split("/")[1]
        # The terminal asks for a download at a fixed path, by a key that is as hard to guess as the token.
        if first != "download" and not hmac.compare_digest(first.encode(), self._token.encode()):
            raise web.HTTPNotFound(text="There is nothing here: open the whole address that was printed.\n")

    async def _page(self, request: web.Request) -> web.Response:
        socket = f"ws://{request.host}/{self._token}/ws"
        page = _PAGE.format(base=f"/{self._token}", socket=html.escape(socket))
        return web.Response(text=page, content_type="text/html")

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self._pages >= MOST_PAGES:
            raise web.HTTPServiceUnavailable(text=f"{MOST_PAGES} dashboards are open already.\n")
        self._pages += 1
        try:
            return await self._served.handle_websocket(request)
        finally:
            self._pages -= 1


async def _harden(request: web.Request, response: web.StreamResponse) -> None:
    """Have a browser load nothing from elsewhere, keep nothing and tell nobody the address."""
    response.headers.update(
        {
            "Content-Security-Policy": _POLICY,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
    )


@asynccontextmanager
async def opened(words: Sequence[str], port: int) -> AsyncIterator[DashboardSite]:
    """Yield the pages while they are served; raises `AddressInUse`. Port 0 is any."""
    site = DashboardSite(words, secrets.token_urlsafe(32))
    runner = web.AppRunner(site.app, access_log=None, shutdown_timeout=ENDING)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, HOST, port).start()
        except OSError as error:
            raise AddressInUse(
                f"Port {port} cannot be listened on: {error.strerror}.", hint="--port 0 takes any free one."
            ) from None
        site.port = runner.addresses[0][1]
        yield site
    finally:
        await runner.cleanup()


async def serve(words: Sequence[str], port: int, told: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM, having told the address; raises `AddressInUse`."""
    logging.getLogger("textual-serve").setLevel(logging.CRITICAL)  # what a page does wrong is no news
    ended = asyncio.Event()
    async with opened(words, port) as site:
        loop = asyncio.get_running_loop()
        for one in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(one, ended.set)
        told(site.address)
        await ended.wait()
