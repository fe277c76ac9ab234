"""The node agent of this machine, kept running beside the gateway; nothing here imports llama.cpp."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from shareai_cli.client import LocalProcess
from shareai_cli.config import Settings
from shareai_cli.errors import ModelUnavailable, ShareAIError, UpstreamError
from shareai_cli.live import LiveModel, LiveNode
from shareai_cli.secrets import Secret
from shareai_cli.types import DEMO_MODEL, NODE, Clock, LocalModel
from shareai_cli.wire.client import Pool, Timeouts
from shareai_cli.wire.deadlines import Deadlines
from shareai_cli.wire.origin import Origin
from shareai_cli.wire.process import AgentStart, ChildProcess, RestartWaits

MODULE = "shareai_cli.node"

START_SECONDS = 30.0
"""How long the agent may take to listen; it loads no model by then."""

ANSWERED_WITHIN = Timeouts(connect=5.0, head=30.0, total=60.0)

NO_MODELS = "This machine serves no model: shareai model add PATH"
NOT_THERE = "The node agent does not answer yet."

Sleep = Callable[[float], Awaitable[None]]


class _Reports(Struct):
    models: tuple[LocalProcess, ...]


_reports_decoder = msgspec.json.Decoder(_Reports)
_node_decoder = msgspec.json.Decoder(LiveNode)


def demo_model() -> LocalModel:
    """Return the demo model of this package."""
    path = Path(__file__).parent.parent / "llama" / "demo" / f"{DEMO_MODEL}.gguf"
    return LocalModel(id=DEMO_MODEL, path=str(path))


def local_models(settings: Settings, has_llama: bool) -> tuple[LocalModel, ...]:
    """Return the models that this machine serves; the demo model where nothing else is configured."""
    if settings.is_empty:
        return (demo_model(),) if has_llama else ()
    return settings.local.models


class Fleet:
    """Keeps the agent's process: started with the gateway, started again after growing waits when it died.

    `on_problem` is told in a sentence when the agent cannot start or has ended.
    """

    def __init__(
        self,
        models: Sequence[LocalModel],
        *,
        deadlines: Deadlines,
        environ: Mapping[str, str] = os.environ,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        on_problem: Callable[[str], None] | None = None,
    ) -> None:
        self._models = tuple(models)
        self._deadlines = deadlines
        self._environ = environ
        self._clock = clock
        self._sleep = sleep
        self._on_problem = on_problem
        self._secret = Secret(secrets.token_urlsafe(32))
        self._process: ChildProcess | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self.problem: str | None = None
        """Why there is no agent now, None while there is one or it starts for the first time."""

    def __repr__(self) -> str:
        return f"<Fleet {len(self._models)} models, {self._process!r}>"

    @property
    def models(self) -> tuple[LocalModel, ...]:
        """The models that this machine is told to serve."""
        return self._models

    @property
    def pid(self) -> int | None:
        """The agent's process id."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Begin to keep an agent, without waiting for it (see `ready`); does nothing without models."""
        if self._keeping is None and self._models:
            self._keeping = asyncio.get_running_loop().create_task(self._keep())

    def origin(self) -> tuple[Origin, Secret] | None:
        """Return where the agent listens and the secret that it wants; None while there is no agent."""
        if self._process is None:
            return None
        return Origin("http", "127.0.0.1", self._process.port), self._secret

    async def ready(self, seconds: float) -> tuple[Origin, Secret]:
        """Wait until there is an agent; `ModelUnavailable` when there is none after `seconds`."""
        if self._keeping is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._up.wait(), seconds)
        found = self.origin()
        if found is None:
            raise ModelUnavailable(self.problem or "The node agent is not running.", retry_after=1.0)
        return found

    async def update(self, models: Sequence[LocalModel]) -> None:
        """Serve other models from now on; those that stay keep running. May raise `UpstreamError`."""
        self._models = tuple(models)
        await self.start()
        found = self.origin()
        if found is not None:
            await self._tell(*found)

    async def try_again(self) -> None:
        """Have models that were set aside be tried again, at their next request."""
        with contextlib.suppress(UpstreamError):
            await self.update(self._models)

    async def reports(self) -> tuple[LocalProcess, ...]:
        """Return how each model's process is; without an agent, that none of them runs."""
        found = self.origin()
        if found is not None:
            with contextlib.suppress(UpstreamError, msgspec.MsgspecError, UnicodeDecodeError):
                return _reports_decoder.decode(await self._ask(*found, b"GET /health")).models
        return tuple(LocalProcess(model.id, "unloaded", problem=self.problem) for model in self._models)

    async def look(self) -> LiveNode:
        """Return how this machine is, as its agent tells; without one, why there is none."""
        found = self.origin()
        if found is not None:
            with contextlib.suppress(UpstreamError, msgspec.MsgspecError, UnicodeDecodeError):
                return _node_decoder.decode(await self._ask(*found, b"GET /machine"))
        models = tuple(LiveModel(model.id, "unloaded") for model in self._models)
        reason = self.problem or (NOT_THERE if models else NO_MODELS)
        return LiveNode(NODE, "offline", reason, models=models)

    async def close(self) -> None:
        """End the agent, and with it all of its children."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
            self._keeping = None

    async def _keep(self) -> None:
        waits = RestartWaits()
        while True:
            started = self._clock()
            try:
                await self._run()
            except (ShareAIError, OSError) as error:
                self.problem = f"The node agent cannot start: {error}"
            if self._on_problem is not None and self.problem is not None:
                self._on_problem(self.problem)
            await self._sleep(waits.died(self._clock() - started))

    async def _run(self) -> None:
        """Start the agent and wait for its end."""
        told = self._models
        process = await ChildProcess.start(
            MODULE,
            AgentStart(secret=self._secret.reveal(), models=told),
            seconds=START_SECONDS,
            environ=self._environ,
        )
        self._process = process
        try:
            if told != self._models:
                with contextlib.suppress(UpstreamError):
                    await self._tell(Origin("http", "127.0.0.1", process.port), self._secret)
            self.problem = None
            self._up.set()
            status = await process.wait()
            how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
            self.problem = f"The node agent {how}; it is started again."
        finally:
            self._process = None
            self._up.clear()
            await process.stop()

    async def _tell(self, origin: Origin, secret: Secret) -> None:
        """Give the running agent its models anew."""
        await self._ask(origin, secret, b"PUT /v1/models", msgspec.json.encode(self._models))

    async def _ask(self, origin: Origin, secret: Secret, what: bytes, body: bytes = b"") -> bytes:
        """Ask the agent something; returns the body of its answer. Raises `UpstreamError`."""
        pool = Pool(origin, tls=None, deadlines=self._deadlines)
        head = b"%b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %b\r\n" % (
            what,
            origin.port,
            secret.reveal().encode(),
        )
        try:
            reply = await pool.send(head + b"Content-Type: application/json\r\n", body, ANSWERED_WITHIN)
            return await reply.read(1 << 20)
        finally:
            await pool.close()
