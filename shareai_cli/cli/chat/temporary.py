"""A gateway for as long as a chat lasts, where none runs: in this process, in a thread of its own.

It is the one that `shareai serve` starts, with the same configuration and accounts, on a free port of the
loopback. As it is no process of its own, none is left however the chat ends.
"""

from __future__ import annotations

import asyncio
import io
import threading
from concurrent.futures import Future

from shareai_cli.cli.invocation import Invocation
from shareai_cli.gateway.process import GatewayProcess, Ready, Start
from shareai_cli.node.models import has_llama

LOOPBACK = "127.0.0.1"


class TemporaryGateway:
    """Runs from `start`, which raises what starting a gateway raises, to `close`."""

    def __init__(self, run: Invocation) -> None:
        self._start = Start(
            paths=run.paths,
            config_file=run.file,
            load=lambda: run.settings(host=LOOPBACK, port=0),
            environ=run.environ,
            has_llama=has_llama(),
            shows_key=False,
            lines=_Nowhere(),
            notice=lambda text: None,
            runs_drills=False,
        )
        self._ready: Future[Ready] = Future()
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)

    def __repr__(self) -> str:
        return f"<TemporaryGateway {'running' if self._thread.is_alive() else 'not running'}>"

    def start(self) -> Ready:
        """Start it, and wait until it serves."""
        self._thread.start()
        return self._ready.result()

    def close(self) -> None:
        """End it; requests of other programs that are under way are given the configured time."""
        if self._ready.exception() is None:  # waits for a start that was given up
            self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            self._ending = asyncio.Event()
            runner.run(self._serve())

    async def _serve(self) -> None:
        process = GatewayProcess(self._start)
        try:
            told = await process.start()
        except BaseException as error:
            self._ready.set_exception(error)
            return
        self._ready.set_result(told)
        await self._ending.wait()
        await process.close()


class _Nowhere(io.StringIO):
    """Takes the lines that tell of each request: the chat itself shows its own."""

    def write(self, text: str, /) -> int:
        return len(text)
