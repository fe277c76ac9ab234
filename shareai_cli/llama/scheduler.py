"""Who is answered when: requests wait in a bounded queue for the engine, and leave it when their client does.

`Scheduler` is what the server knows. `OneAtATime` is the implementation for one sequence, in one thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Literal, Protocol

from msgspec import Struct

from shareai_cli.errors import EngineBusy, EngineFailed, ShareAIError
from shareai_cli.llama.bindings import Sampling
from shareai_cli.llama.engine import Engine
from shareai_cli.llama.text import ReplyText
from shareai_cli.types import Clock

FinishReason = Literal["stop", "length"]


class GenerationRequest(Struct, frozen=True):
    """What to generate: the prompt's tokens, at most `limit` tokens more, and how to draw them."""

    prompt: tuple[int, ...]
    limit: int
    sampling: Sampling
    stops: tuple[str, ...] = ()


class Finish(Struct, frozen=True):
    """How a generation ended, and its exact tokens; `cached` are those of the prompt that were still held."""

    reason: FinishReason
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


Delta = str | Finish
"""Text of the reply, or, once and last, how it ended."""


class Generation(Protocol):
    """A submitted request: an iterator of deltas that ends after a `Finish`, or raises `ShareAIError`."""

    def __aiter__(self) -> AsyncIterator[Delta]: ...

    async def __anext__(self) -> Delta: ...

    def cancel(self) -> None:
        """Leave the queue or the engine; does nothing after the end."""


class Scheduler(Protocol):
    """Shares the engine among requests."""

    @property
    def waiting(self) -> int:
        """How many requests wait for the engine."""

    @property
    def running(self) -> int:
        """How many requests the engine works on."""

    def submit(self, request: GenerationRequest) -> Generation:
        """Take a request; `EngineBusy` when as many wait as may."""

    def close(self) -> None:
        """End all that runs and waits, and the thread."""


class Job:
    """One request on its way: filled by the engine's thread, read by the loop that submitted it."""

    def __init__(self, request: GenerationRequest, scheduler: OneAtATime) -> None:
        self.request = request
        self.cancelled = False
        self._scheduler = scheduler
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._deltas: deque[Delta | ShareAIError] = deque()
        self._ended = False

    def __aiter__(self) -> AsyncIterator[Delta]:
        return self

    async def __anext__(self) -> Delta:
        if self._ended:
            raise StopAsyncIteration
        while not self._deltas:
            self._arrived.clear()
            # Looked at again: the thread may have put something in between.
            if not self._deltas:
                await self._arrived.wait()
        delta = self._deltas.popleft()
        if isinstance(delta, ShareAIError):
            self._ended = True
            raise delta
        self._ended = isinstance(delta, Finish)
        return delta

    def cancel(self) -> None:
        """Leave the queue or the engine."""
        self._ended = True
        self._scheduler.leave(self)

    def put(self, delta: Delta | ShareAIError) -> None:
        """Hand over a delta; from the engine's thread."""
        self._deltas.append(delta)
        # One wake-up for all that arrives while the loop is busy.
        if not self._arrived.is_set():
            try:
                self._loop.call_soon_threadsafe(self._arrived.set)
            except RuntimeError:
                self.cancelled = True


class OneAtATime:
    """A scheduler for an engine of one sequence: first come, first served."""

    def __init__(self, engine: Engine, *, queue: int = 32, clock: Clock = time.monotonic) -> None:
        self._engine = engine
        self._queue_limit = queue
        self._clock = clock
        self._jobs: deque[Job] = deque()
        self._current: Job | None = None
        self._typical_seconds = 1.0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<OneAtATime {self.running} running, {self.waiting} waiting>"

    @property
    def waiting(self) -> int:
        """How many requests wait for the engine."""
        return len(self._jobs)

    @property
    def running(self) -> int:
        """How many requests the engine works on: none or one."""
        return 0 if self._current is None else 1

    def submit(self, request: GenerationRequest) -> Job:
        """Take a request; `EngineBusy` with the seconds after which a place is likely free."""
        job = Job(request, self)
        with self._changed:
            if self._closed:
                raise EngineFailed("The engine is closed.")
            if len(self._jobs) >= self._queue_limit:
                raise EngineBusy(
                    f"{len(self._jobs)} requests wait for this model already.",
                    retry_after=min(60.0, max(1.0, self._typical_seconds)),
                )
            self._jobs.append(job)
            self._changed.notify()
        return job

    def leave(self, job: Job) -> None:
        """Take a job out of the queue, or make the engine stop working on it."""
        with self._changed:
            job.cancelled = True
            if job is self._current:
                self._engine.interrupt(True)
            elif job in self._jobs:
                self._jobs.remove(job)

    def close(self) -> None:
        """End all that runs and waits, wait for the thread, and free the engine."""
        with self._changed:
            self._closed = True
            for job in self._jobs:
                job.put(EngineFailed("The engine is being closed."))
            self._jobs.clear()
            if self._current is not None:
                self._current.cancelled = True
                self._engine.interrupt(True)
            self._changed.notify()
        self._thread.join()
        self._engine.close()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._current = None
                while not self._jobs and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                job = self._current = self._jobs.popleft()
                self._engine.interrupt(False)
            started = self._clock()
            try:
                self._answer(job)
            except ShareAIError as error:
                job.put(error)
            except Exception as error:
                # The thread has to live: without it, every later request would wait for ever.
                job.put(EngineFailed(f"The engine failed: {type(error).__name__}."))
            self._typical_seconds += (self._clock() - started - self._typical_seconds) / 8

    def _answer(self, job: Job) -> None:
        request, model = job.request, self._engine.model
        cached = self._engine.prepare(request.prompt)
        if cached is None:
            return self._end_interrupted(job)
        text = ReplyText(request.stops)
        count = 0
        reason: FinishReason = "length"
        with contextlib.closing(self._engine.generate(request.sampling)) as tokens:
            for token in tokens:
                if job.cancelled:
                    return self._end_interrupted(job)
                if model.ends(token):
                    reason = "stop"
                    break
                count += 1
                settled = text.feed(model.piece(token))
                if settled:
                    job.put(settled)
                if text.stopped:
                    reason = "stop"
                    break
                if count >= request.limit:
                    break
            else:
                return self._end_interrupted(job)
        rest = text.finish()
        if rest:
            job.put(rest)
        job.put(Finish(reason, len(request.prompt), cached, count))
        return None

    def _end_interrupted(self, job: Job) -> None:
        """End a job whose client left, or whose engine is being closed: somebody may still be reading it."""
        job.put(EngineFailed("The request was cancelled."))
