"""The providers that examples name, on a machine that has no network: their names end here.

    with Internet(tmp_path) as internet:
        internet.environ                    # what a program needs to find them
        internet.down.add("api.openai.com")

A program reaches them through a proxy, over TLS, by the addresses that the presets have.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.support.behaviours import Behaviour, Received, chat, model_list, status
from tests.support.certificates import make_certificates
from tests.support.proxy import TunnelProxy
from tests.support.upstream import FaultUpstream

OFFERS: Mapping[str, tuple[str, ...]] = {
    "api.openai.com": ("gpt-5-mini", "gpt-5"),
    "api.groq.com": ("openai/gpt-oss-20b", "llama-3.3-70b-versatile"),
}
"""What each provider lists."""

ANSWER = "Air scatters blue light more than red, so the sky looks blue."


class Internet:
    """Providers, and the proxy that leads to them, in a thread with a loop of its own."""

    def __init__(self, folder: Path) -> None:
        self.down: set[str] = set()
        """Hosts that answer everything with 503."""
        self.environ: dict[str, str] = {}
        self.asked: list[Received] = []
        """The chat completions that came, oldest first."""
        self._certificates = make_certificates(folder, tuple(OFFERS))
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Internet:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        models = Behaviour(self._list)
        async with (
            FaultUpstream(default=self._answer, models=models, tls=self._certificates.server()) as upstream,
            TunnelProxy(upstream.port) as proxy,
        ):
            self.asked = upstream.requests
            self.environ = {"HTTPS_PROXY": proxy.url, "SSL_CERT_FILE": str(self._certificates.authority)}
            self._ready.set()
            await self._end.wait()

    def _answer(self, request: Received) -> Behaviour:
        return status(503) if request.headers["host"] in self.down else chat(ANSWER, usage=(19, 14))

    def _list(self, request: Received) -> tuple[bytes, ...]:
        return tuple(model_list(*OFFERS[request.headers["host"]]).parts(request))
