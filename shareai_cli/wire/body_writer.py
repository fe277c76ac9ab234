"""A reply's body on its way to the client, in chunks or until the connection ends; its head goes first."""

from __future__ import annotations

import asyncio

from shareai_cli.wire.turn import Turn


class BodyWriter:
    """Writes one body, piece by piece; `ended` is done once it is complete, or fails with it."""

    __slots__ = ("_chunked", "_head", "_transport", "_turn", "ended")

    def __init__(
        self,
        head: bytes,
        transport: asyncio.WriteTransport,
        turn: Turn,
        ended: asyncio.Future[None],
        *,
        chunked: bool,
    ) -> None:
        self.ended = ended
        self._head = head
        self._transport = transport
        self._turn = turn
        self._chunked = chunked

    def __repr__(self) -> str:
        return f"<BodyWriter [begun: {self.begun}, ended: {self.ended.done()}]>"

    @property
    def begun(self) -> bool:
        """Whether the head has gone, so that no other reply can take this one's place."""
        return not self._head

    def write(self, piece: bytes) -> None:
        """Send a piece at the end of the loop's turn, the first one with the head."""
        if not piece:  # an empty chunk would be the end
            return
        if self._chunked:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        if self._head:
            piece = self._head + piece
            self._head = b""
        self._turn.write(self._transport, piece)

    def end(self) -> None:
        """Send the end of the body."""
        end = self._head + b"0\r\n\r\n" if self._chunked else self._head
        self._head = b""
        if end:
            self._turn.write(self._transport, end)
        if not self.ended.done():
            self.ended.set_result(None)

    def fail(self, error: Exception) -> None:
        """Say that the body cannot be completed: a reply that has begun is cut off."""
        if not self.ended.done():
            self.ended.set_exception(error)
