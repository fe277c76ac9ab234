"""One process per loaded model: started on the first request, and again after growing waits when it died."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from shareai_cli.catalog.gguf import inspect
from shareai_cli.errors import ModelUnavailable, UnknownModel
from shareai_cli.node.deaths import Deaths
from shareai_cli.node.models import INSTALL_HINT
from shareai_cli.types import Clock, LocalModel
from shareai_cli.wire.client import Pool
from shareai_cli.wire.deadlines import Deadlines
from shareai_cli.wire.origin import Origin
from shareai_cli.wire.process import ChildProcess, ChildStart, RestartWaits

MODULE = "shareai_cli.llama"

START_SECONDS = 600.0
"""How long a model may take to load."""

ASIDE = "It died again and again, and is set aside until 'shareai node register' has it tried again."

ChildState = Literal["unloaded", "starting", "ready", "waiting", "set aside"]


class ChildReport(Struct, frozen=True):
    """How a model's process is."""

    id: str
    state: ChildState
    pid: int | None = None
    problem: str | None = None
    retry_after: float | None = None
    """Seconds until the next request may start it again."""


class Lease(Struct, frozen=True):
    """What a request needs to reach a running child."""

    origin: Origin
    authorization: bytes
    """The value of the `Authorization` field."""
    pool: Pool


class Child:
    """Keeps one model's process."""

    def __init__(
        self, model: LocalModel, *, environ: Mapping[str, str], deadlines: Deadlines, clock: Clock
    ) -> None:
        self.model = model
        self._environ = environ
        self._deadlines = deadlines
        self._clock = clock
        self._waits = RestartWaits()
        self._deaths = Deaths()
        self._process: ChildProcess | None = None
        self._lease: Lease | None = None
        self._starting: asyncio.Task[Lease] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._problem: str | None = None
        self._retry_at = 0.0
        self._closed = False

    def __repr__(self) -> str:
        return f"<Child {self.model.id!r} {self.report().state}>"

    @property
    def running(self) -> Lease | None:
        """What a request needs to reach the process; None while none runs."""
        return self._lease

    def report(self) -> ChildReport:
        """Return how the process is."""
        wait = self._retry_at - self._clock()
        if self._lease is not None and self._process is not None:
            return ChildReport(self.model.id, "ready", pid=self._process.pid)
        if self._starting is not None:
            return ChildReport(self.model.id, "starting", problem=self._problem)
        if self._deaths.are_enough:
            return ChildReport(self.model.id, "set aside", problem=self._problem)
        if self._problem is not None and wait > 0:
            return ChildReport(self.model.id, "waiting", problem=self._problem, retry_after=round(wait, 3))
        return ChildReport(self.model.id, "unloaded", problem=self._problem)

    async def lease(self) -> Lease:
        """Return a running process, started if need be; `ModelUnavailable` while it has to wait."""
        if self._closed:
            raise ModelUnavailable(f"The model {self.model.id!r} is being closed.")
        if self._lease is not None:
            return self._lease
        if self._starting is None:
            if self._deaths.are_enough:
                raise ModelUnavailable(self._problem or ASIDE)
            wait = self._retry_at - self._clock()
            if self._problem is not None and wait > 0:
                raise ModelUnavailable(self._problem, retry_after=wait)
            self._starting = asyncio.get_running_loop().create_task(self._start())
            self._starting.add_done_callback(_seen)
        # Shared by all who wait: one of them leaving must not end it for the others.
        return await asyncio.shield(self._starting)

    def try_again(self) -> None:
        """Forget how it died: the next request may start it."""
        if self._deaths.are_enough:
            self._deaths.forget()
            self._waits = RestartWaits()
            self._retry_at = 0.0

    async def close(self) -> None:
        """End the process."""
        self._closed = True
        starting = self._starting
        if starting is not None:
            starting.cancel()
            await asyncio.wait([starting])
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        if self._lease is not None:
            self._lease.pool.abort()
            self._lease = None
        if self._process is not None:
            await self._process.stop()
            self._process = None

    async def _start(self) -> Lease:
        secret = secrets.token_urlsafe(32)
        began = False
        try:
            # The header tells most of what can be wrong in a millisecond; loading would take a process.
            await asyncio.to_thread(inspect, Path(self.model.path))
            began = True
            process = await ChildProcess.start(
                MODULE,
                ChildStart(secret=secret, model=self.model),
                seconds=START_SECONDS,
                environ=self._environ,
            )
        except Exception as error:
            # Whatever it is, the next request has to find a state that it can start from.
            self._starting = None
            problem = f"The model {self.model.id!r} cannot be served: {error}"
            raise self._failed(problem, lived=0.0, died=began) from None
        origin = Origin("http", "127.0.0.1", process.port)
        self._process = process
        self._lease = Lease(
            origin=origin,
            authorization=b"Bearer " + secret.encode(),
            pool=Pool(origin, tls=None, deadlines=self._deadlines),
        )
        self._starting = None
        self._problem = None
        self._watching = asyncio.get_running_loop().create_task(self._watch(process, self._lease))
        return self._lease

    async def _watch(self, process: ChildProcess, lease: Lease) -> None:
        """Take note of the process's end."""
        started = self._clock()
        status = await process.wait()
        self._process = self._lease = None
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        self._failed(f"The process of the model {self.model.id!r} {how}.", lived=self._clock() - started)
        await lease.pool.close()

    def _failed(self, problem: str, *, lived: float, died: bool = True) -> ModelUnavailable:
        """Take note of a failure, of which a process `died` or none had begun."""
        wait = self._waits.died(lived)
        if died:
            self._deaths.add(lived)
        self._problem = f"{problem} {ASIDE}" if self._deaths.are_enough else problem
        self._retry_at = self._clock() + wait
        return ModelUnavailable(self._problem, retry_after=None if self._deaths.are_enough else wait)


def _seen(task: asyncio.Task[Lease]) -> None:
    """Take note of a failure that nobody waits for any more; the report holds its words."""
    if not task.cancelled():
        task.exception()


class Children:
    """The models of this machine, by id."""

    def __init__(
        self,
        models: Sequence[LocalModel],
        *,
        environ: Mapping[str, str],
        has_llama: bool,
        deadlines: Deadlines,
        clock: Clock = time.monotonic,
    ) -> None:
        self._environ = environ
        self._deadlines = deadlines
        self._has_llama = has_llama
        self._clock = clock
        self._children = {model.id: self._child(model) for model in models}

    def __repr__(self) -> str:
        return f"<Children {list(self._children.values())!r}>"

    @property
    def has_llama(self) -> bool:
        """Whether any of them can be loaded at all."""
        return self._has_llama

    def leased(self, model: str) -> Lease | None:
        """Return a model's running process; None where none runs, and then none is started."""
        child = self._children.get(model)
        return child.running if child is not None else None

    @property
    def models(self) -> tuple[LocalModel, ...]:
        """The models that this machine serves, loaded or not."""
        return tuple(child.model for child in self._children.values())

    def reports(self) -> list[ChildReport]:
        """Return how each model's process is."""
        return [child.report() for child in self._children.values()]

    async def lease(self, model: str) -> Lease:
        """Return a model's running process; `UnknownModel`, or `ModelUnavailable` with when to try again."""
        child = self._children.get(model)
        if child is None:
            known = ", ".join(sorted(self._children)) or "none"
            raise UnknownModel(
                f"This machine does not serve the model {model[:100]!r}; it serves: {known}.", param="model"
            )
        if not self._has_llama:
            raise ModelUnavailable("llama.cpp is not installed here.", hint=INSTALL_HINT)
        return await child.lease()

    async def replace(self, models: Sequence[LocalModel]) -> None:
        """Serve other models: what stays the same keeps its process, or is tried again if it died."""
        wanted = {model.id: model for model in models}
        gone = [child for name, child in self._children.items() if wanted.get(name) != child.model]
        kept = {name: child for name, child in self._children.items() if child not in gone}
        for child in kept.values():
            child.try_again()
        self._children = {name: kept.get(name) or self._child(model) for name, model in wanted.items()}
        await _close_all(gone)

    async def close(self) -> None:
        """End all processes."""
        await _close_all(list(self._children.values()))

    def _child(self, model: LocalModel) -> Child:
        return Child(model, environ=self._environ, deadlines=self._deadlines, clock=self._clock)


async def _close_all(children: Sequence[Child]) -> None:
    async with asyncio.TaskGroup() as group:
        for child in children:
            group.create_task(child.close())
