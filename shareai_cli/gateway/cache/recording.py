"""A stream for any number of clients: each takes it from its beginning, as fast as it can.

Pieces are there once, whoever has yet to take them. While all of them fit, late clients can still join and
the whole can be kept. Beyond that only what somebody has yet to take is held, and a client that falls far
behind others is let go: it holds up nobody. Where all are slow, the source waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shareai_cli.errors import Overloaded
from shareai_cli.gateway.exchange import Exchange
from shareai_cli.types import Outcome
from shareai_cli.wire.message import PushedBody, Writer

PIECE_BYTES = 64
"""What a piece takes in memory beside its bytes, about."""

FURTHEST_BEHIND = 4 << 20
"""Bytes that a client may be behind others, once the whole is no longer held."""


class Room:
    """Bytes that all recordings under way may take together."""

    __slots__ = ("_most", "taken")

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken = 0

    def take(self, size: int) -> bool:
        """Take that many bytes, if they are there."""
        if self.taken + size > self._most:
            return False
        self.taken += size
        return True

    def give_back(self, size: int) -> None:
        """Give back what was taken."""
        self.taken -= size


class Recording:
    """A stream that is complete."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = pieces
        self.dropped = 0
        """Pieces that came before those in `pieces`, and are no longer held."""
        self.outcome: Outcome | None = Outcome.OK
        """How the call ended; known before its last piece comes."""
        self.error_code = ""
        self.failure: Exception | None = None
        self.ended = True

    def leave(self, listener: Listener) -> None:
        """Take in that a client takes no more."""

    def paced(self) -> None:
        """Take in that a client takes more, or less, than before."""


class Listener(PushedBody):
    """One client's share of a recording, which settles the client's exchange before its last piece.

    `complete` is what a whole stream is in the accounts.
    """

    __slots__ = ("_complete", "_exchange", "_left", "_recording", "_writer", "paused", "position", "taken")

    def __init__(self, exchange: Exchange, recording: Recording, complete: Outcome) -> None:
        self._exchange = exchange
        self._recording = recording
        self._complete = complete
        self._writer: Writer | None = None
        self._left = False
        self.paused = False
        self.position = 0
        """Pieces of the stream that were taken, and their bytes."""
        self.taken = 0

    def start(self, writer: Writer) -> None:
        """Give out what is there, and from now on what comes."""
        if self._left:
            writer.fail(_too_slow())
            return
        self._writer = writer
        self.go_on()
        self._recording.paced()

    @property
    def is_taking(self) -> bool:
        """Whether what comes is given out at once."""
        return self._writer is not None and not self.paused

    def pause(self) -> None:
        """Give out nothing more for now."""
        self.paused = True
        self._recording.paced()

    def resume(self) -> None:
        """Go on after a pause."""
        self.paused = False
        self.go_on()
        self._recording.paced()

    def close(self) -> None:
        """Take no more; a stream that was not taken to its end was cancelled."""
        self.leave()
        self._exchange.settle(Outcome.CANCELLED)

    def leave(self) -> None:
        """Take no more, and leave it to the caller to settle."""
        self._writer = None
        if not self._left:
            self._left = True
            self._recording.leave(self)

    def go_on(self) -> None:
        """Give out what has come, and the end where it has."""
        writer, recording = self._writer, self._recording
        if writer is None:
            return
        while (left := recording.dropped + len(recording.pieces) - self.position) and not self.paused:
            piece = recording.pieces[self.position - recording.dropped]
            self.position += 1
            self.taken += len(piece)
            if left == 1 and recording.outcome is not None:
                self._settle(recording.outcome)
            writer.write(piece)
        if not left and recording.ended:
            self._end(writer)

    def let_go(self) -> None:
        """End the client's stream in the middle, as it is too slow."""
        writer = self._writer
        self._exchange.error_code = "too_slow"
        self._settle(Outcome.INCOMPLETE)
        self.leave()
        if writer is not None:
            writer.fail(_too_slow())

    def _end(self, writer: Writer) -> None:
        recording = self._recording
        self._settle(recording.outcome or Outcome.INCOMPLETE)
        self.leave()
        if recording.failure is not None:
            writer.fail(recording.failure)
        else:
            writer.end()

    def _settle(self, outcome: Outcome) -> None:
        exchange = self._exchange
        if outcome is Outcome.OK:
            outcome = self._complete
        elif not exchange.error_code:
            exchange.error_code = self._recording.error_code
        exchange.completion_bytes = self.taken
        exchange.settle(outcome)


def _too_slow() -> Overloaded:
    return Overloaded("This client takes its stream much more slowly than it comes.")


class Broadcast(Recording):
    """A stream that is under way: what its source writes goes to every listener, and is recorded.

    `left` is told of each listener that left, `done` that nothing more comes.
    """

    def __init__(
        self, room: Room, most: int, left: Callable[[Listener], None], done: Callable[[], None]
    ) -> None:
        super().__init__([])
        self.pieces: list[bytes] = []
        self.outcome = None
        self.ended = False
        self.is_whole = True
        """Whether every piece so far is held: a client can join, and all of it be kept."""
        self.listeners: list[Listener] = []
        self._room = room
        self._most = most
        self._left: Callable[[Listener], None] | None = left
        self._done: Callable[[], None] | None = done
        self._held = 0
        self._total = 0
        self._source: PushedBody | None = None
        self._waits = False

    def __repr__(self) -> str:
        return f"<Broadcast [pieces: {len(self.pieces)}, listeners: {len(self.listeners)}]>"

    def listener(self, exchange: Exchange, complete: Outcome) -> Listener:
        """Return another client's share, from the beginning; only while the recording is whole."""
        made = Listener(exchange, self, complete)
        self.listeners.append(made)
        return made

    def begin(self, source: PushedBody) -> None:
        """Have the stream come."""
        self._source = source
        source.start(self)
        if self._waits and self._source is not None:
            source.pause()  # told within its start, it may have missed it

    def close(self) -> None:
        """Have nothing more come, and hold nothing more."""
        source, self._source = self._source, None
        if source is not None:
            source.close()
        self.ended = True
        self._release()

    # -- told by the source

    def write(self, piece: bytes) -> None:
        """Record a piece, and give it to those who take it."""
        if not piece:
            return
        self.pieces.append(piece)
        self._total += len(piece)
        if self.is_whole:
            self._hold(len(piece) + PIECE_BYTES)
        for listener in tuple(self.listeners):
            listener.go_on()
        if not self.is_whole:
            self._drop()

    def end(self) -> None:
        """Take in that the stream has ended."""
        self._close_down()

    def fail(self, error: Exception) -> None:
        """Take in that the stream cannot be completed."""
        self.failure = error
        self._close_down()

    # -- told by listeners

    def leave(self, listener: Listener) -> None:
        """Take in that a client takes no more."""
        self.listeners.remove(listener)
        if self._left is not None:
            self._left(listener)
        if self.ended:
            self._release()
        elif self.listeners:
            self.paced()

    def paced(self) -> None:
        """Have the source wait while nobody takes what comes."""
        waits = not any(listener.is_taking for listener in self.listeners)
        if waits == self._waits or self.ended:
            return
        self._waits = waits
        if self._source is None:
            return
        if waits:
            self._source.pause()
        else:
            self._source.resume()

    def _close_down(self) -> None:
        self.ended = True
        self._source = None
        if self._done is not None:
            self._done()
        for listener in tuple(self.listeners):
            listener.go_on()
        self._release()

    def _release(self) -> None:
        """After the end, tell nobody anything, and give back the room once nobody takes from it."""
        self._left = self._done = None
        if not self.listeners:
            self._room.give_back(self._held)
            self._held = 0

    def _hold(self, size: int) -> None:
        if self._held + size <= self._most and self._room.take(size):
            self._held += size
            return
        self.is_whole = False
        self._room.give_back(self._held)
        self._held = 0

    def _drop(self) -> None:
        """Let go of pieces that all have taken, and of clients that are too far behind others."""
        self.paced()
        listeners = self.listeners
        if not self._waits:
            for listener in tuple(listeners):
                if self._total - listener.taken > FURTHEST_BEHIND:
                    listener.let_go()
        taken_by_all = min((one.position for one in listeners), default=self.dropped + len(self.pieces))
        del self.pieces[: taken_by_all - self.dropped]
        self.dropped = taken_by_all
