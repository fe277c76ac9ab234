"""Who is answered when: requests wait in a bounded queue, and leave it or the engine when their client does.

`Scheduler` is what the server knows. `Batching` is the implementation: a thread that drives the engine step
by step, takes new requests in before each, and lets those go whose clients left.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

from msgspec import Struct

from shareai_cli.errors import EngineBusy, EngineFailed, ShareAIError
from shareai_cli.llama.batching.generation import Delta, Finish, GenerationRequest
from shareai_cli.llama.batching.sequence import Sequence
from shareai_cli.llama.engine import Engine
from shareai_cli.types import Clock


class Generation(Protocol):
    """A submitted request: an iterator of deltas until each choice's `Finish`, or a raised `ShareAIError`."""

    def __aiter__(self) -> AsyncIterator[Delta]: ...

    async def __anext__(self) -> Delta: ...

    def cancel(self) -> None:
        """Leave the queue or the engine; does nothing after the end."""


class Load(Struct, frozen=True):
    """How busy the engine is; a request counts as often as it has replies."""

    slots: int
    running: int
    waiting: int
    prompt_tokens_per_second: float
    """As measured lately; 0 before the first."""
    reply_tokens_per_second: float
    """Of all replies together."""
    cache_cells: int
    cache_used: int


class Scheduler(Protocol):
    """Shares the engine among requests."""

    def load(self) -> Load:
        """Return how busy the engine is."""

    def submit(self, request: GenerationRequest) -> Generation:
        """Take a request; `EngineBusy` when as many wait as may."""

    def close(self) -> None:
        """End all that runs and waits, and the thread."""


class Job:
    """One request on its way: filled by the engine's thread, read by the loop that submitted it."""

    def __init__(self, request: GenerationRequest, scheduler: Batching, submitted: float) -> None:
        self.replies = request.replies
        self.submitted = submitted
        self.sequences = [Sequence(request, self, choice=choice) for choice in range(request.replies)]
        self._scheduler = scheduler
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._deltas: deque[Delta | ShareAIError] = deque()
        self._unread = request.replies
        self._unfinished = request.replies

    def __aiter__(self) -> AsyncIterator[Delta]:
        return self

    async def __anext__(self) -> Delta:
        if not self._unread:
            raise StopAsyncIteration
        while not self._deltas:
            self._arrived.clear()
            # Looked at again: the thread may have put something in between.
            if not self._deltas:
                await self._arrived.wait()
        delta = self._deltas.popleft()
        if isinstance(delta, ShareAIError):
            self._unread = 0
            raise delta
        if isinstance(delta, Finish):
            self._unread -= 1
        return delta

    def cancel(self) -> None:
        """Leave the queue or the engine."""
        self._unread = 0
        self._scheduler.leave(self)

    def put(self, delta: Delta | ShareAIError) -> None:
        """Hand over a delta; from the engine's thread."""
        self._deltas.append(delta)
        if isinstance(delta, Finish):
            self._unfinished -= 1
        if isinstance(delta, ShareAIError) or not self._unfinished:
            self._scheduler.ended(self)
        # One wake-up for all that arrives while the loop is busy.
        if not self._arrived.is_set():
            try:
                self._loop.call_soon_threadsafe(self._arrived.set)
            except RuntimeError:
                self._scheduler.leave(self)


class Batching:
    """A scheduler for an engine of many sequences: first come, first served, each joining at a step."""

    def __init__(self, engine: Engine, *, queue: int = 64, clock: Clock = time.monotonic) -> None:
        self._engine = engine
        self._most = engine.slots + queue
        self._clock = clock
        self._live: set[Job] = set()
        self._new: list[Job] = []
        self._gone: list[Job] = []
        self._typical_seconds = 1.0
        self._closed = False
        self._changed = threading.Condition(threading.RLock())
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        load = self.load()
        return f"<Batching {load.running} running, {load.waiting} waiting>"

    def load(self) -> Load:
        """Return how busy the engine is."""
        with self._changed:
            known = sum(job.replies for job in self._live)
        engine = self._engine
        running = engine.running
        return Load(
            slots=engine.slots,
            running=running,
            waiting=max(0, known - running),
            prompt_tokens_per_second=engine.pace.prompt_tokens_per_second,
            reply_tokens_per_second=engine.pace.reply_tokens_per_second,
            cache_cells=engine.cache.cells,
            cache_used=engine.cache.used,
        )

    def submit(self, request: GenerationRequest) -> Job:
        """Take a request; `EngineBusy` with the seconds after which a place is likely free."""
        job = Job(request, self, self._clock())
        with self._changed:
            if self._closed:
                raise EngineFailed("The engine is closed.")
            known = sum(other.replies for other in self._live)
            if known + job.replies > self._most:
                raise EngineBusy(
                    f"{known} requests run or wait for this model already.",
                    retry_after=min(60.0, max(1.0, self._typical_seconds)),
                )
            self._live.add(job)
            self._new.append(job)
            self._changed.notify()
        return job

    def leave(self, job: Job) -> None:
        """Take a job out of the queue, or out of the engine before its next step."""
        with self._changed:
            if job in self._live:
                self._live.remove(job)
                self._gone.append(job)
                self._changed.notify()

    def ended(self, job: Job) -> None:
        """Take note of a job that is done; what may be left of it leaves the engine. From its thread."""
        seconds = self._clock() - job.submitted
        with self._changed:
            self._typical_seconds += (seconds - self._typical_seconds) / 8
        self.leave(job)

    def close(self) -> None:
        """End all that runs and waits, wait for the thread, and free the engine."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self._fail_all(EngineFailed("The engine is being closed."))
        self._engine.close()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and not self._new and not self._gone and not self._engine.busy:
                    self._changed.wait()
                if self._closed:
                    return
                new, self._new = self._new, []
                gone, self._gone = self._gone, []
            for job in new:
                for sequence in job.sequences:
                    self._engine.add(sequence)
            for job in gone:
                for sequence in job.sequences:
                    self._engine.remove(sequence)
            try:
                self._engine.step()
            except Exception as error:
                # The thread has to live: without it, every later request would wait for ever.
                self._fail_all(EngineFailed(f"The engine failed: {type(error).__name__}."))

    def _fail_all(self, error: EngineFailed) -> None:
        with self._changed:
            jobs = list(self._live)
        for job in jobs:
            job.put(error)
