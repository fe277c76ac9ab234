"""Comments that keep a silent stream's connection open, for clients behind impatient proxies.

Off unless configured, because the first comment commits the reply's status before anything is known: the
head says `x-shareai-target: pending`, failover goes on until content, a total failure becomes an error
event, and the target and the number of attempts follow in a comment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shareai_cli.errors import RequestError, ShareAIError
from shareai_cli.gateway.exchange import (
    EVENTS_TYPE,
    NO_CACHE,
    Exchange,
    Handler,
    Reply,
    Replying,
    Stage,
    outcome_of,
    printable,
)
from shareai_cli.gateway.verdict import message_of
from shareai_cli.types import Outcome
from shareai_cli.wire.message import PushedBody, Writer
from shareai_cli.wire.refusal import error_event

COMMENT = b": keep-alive\n\n"
PENDING = (b"x-shareai-target", b"pending")


def keep_alive(interval: Callable[[], float]) -> Stage:
    """Stage: while a stream's content is awaited, send a comment every `interval()` seconds; 0 is off."""

    def stage(inner: Handler) -> Handler:
        def handle(exchange: Exchange) -> Replying:
            if not exchange.streamed or not (seconds := interval()):
                return inner(exchange)
            return _kept_alive(exchange, inner(exchange), seconds)

        return handle

    return stage


async def _kept_alive(exchange: Exchange, replying: Replying, seconds: float) -> Reply:
    """Return the answer, or after `seconds` a stream of comments that it is the end of."""
    answer = asyncio.get_running_loop().create_task(replying)
    try:
        await asyncio.wait({answer}, timeout=seconds)
    except asyncio.CancelledError:
        answer.cancel()
        await asyncio.wait({answer})
        _close_body(answer)
        raise
    if answer.done():
        return answer.result()
    return Reply(200, [EVENTS_TYPE, NO_CACHE, PENDING], _Commented(exchange, answer, seconds))


class _Commented(PushedBody):
    """Comments until the answer is there, then who answered, and then the answer."""

    def __init__(self, exchange: Exchange, answer: asyncio.Task[Reply], seconds: float) -> None:
        self._exchange = exchange
        self._answer = answer
        self._seconds = seconds
        self._body: PushedBody | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writer: Writer | None = None
        self._paused = False
        self._closed = False

    def start(self, writer: Writer) -> None:
        """Send the first comment, and see what becomes of the answer."""
        self._writer = writer
        self._comment()
        self._answer.add_done_callback(self._answered)

    def pause(self) -> None:
        """Pass it on to the answer, now or once it is there."""
        self._paused = True
        if self._body is not None:
            self._body.pause()

    def resume(self) -> None:
        """Pass it on to the answer."""
        self._paused = False
        if self._body is not None:
            self._body.resume()

    def close(self) -> None:
        """End the answer, whether it has begun or not."""
        if self._closed:
            return
        self._closed = True
        self._stop_comments()
        if self._answer.cancel():
            self._answer.add_done_callback(self._abandoned)
        else:
            self._abandoned(self._answer)

    def _comment(self) -> None:
        if self._writer is not None:
            self._writer.write(COMMENT)
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._comment)

    def _stop_comments(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _answered(self, answer: asyncio.Task[Reply]) -> None:
        """Send the answer, of whatever kind it is."""
        self._stop_comments()
        writer, self._writer = self._writer, None
        if self._closed or writer is None:
            return
        try:
            reply = answer.result()
        except ShareAIError as error:
            self._exchange.error_code = error.code or error.type
            self._end(writer, outcome_of(error), error_event(error))
        except (Exception, asyncio.CancelledError) as error:
            self._exchange.error_code = "internal_error"
            self._exchange.settle(Outcome.FAILED)
            writer.fail(RuntimeError(type(error).__name__))
        else:
            self._send(writer, reply)

    def _send(self, writer: Writer, reply: Reply) -> None:
        exchange, body = self._exchange, reply.body
        target, attempts = printable(exchange.target), len(exchange.attempts)
        writer.write(b": x-shareai-target: %b x-shareai-attempts: %d\n\n" % (target, attempts))
        if isinstance(body, bytes):
            self._end(writer, Outcome.REJECTED, _refusal_event(reply.status, body))
        elif isinstance(body, PushedBody):
            body.start(writer)
            self._body = body
            if self._paused:
                body.pause()

    def _end(self, writer: Writer, outcome: Outcome, event: bytes) -> None:
        self._exchange.settle(outcome)
        writer.write(event)
        writer.end()

    def _abandoned(self, answer: asyncio.Task[Reply]) -> None:
        """End the stream that the answer may have come to; what was not settled was cancelled."""
        _close_body(answer)
        self._exchange.settle(Outcome.CANCELLED)


def _refusal_event(status: int, body: bytes) -> bytes:
    """Return a target's own words as an event; without any, the status that it is too late to send."""
    if message_of(body):
        return b"data: " + b" ".join(body.splitlines()) + b"\n\n"
    return error_event(RequestError(f"The target refused the request with HTTP {status}."))


def _close_body(answer: asyncio.Task[Reply]) -> None:
    if answer.cancelled() or answer.exception() is not None:
        return
    body = answer.result().body
    if isinstance(body, PushedBody):
        body.close()
