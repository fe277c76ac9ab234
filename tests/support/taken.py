"""A pushed body as a client takes it that keeps up: what is written in one turn of the loop is one piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from shareai_cli.wire.message import PushedBody


class Taken:
    """Starts a body when its first piece is asked for; `aclose` closes it, begun or not."""

    def __init__(self, body: PushedBody) -> None:
        self._body = body
        self._begun = False
        self.waiting: list[bytes] = []
        """Pieces that came and were not yet asked for."""
        self._ended = False
        self._error: Exception | None = None
        self._news = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._begun:
            self._begun = True
            self._body.start(self)
        while not self.waiting:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
            await asyncio.sleep(0)
        taken = b"".join(self.waiting)
        self.waiting.clear()
        return taken

    async def aclose(self) -> None:
        """Close the body, and let the loop take that in."""
        self._body.close()
        for _ in range(3):
            await asyncio.sleep(0)

    def write(self, piece: bytes) -> None:
        """Take a piece."""
        assert not self._ended, "a piece after the end"
        if piece:
            self.waiting.append(piece)
            self._news.set()

    def end(self) -> None:
        """Take in the end."""
        assert not self._ended, "ended twice"
        self._ended = True
        self._news.set()

    def fail(self, error: Exception) -> None:
        """Take in that the body cannot be completed."""
        self._error = error
        self._news.set()
