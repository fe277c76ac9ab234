"""Comments that keep a silent stream's connection open, for clients behind impatient proxies.

Off unless configured, because the first comment commits the reply's status before anything is known: the
head says `x-shareai-target: pending`, failover goes on until content, a total failure becomes an error
event, and the target and the number of attempts follow in a comment.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from shareai_cli.errors import ShareAIError
from shareai_cli.gateway.exchange import (
    EVENTS_TYPE,
    NO_CACHE,
    Exchange,
    Handler,
    Reply,
    Replying,
    Stage,
    Stream,
    error_event,
    outcome_of,
    printable,
)
from shareai_cli.types import Outcome

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
    answer = _started(replying)
    try:
        await asyncio.wait({answer}, timeout=seconds)
    except asyncio.CancelledError:
        await _end(answer)
        raise
    if answer.done():
        return answer.result()

    async def end() -> None:
        await _end(answer)
        exchange.settle(Outcome.CANCELLED)

    return Reply(200, [EVENTS_TYPE, NO_CACHE, PENDING], Stream(_commented(exchange, answer, seconds), end))


async def _commented(
    exchange: Exchange, answer: asyncio.Task[Reply], seconds: float
) -> AsyncGenerator[bytes, None]:
    """Yield comments until the answer is there, then who answered, and then the answer."""
    while not answer.done():
        yield COMMENT
        await asyncio.wait({answer}, timeout=seconds)
    try:
        reply = answer.result()
    except ShareAIError as error:
        exchange.error_code = error.code or error.type
        exchange.settle(outcome_of(error))
        yield error_event(error)
        return
    target, attempts = printable(exchange.target), len(exchange.attempts)
    yield b": x-shareai-target: %b x-shareai-attempts: %d\n\n" % (target, attempts)
    if isinstance(reply.body, bytes):
        # What a target passed back, with a status that it is too late to send.
        exchange.settle(Outcome.OK)
        yield b"data: " + b" ".join(reply.body.splitlines()) + b"\n\n"
        return
    async with aclosing(reply.body) as body:
        async for piece in body:
            yield piece


def _started(replying: Replying) -> asyncio.Task[Reply]:
    """Start a task that its caller ends, whatever happens."""
    return asyncio.get_running_loop().create_task(replying)


async def _end(answer: asyncio.Task[Reply]) -> None:
    """Cancel the task where it still runs, and end the stream that it may have come to."""
    if not answer.done():
        answer.cancel()
        await asyncio.wait({answer})
    if answer.cancelled() or answer.exception() is not None:
        return
    body = answer.result().body
    if isinstance(body, Stream):
        await body.aclose()
