"""A stream on its way to the client, once its content flows.

What came is passed on event by event, unchanged, while a tap reads usage and the reason of the end. The
exchange is settled before the last bytes go. A failure ends the stream with an error event, no `[DONE]`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from shareai_cli.errors import MalformedReply, TruncatedReply, UpstreamError
from shareai_cli.gateway.exchange import Exchange, Stream, error_event
from shareai_cli.gateway.tap import EventKind, StreamTap, is_done, is_only_usage
from shareai_cli.types import Attempt, Clock, Outcome
from shareai_cli.wire.client import Reply
from shareai_cli.wire.sse import EventSplitter

AFTER_DONE = 1.0
"""Seconds that a stream's end may take after `[DONE]`, so that its connection can be used again.

The client's own reply ends at once."""

TOKEN_BYTES = 4
"""What the smallest event of a stream is taken to hold of text, where usage has to be estimated."""

Broken = Callable[[UpstreamError], None]
"""Told that a stream failed after its content had begun."""


class Relay:
    """Passes on one stream whose first content has come; its attempt `began` then, by `clock`."""

    __slots__ = (
        "_began",
        "_broken",
        "_clock",
        "_exchange",
        "_gap",
        "_hide_usage",
        "_reply",
        "_smallest",
        "_splitter",
        "_tap",
    )

    def __init__(
        self,
        exchange: Exchange,
        reply: Reply,
        splitter: EventSplitter,
        gap: float,
        clock: Clock,
        began: float,
        *,
        hide_usage: bool,
        broken: Broken | None,
    ) -> None:
        self._exchange = exchange
        self._reply = reply
        self._splitter = splitter
        self._tap = StreamTap()
        self._gap = gap
        self._clock = clock
        self._began = began
        self._hide_usage = hide_usage
        self._broken = broken
        self._smallest = 1 << 20

    def stream(self, events: list[bytes]) -> Stream:
        """Return the stream, beginning with `events`, to its end or to an error event in its place."""
        return Stream(self._pieces(events), self._end)

    async def _pieces(self, events: list[bytes]) -> AsyncGenerator[bytes, None]:
        reply, feed, gap = self._reply, self._splitter.feed, self._gap
        try:
            while True:
                piece, kind = self._pass(events)
                if kind == EventKind.DONE:
                    self._settle(Outcome.OK, "ok")
                    reply.leave(AFTER_DONE)
                    yield piece
                    return
                if piece:
                    yield piece
                if kind == EventKind.ERROR:
                    raise MalformedReply("it sent an error event")
                data = await reply.next(gap)
                if not data:
                    if ending := self._at_end():
                        yield ending
                    return
                events = feed(data)
        except UpstreamError as error:
            if self._broken is not None:
                self._broken(error)
            self._exchange.error_code = error.outcome
            self._settle(Outcome.INCOMPLETE, error.outcome)
            yield error_event(
                UpstreamError(f"The upstream failed in the middle of its reply: {error.message}.")
            )
        finally:
            await self._end()

    async def _end(self) -> None:
        """Let the upstream go; a stream that nobody took to its end was cancelled."""
        self._reply.abort()
        self._settle(Outcome.CANCELLED, "cancelled")

    def _pass(self, events: list[bytes]) -> tuple[bytes, int]:
        """Read events along; returns the bytes that go on, and what ended them, else `OTHER`."""
        note = self._tap.note
        passed: list[bytes] = []
        for event in events:
            kind = note(event)
            if kind:
                if kind == EventKind.ERROR:
                    return b"".join(passed), kind
                if kind == EventKind.DONE:
                    passed.append(event)
                    return b"".join(passed), kind
                if self._hide_usage and is_only_usage(event):
                    continue
            passed.append(event)
            # An event's text is taken for what it has more than the smallest one, and a token's worth.
            size = len(event)
            if size < self._smallest:
                self._smallest = size
            self._exchange.completion_bytes += size - self._smallest + TOKEN_BYTES
        return passed[0] if len(passed) == 1 else b"".join(passed), EventKind.OTHER

    def _at_end(self) -> bytes:
        """Settle a stream whose upstream closed it without `[DONE]`, or raise `TruncatedReply`."""
        rest = self._splitter.rest
        if is_done(rest) or self._tap.finished:
            self._settle(Outcome.OK, "ok")
            return rest.rstrip() + b"\n\n" if is_done(rest) else b""
        raise TruncatedReply("the stream ended too early")

    def _settle(self, outcome: Outcome, attempt_outcome: str) -> None:
        """Settle the exchange once, its last attempt with how its stream ended and how long that took."""
        exchange = self._exchange
        if exchange.settled:
            return
        exchange.usage = self._tap.usage
        last = exchange.attempts[-1]
        spent = int((self._clock() - self._began) * 1e6)
        exchange.attempts[-1] = Attempt(last.target, last.key, attempt_outcome, last.status, spent)
        exchange.settle(outcome)
