"""One process per loaded model: started on the first request, and again after growing waits when it died.

It ends when nobody has asked for it for a while, or another one needs its memory; never while it answers.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NoReturn

from msgspec import Struct
from msgspec.structs import replace

from shareai_cli.catalog.gguf import inspect
from shareai_cli.errors import MemoryTaken, ModelUnavailable, UnknownModel
from shareai_cli.node.deaths import Deaths
from shareai_cli.node.layout import Need
from shareai_cli.node.lease import Lease, Reach
from shareai_cli.node.memory import Memory, own_memory
from shareai_cli.node.models import INSTALL_HINT
from shareai_cli.node.room import Resident, Room
from shareai_cli.types import Clock, LocalModel
from shareai_cli.wire.client import Pool
from shareai_cli.wire.deadlines import Deadlines
from shareai_cli.wire.origin import Origin
from shareai_cli.wire.process import ChildProcess, ChildStart, RestartWaits

MODULE = "shareai_cli.llama"

START_SECONDS = 600.0
"""How long a model may take to load."""

TIDY_SECONDS = 5.0
"""How often is looked for models that nobody asks for."""

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


class Child:
    """Keeps one model's process, in the room that all have together; `tenants` are those that are there."""

    def __init__(
        self,
        model: LocalModel,
        *,
        room: Room,
        tenants: Callable[[], Iterable[Child]],
        environ: Mapping[str, str],
        deadlines: Deadlines,
        clock: Clock,
    ) -> None:
        self.model = model
        self._room = room
        self._tenants = tenants
        self._environ = environ
        self._deadlines = deadlines
        self._clock = clock
        self._waits = RestartWaits()
        self._deaths = Deaths()
        self._process: ChildProcess | None = None
        self._reach: Reach | None = None
        self._need: Need | None = None
        self._users = 0
        """Requests that it answers, or that wait for it to load."""
        self._used_at = 0.0
        self._starting: asyncio.Task[Reach] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._problem: str | None = None
        self._retry_at = 0.0
        self._closed = False

    def __repr__(self) -> str:
        return f"<Child {self.model.id!r} {self.report().state}>"

    @property
    def running(self) -> Reach | None:
        """What a request needs to reach the process; None while none runs."""
        return self._reach

    def report(self) -> ChildReport:
        """Return how the process is."""
        wait = self._retry_at - self._clock()
        if self._reach is not None and self._process is not None:
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
        await self._room.pass_by(self.model.id)
        self._users += 1
        try:
            reach = await self._reached()
        except BaseException:
            self._returned()
            raise
        return Lease(reach, self._returned)

    def resident(self) -> Resident | None:
        """Return what it has of the memory, or is about to have; None where that is nothing."""
        if self._need is None:
            return None
        is_ready = self._reach is not None and self._process is not None
        held = own_memory(self._process.pid) if self._process is not None else 0
        return Resident(self.model.id, self._need, held, is_ready, self._users > 0, self._used_at)

    def serves(self, model: LocalModel | None) -> bool:
        """Tell whether a model is loaded as this one is; how long it may be idle is no matter of that."""
        return model is not None and replace(model, idle=self.model.idle) == self.model

    def is_idle(self, now: float) -> bool:
        """Tell whether it is loaded and has not been asked for as long as it may be."""
        limit = self.model.idle
        is_loaded = self._reach is not None and not self._users
        return is_loaded and limit > 0 and now - self._used_at >= limit

    def unload(self) -> asyncio.Task[None]:
        """End the process: from now on nobody gets it, and the next request starts another one."""
        process, reach, watching = self._process, self._reach, self._watching
        self._process = self._reach = self._watching = self._need = None
        former = self._ending

        async def end() -> None:
            if former is not None:
                await former
            if watching is not None:
                watching.cancel()
                await asyncio.wait([watching])
            if reach is not None:
                reach.pool.abort()
            if process is not None:
                await process.stop()

        self._ending = asyncio.get_running_loop().create_task(end())
        return self._ending

    async def close(self) -> None:
        """End the process."""
        self._closed = True
        starting = self._starting
        if starting is not None:
            starting.cancel()
            await asyncio.wait([starting])
        await asyncio.wait([self.unload()])
        self._room.changed()

    def _returned(self) -> None:
        self._users -= 1
        self._used_at = self._clock()
        if not self._users:
            self._room.changed()

    async def _reached(self) -> Reach:
        if self._closed:
            raise ModelUnavailable(f"The model {self.model.id!r} is being closed.")
        if self._reach is not None:
            return self._reach
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

    async def _start(self) -> Reach:
        secret = secrets.token_urlsafe(32)
        began = False
        try:
            if self._ending is not None:
                await asyncio.wait([self._ending])
            # The header tells most of what can be wrong in a millisecond; loading would take a process.
            file = await asyncio.to_thread(inspect, Path(self.model.path))
            layout, self._need = await self._room.admit(self.model, file, self._tenants)
            began = True
            process = await ChildProcess.start(
                MODULE,
                ChildStart(secret=secret, model=self.model, layout=layout),
                seconds=START_SECONDS,
                environ=self._environ,
            )
        except MemoryTaken:
            self._starting = None
            raise
        except Exception as error:
            # Whatever it is, the next request has to find a state that it can start from.
            self._starting = self._need = None
            problem = f"The model {self.model.id!r} cannot be served: {error}"
            raise self._failed(problem, lived=0.0, died=began) from None
        origin = Origin("http", "127.0.0.1", process.port)
        self._process = process
        self._reach = Reach(
            origin=origin,
            authorization=b"Bearer " + secret.encode(),
            pool=Pool(origin, tls=None, deadlines=self._deadlines),
        )
        self._starting = None
        self._problem = None
        self._used_at = self._clock()
        self._watching = asyncio.get_running_loop().create_task(self._watch(process, self._reach))
        return self._reach

    async def _watch(self, process: ChildProcess, reach: Reach) -> None:
        """Take note of the process's end."""
        started = self._clock()
        status = await process.wait()
        self._process = self._reach = self._need = None
        self._room.changed()
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        self._failed(f"The process of the model {self.model.id!r} {how}.", lived=self._clock() - started)
        await reach.pool.close()

    def _failed(self, problem: str, *, lived: float, died: bool = True) -> ModelUnavailable:
        """Take note of a failure, of which a process `died` or none had begun."""
        wait = self._waits.died(lived)
        if died:
            self._deaths.add(lived)
        self._problem = f"{problem} {ASIDE}" if self._deaths.are_enough else problem
        self._retry_at = self._clock() + wait
        return ModelUnavailable(self._problem, retry_after=None if self._deaths.are_enough else wait)


def _seen(task: asyncio.Task[Reach]) -> None:
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
        room: Room | None = None,
    ) -> None:
        self._room = room or Room(Memory().free)
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

    def reached(self, model: str) -> Reach | None:
        """Return how a model's process is reached; None where none runs, and then none is started."""
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
        """Serve other models: what is loaded as before keeps its process, or is tried again if it died."""
        wanted = {model.id: model for model in models}
        gone = [child for name, child in self._children.items() if not child.serves(wanted.get(name))]
        kept = {name: child for name, child in self._children.items() if child not in gone}
        for name, child in kept.items():
            child.model = wanted[name]
            child.try_again()
        self._children = {name: kept.get(name) or self._child(model) for name, model in wanted.items()}
        await _close_all(gone)

    async def keep_tidy(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> NoReturn:
        """Unload, from now on, what nobody asks for."""
        while True:
            await sleep(TIDY_SECONDS)
            self.unload_idle()

    def unload_idle(self) -> None:
        """Begin to unload those that nobody has asked for as long as each may be idle."""
        now = self._clock()
        for child in self._children.values():
            if child.is_idle(now):
                child.unload()

    async def close(self) -> None:
        """End all processes."""
        await _close_all(list(self._children.values()))

    def _child(self, model: LocalModel) -> Child:
        return Child(
            model,
            room=self._room,
            tenants=lambda: self._children.values(),
            environ=self._environ,
            deadlines=self._deadlines,
            clock=self._clock,
        )


async def _close_all(children: Sequence[Child]) -> None:
    async with asyncio.TaskGroup() as group:
        for child in children:
            group.create_task(child.close())
