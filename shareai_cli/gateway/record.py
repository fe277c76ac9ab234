"""Settles every exchange exactly once: an entry before the first attempt, one before its last bytes go.

Requests without a valid key are counted by auth and not written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256
from typing import Protocol

from shareai_cli.errors import ShareAIError
from shareai_cli.gateway.body import prompt_of
from shareai_cli.gateway.exchange import (
    CLIENT_LEFT,
    Exchange,
    Handler,
    Reply,
    outcome_of,
    printable,
)
from shareai_cli.ledger import Closed, Opened, public_id
from shareai_cli.types import Caller, Clock, Outcome
from shareai_cli.wire.message import Request
from shareai_cli.wire.refusal import refusal

ENDING = "gateway_ended"
"""The error in the accounts of a request that was cut off as the gateway ended."""

FINGERPRINT_BYTES = 8

Observe = Callable[[Closed], None]
"""Told of every settled exchange: the request line, and whoever else shows what happens."""


class Books(Protocol):
    """Where accounts are written."""

    salt: bytes

    def opened(self, entry: Opened) -> None:
        """Keep that a request is about to be sent; raises `Overloaded` where that cannot be kept."""

    def closed(self, entry: Closed) -> None:
        """Keep how a request ended; never raises."""


Refused = Callable[[Request, Caller | None, ShareAIError], None]
"""Told of every request that was answered with an error of this gateway's own; the caller, if it is known."""


def tell_nobody(request: Request, caller: Caller | None, error: ShareAIError) -> None:
    """Be a `Refused` to whom nothing matters."""


class Recorder:
    """The stage that writes what becomes of exchanges to the ledger."""

    def __init__(self, ledger: Books, clock: Clock, observe: Observe, refused: Refused = tell_nobody) -> None:
        self.ledger = ledger
        self.clock = clock
        self.observe = observe
        self.refused = refused
        self.fingerprints = sha256(ledger.salt)
        """Copied and never updated: the salt is taken in once. Processors have instructions for SHA-256, and
        what is kept of a digest is too little of it to be continued without the salt."""
        self.in_flight = 0
        """Exchanges that have not ended, streams included."""
        self.is_ending = False
        """Whether what is cancelled from now on is cut off by this process, and not by its client."""

    def __call__(self, inner: Handler) -> Handler:
        """Stage: record what passes, and render what is raised."""

        async def handle(exchange: Exchange) -> Reply:
            self.in_flight += 1
            try:
                reply = await inner(exchange)
            except ShareAIError as error:
                reply = refusal(error)
                exchange.status = reply.status
                exchange.error_code = error.code or error.type
                exchange.accounts.settle(exchange, outcome_of(error))
                self.refused(exchange.request, exchange.caller, error)
            except asyncio.CancelledError:
                exchange.status = CLIENT_LEFT
                exchange.accounts.settle(exchange, Outcome.CANCELLED)
                raise
            except Exception:
                exchange.status = 500
                exchange.error_code = "internal_error"
                exchange.accounts.settle(exchange, Outcome.FAILED)
                raise
            else:
                exchange.status = reply.status
                if isinstance(reply.body, bytes):
                    # An error that a stage hands back instead of raising it is the upstream's own.
                    exchange.accounts.settle(exchange, Outcome.OK if reply.status < 400 else Outcome.REJECTED)
            reply.lines += identification(exchange)
            return reply

        return handle

    def begin(self, exchange: Exchange) -> None:
        """Write that the request is about to be sent; raises `Overloaded` where that cannot be kept."""
        caller = exchange.caller
        if caller is None or exchange.settled:
            return
        fingerprint = self.fingerprints.copy()
        fingerprint.update(prompt_of(exchange.fields))
        exchange.fingerprint = digest = fingerprint.digest()[:FINGERPRINT_BYTES]
        self.ledger.opened(
            Opened(
                exchange.identity,
                exchange.time_ms,
                caller.key_id,
                caller.team,
                exchange.route,
                exchange.streamed,
                len(exchange.request.body),
                digest,
            )
        )

    def settle(self, exchange: Exchange, outcome: Outcome) -> None:
        """Write how an exchange ended, once."""
        if exchange.settled:
            return
        exchange.settled = True
        self.in_flight -= 1
        if outcome is Outcome.CANCELLED and self.is_ending:
            outcome, exchange.error_code = Outcome.INCOMPLETE, ENDING
            if exchange.status in (0, CLIENT_LEFT):
                exchange.status = 503
        caller = exchange.caller
        if caller is None:
            return
        started, first = exchange.started, exchange.first_content_at
        # The fields in their order: by name, making it would take seven times as long.
        entry = Closed(
            exchange.identity,
            exchange.time_ms,
            caller.key_id,
            caller.team,
            exchange.route,
            exchange.target,
            exchange.price_as,
            exchange.target_model,
            exchange.provider_key,
            exchange.status or CLIENT_LEFT,  # settled before its reply had a status: nobody waits for it
            exchange.streamed,
            outcome,
            exchange.error_code,
            tuple(exchange.attempts),
            exchange.usage,
            len(exchange.request.body),
            exchange.completion_bytes,
            int((first - started) * 1e6) if first else 0,
            int((self.clock() - started) * 1e6),
            exchange.fingerprint,
        )
        self.ledger.closed(entry)
        self.observe(entry)


def identification(exchange: Exchange) -> bytes:
    """Return the header lines that tell which request this was, who answered, after how many attempts."""
    request, attempts = public_id(exchange.identity).encode(), len(exchange.attempts)
    if exchange.answered:
        target = printable(exchange.target)
        return b"x-request-id: %b\r\nx-shareai-target: %b\r\nx-shareai-attempts: %d\r\n" % (
            request,
            target,
            attempts,
        )
    if attempts and exchange.status != 200:  # 200 without an answer is a stream of which more is to come
        return b"x-request-id: %b\r\nx-shareai-attempts: %d\r\n" % (request, attempts)
    return b"x-request-id: %b\r\n" % request


def request_id(identity: int) -> bytes:
    """Return the header line of a reply of which there is no more to tell than its number."""
    return b"x-request-id: %b\r\n" % public_id(identity).encode()
