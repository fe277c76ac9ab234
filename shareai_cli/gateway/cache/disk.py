"""The file of kept replies, asked in a thread of its own: neither requests nor the accounts wait for it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from shareai_cli.ledger import KeptReply, Replies
from shareai_cli.ledger.replies import Stored

MOST_WAITING = 32 << 20
"""Bytes of replies that may wait to be written; beyond that they are not kept there."""

Result = TypeVar("Result")

Notice = Callable[[str], None]


class Disk:
    """What a file of replies is asked; it failing is told once, and fails no request."""

    def __init__(self, replies: Replies, notice: Notice | None) -> None:
        self._replies = replies
        self._notice = notice
        self._thread = ThreadPoolExecutor(1, "kept replies")
        self._waiting = 0
        self._problem = ""

    def __repr__(self) -> str:
        return f"<Disk {self._replies!r} [waiting: {self._waiting} bytes]>"

    async def find(self, key: bytes, since_ms: int, until_ms: int) -> KeptReply | None:
        """Return a reply that was kept from `since_ms` to `until_ms`."""
        return await self._ask(lambda: self._replies.find(key, since_ms, until_ms), None)

    def keep(self, key: bytes, route: str, reply: KeptReply, *, most: int, since_ms: int) -> None:
        """Have a reply kept, soon; the route's replies are `most` bytes, and none is older than that."""
        size = reply.size
        if self._waiting + size > MOST_WAITING:
            return
        self._waiting += size
        loop = asyncio.get_running_loop()

        def work() -> None:
            try:
                self._replies.keep(key, route, reply, most=most, since_ms=since_ms)
            finally:
                loop.call_soon_threadsafe(self._written, size)

        self._thread.submit(work).add_done_callback(self._check)

    async def stored(self) -> list[Stored]:
        """Return what the file holds, by route."""
        return await self._ask(self._replies.stored, [])

    async def clear(self, route: str | None) -> None:
        """Delete every reply, or those of a route."""
        await self._ask(lambda: self._replies.clear(route), None)

    def retain(self, routes: Collection[str]) -> None:
        """Delete the replies of all other routes, soon."""
        if not self._replies.exists:
            return
        self._thread.submit(self._replies.retain, routes).add_done_callback(self._check)

    async def close(self) -> None:
        """Write what waits, and close the file."""
        await asyncio.to_thread(self._thread.shutdown)
        self._replies.close()

    async def _ask(self, work: Callable[[], Result], otherwise: Result) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError) as error:
            self._tell(error)
            return otherwise

    def _written(self, size: int) -> None:
        self._waiting -= size

    def _check(self, done: Future[None]) -> None:
        error = done.exception()
        if error is not None:
            self._tell(error)

    def _tell(self, error: BaseException) -> None:
        """Say what is wrong, in whichever thread; the same thing once."""
        problem = f"Replies cannot be kept in their file: {error}."
        if problem != self._problem and self._notice is not None:
            self._notice(problem)
        self._problem = problem
