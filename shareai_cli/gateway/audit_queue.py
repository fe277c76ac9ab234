"""Rows of the audit that nobody waits for: written off the event loop, one after another."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from msgspec import Struct

from shareai_cli.errors import LedgerUnavailable
from shareai_cli.types import Actor

MOST_WAITING: Final = 1000
"""Rows that wait to be written; more are not taken."""


class Record(Protocol):
    """Adds a row to the audit, which may wait for the disk; raises `LedgerUnavailable`."""

    def __call__(self, by: Actor, action: str, subject: str, *, after: object) -> None:
        """Add a row."""


class _Row(Struct, frozen=True):
    by: Actor
    action: str
    subject: str
    after: object


class AuditQueue:
    """Writes rows in a task of its own, from `start` to `close`."""

    def __init__(self, record: Record, notice: Callable[[str], None]) -> None:
        """Tell `notice` once when rows cannot be written, and not again until one could."""
        self._record = record
        self._notice = notice
        self._waiting: deque[_Row] = deque()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._has_told = False
        self._is_ending = False

    def __repr__(self) -> str:
        return f"<AuditQueue [waiting: {len(self._waiting)}]>"

    def add(self, by: Actor, action: str, subject: str, after: object) -> None:
        """Have a row written; never waits and never raises. No secret may be in it."""
        if len(self._waiting) >= MOST_WAITING:
            self._tell("too many rows wait for the disk")
            return
        self._waiting.append(_Row(by, action, subject, after))
        self._news.set()

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """Write what waits, and end the task."""
        self._is_ending = True
        self._news.set()
        task, self._task = self._task, None
        if task is not None:
            await asyncio.wait({task})
        await self._write()

    async def _work(self) -> None:
        while not self._is_ending:
            await self._news.wait()
            self._news.clear()
            await self._write()

    async def _write(self) -> None:
        """Write everything that waits. A row leaves the queue before it is written, so that it is so once."""
        while self._waiting:
            row = self._waiting.popleft()
            try:
                await asyncio.to_thread(self._record, row.by, row.action, row.subject, after=row.after)
                self._has_told = False
            except LedgerUnavailable as error:
                self._tell(str(error))

    def _tell(self, reason: str) -> None:
        if not self._has_told:
            self._has_told = True
            self._notice(f"The audit lacks rows: {reason}")
