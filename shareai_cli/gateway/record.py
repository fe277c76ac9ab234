"""Settles every exchange exactly once: an entry before the first attempt, one before its last bytes go.

Requests without a valid key are counted by auth and not written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import blake2b

from shareai_cli.errors import ShareAIError
from shareai_cli.gateway.exchange import (
    Exchange,
    Handler,
    Headers,
    Reply,
    nothing_begins,
    nothing_settles,
    outcome_of,
    printable,
    refusal,
)
from shareai_cli.ledger import Closed, Ledger, Opened
from shareai_cli.types import Clock, Outcome, WallClock

CLIENT_LEFT = 499
"""The status in the accounts of a request whose client left before its reply (nginx's number)."""

FINGERPRINT_BYTES = 8

Observe = Callable[[Closed], None]
"""Told of every settled exchange: the request line, and whoever else shows what happens."""


class Recorder:
    """The stage that writes what becomes of exchanges to the ledger."""

    def __init__(self, ledger: Ledger, clock: Clock, wall_clock: WallClock, observe: Observe) -> None:
        self.ledger = ledger
        self.clock = clock
        self.wall_clock = wall_clock
        self.observe = observe
        self.fingerprints = blake2b(digest_size=FINGERPRINT_BYTES, key=ledger.salt)
        """Copied and never updated: the salt is taken in once."""
        self.in_flight = 0
        """Exchanges that have not ended, streams included."""

    def __call__(self, inner: Handler) -> Handler:
        """Stage: record what passes, and render what is raised."""

        async def handle(exchange: Exchange) -> Reply:
            record = _Record(self, exchange)
            self.in_flight += 1
            exchange.begin = record.begin
            exchange.settle = record.settle
            try:
                reply = await inner(exchange)
            except ShareAIError as error:
                reply = refusal(error)
                exchange.status = reply.status
                exchange.error_code = error.code or error.type
                exchange.settle(outcome_of(error))
            except asyncio.CancelledError:
                exchange.status = CLIENT_LEFT
                exchange.settle(Outcome.CANCELLED)
                raise
            except Exception:
                exchange.status = 500
                exchange.error_code = "internal_error"
                exchange.settle(Outcome.FAILED)
                raise
            else:
                exchange.status = reply.status
                if isinstance(reply.body, bytes):
                    exchange.settle(Outcome.OK)
            reply.headers += identification(exchange)
            return reply

        return handle


class _Record:
    """The two entries of one exchange."""

    __slots__ = ("_exchange", "_fingerprint", "_recorder", "_time_ms")

    def __init__(self, recorder: Recorder, exchange: Exchange) -> None:
        self._recorder = recorder
        self._exchange = exchange
        self._fingerprint = b""
        self._time_ms = int(recorder.wall_clock() * 1000)

    def begin(self) -> None:
        """Write that the request is about to be sent; raises `Overloaded` where that cannot be kept."""
        exchange, recorder = self._exchange, self._recorder
        caller = exchange.caller
        if caller is None:
            return
        fingerprint = recorder.fingerprints.copy()
        fingerprint.update(exchange.fields["messages"])
        self._fingerprint = fingerprint.digest()
        recorder.ledger.opened(
            Opened(
                request=exchange.identity,
                time_ms=self._time_ms,
                caller_key=caller.key_id,
                team=caller.team,
                route=exchange.route,
                streamed=exchange.streamed,
                prompt_bytes=len(exchange.request.body),
                fingerprint=self._fingerprint,
            )
        )

    def settle(self, outcome: Outcome) -> None:
        """Write how the exchange ended, once: the exchange and its record let go of each other."""
        exchange, recorder = self._exchange, self._recorder
        exchange.begin, exchange.settle = nothing_begins, nothing_settles
        recorder.in_flight -= 1
        caller = exchange.caller
        if caller is None:
            return
        now = recorder.clock()
        first = exchange.first_content_at
        entry = Closed(
            request=exchange.identity,
            time_ms=self._time_ms,
            caller_key=caller.key_id,
            team=caller.team,
            route=exchange.route,
            target=exchange.target,
            price_as=exchange.price_as,
            model=exchange.target_model,
            provider_key=exchange.provider_key,
            status=exchange.status,
            streamed=exchange.streamed,
            outcome=outcome,
            error=exchange.error_code,
            attempts=tuple(exchange.attempts),
            usage=exchange.usage,
            prompt_bytes=len(exchange.request.body),
            completion_bytes=exchange.completion_bytes,
            first_token_us=int((first - exchange.started) * 1e6) if first else 0,
            total_us=int((now - exchange.started) * 1e6),
            fingerprint=self._fingerprint,
        )
        recorder.ledger.closed(entry)
        recorder.observe(entry)


def identification(exchange: Exchange) -> Headers:
    """Return the headers that tell which request this was, who answered, and after how many attempts."""
    is_pending = exchange.status == 200 and not exchange.answered
    headers: Headers = [(b"x-request-id", exchange.public_id.encode("ascii"))]
    if exchange.answered:
        headers.append((b"x-shareai-target", printable(exchange.target)))
    if exchange.attempts and not is_pending:
        headers.append((b"x-shareai-attempts", b"%d" % len(exchange.attempts)))
    return headers
