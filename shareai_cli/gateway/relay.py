"""A stream on its way to the client, once its content flows.

What comes is passed on within the call that brought it, event by event, unchanged, while a tap reads usage
and the reason of the end. The exchange is settled before the last bytes go. A failure ends the stream with an
error event, no `[DONE]`.
"""

from __future__ import annotations

from collections.abc import Callable

from shareai_cli.errors import MalformedReply, TruncatedReply, UpstreamError
from shareai_cli.gateway.exchange import Exchange
from shareai_cli.gateway.tap import EventKind, StreamTap, is_done, is_only_usage
from shareai_cli.types import Attempt, Clock, Outcome
from shareai_cli.wire.client import Reply
from shareai_cli.wire.message import PushedBody, Writer
from shareai_cli.wire.refusal import error_event
from shareai_cli.wire.sse import EventSplitter

AFTER_DONE = 1.0
"""Seconds that a stream's end may take after `[DONE]`, so that its connection can be used again.

The client's own reply ends at once."""

TOKEN_BYTES = 4
"""What the smallest event of a stream is taken to hold of text, where usage has to be estimated."""

Broken = Callable[[UpstreamError], None]
"""Told that a stream failed after its content had begun."""


class Relay(PushedBody):
    """Passes on one stream whose first content has come, `held`; its attempt `began` then, by `clock`."""

    __slots__ = (
        "_began",
        "_broken",
        "_clock",
        "_exchange",
        "_gap",
        "_held",
        "_hide_usage",
        "_reply",
        "_smallest",
        "_splitter",
        "_tap",
        "_text",
        "_writer",
    )

    def __init__(
        self,
        exchange: Exchange,
        reply: Reply,
        splitter: EventSplitter,
        held: list[bytes],
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
        self._held = held
        self._tap = StreamTap()
        self._gap = gap
        self._clock = clock
        self._began = began
        self._hide_usage = hide_usage
        self._broken = broken
        self._smallest = 1 << 20
        self._text = 0
        self._writer: Writer | None = None

    def account_to(self, exchange: Exchange) -> None:
        """Have it settle another exchange instead; before the start."""
        self._exchange = exchange

    # -- told by the server

    def start(self, writer: Writer) -> None:
        """Pass on what was held back, and from now on what comes."""
        self._writer = writer
        held, self._held = self._held, []
        self._pass(held)
        if self._writer is not None:
            self._reply.pour(self, self._gap)

    def pause(self) -> None:
        """Have the upstream wait."""
        self._reply.pause()

    def resume(self) -> None:
        """Have the upstream go on."""
        self._reply.resume()

    def close(self) -> None:
        """Let the upstream go; a stream that nobody took to its end was cancelled."""
        self._writer = None
        self._reply.abort()
        self._settle(Outcome.CANCELLED, "cancelled")

    # -- told by the upstream

    def received(self, data: bytes) -> None:
        """Pass on the events that a piece completes."""
        try:
            events = self._splitter.feed(data)
        except MalformedReply as error:
            self._fail(error)
        else:
            self._pass(events)

    def ended(self, failure: UpstreamError | None) -> None:
        """End the stream as its upstream did: whether properly, its last events tell."""
        rest = bytes(self._splitter.held)
        if failure is None and not is_done(rest) and not self._tap.finished:
            failure = TruncatedReply("the stream ended too early")
        if failure is not None:
            self._fail(failure)
        else:
            self._finish(rest.rstrip() + b"\n\n" if is_done(rest) else b"")

    def _pass(self, events: list[bytes]) -> None:
        """Pass events on, and end the stream where one of them does."""
        writer, note = self._writer, self._tap.note
        if writer is None:
            return
        for event in events:
            kind = note(event)
            if kind:
                if kind == EventKind.DONE:
                    self._reply.leave(AFTER_DONE)
                    self._finish(event)
                    return
                if kind == EventKind.ERROR:
                    self._fail(MalformedReply("it sent an error event"))
                    return
                if self._hide_usage and is_only_usage(event):
                    continue
            # An event's text is taken for what it has more than the smallest one, and a token's worth.
            size = len(event)
            if size < self._smallest:
                self._smallest = size
            self._text += size - self._smallest + TOKEN_BYTES
            writer.write(event)

    # -- ends

    def _finish(self, last: bytes) -> None:
        """End a stream that is complete, with its last bytes."""
        self._settle(Outcome.OK, "ok")
        self._end(last)

    def _fail(self, error: UpstreamError) -> None:
        """End the stream with an error event in place of what is missing."""
        self._reply.abort()
        if self._broken is not None:
            self._broken(error)
        self._exchange.error_code = error.outcome
        self._settle(Outcome.INCOMPLETE, error.outcome)
        told = UpstreamError(f"The upstream failed in the middle of its reply: {error.message}.")
        self._end(error_event(told))

    def _end(self, last: bytes) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.write(last)
            writer.end()

    def _settle(self, outcome: Outcome, attempt_outcome: str) -> None:
        """Settle the exchange once, its last attempt with how its stream ended and how long that took."""
        exchange = self._exchange
        if exchange.settled:
            return
        exchange.usage = self._tap.usage
        exchange.completion_bytes = self._text
        last = exchange.attempts[-1]
        spent = int((self._clock() - self._began) * 1e6)
        exchange.attempts[-1] = Attempt(last.target, last.key, attempt_outcome, last.status, spent)
        exchange.settle(outcome)
