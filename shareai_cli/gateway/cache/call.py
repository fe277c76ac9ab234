"""One call upstream that equal requests share: who asked first leads it, and may leave it to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from shareai_cli.errors import LimitReached, PriceUnknown, ShareAIError
from shareai_cli.gateway.cache.recording import Broadcast, Listener, Room
from shareai_cli.gateway.exchange import CLIENT_LEFT, Accounts, Exchange, Handler, Reply, outcome_of
from shareai_cli.ledger import KeptReply
from shareai_cli.types import Outcome
from shareai_cli.wire.message import PushedBody

Find = Callable[[], Awaitable[KeptReply | None]]
"""Looks for a kept reply where that has to be waited for."""


class _HandedOver:
    """What keeps account of an exchange whose account is the call's."""

    __slots__ = ()

    def begin(self, exchange: Exchange) -> None:
        """Write nothing."""

    def settle(self, exchange: Exchange, outcome: Outcome) -> None:
        """Write nothing."""


class SharedCall:
    """The call, in a task of its own that ends with the last one who waits for it.

    The account of the one who leads is the call's: its row says what the call cost, also where that one has
    left before the end. `over` is called once, when nobody can join any more.
    """

    def __init__(
        self,
        exchange: Exchange,
        inner: Handler,
        *,
        find: Find | None,
        room: Room,
        most: int,
        over: Callable[[SharedCall], None],
    ) -> None:
        self._accounts: Accounts = exchange.accounts
        self.exchange = replace(exchange, accounts=self)
        exchange.accounts, exchange.settled = _HandedOver(), True
        self._over: Callable[[SharedCall], None] | None = over
        self._find = find
        self._broadcast = Broadcast(room, most, left=self._left, done=self._finish)
        self._leader = self._broadcast.listener(exchange, Outcome.OK)
        self._leader_left = False
        self.outcome: Outcome | None = None
        """How it ended, whoever was still there."""
        self.kept: KeptReply | None = None
        """The reply that was found."""
        self.reply: Reply | None = None
        self.error: Exception | None = None
        self._task = asyncio.get_running_loop().create_task(self._run(inner))

    def __repr__(self) -> str:
        return f"<SharedCall {self.exchange!r} {self._broadcast!r}>"

    @property
    def leader(self) -> Listener:
        """The share of the one who leads."""
        return self._leader

    @property
    def can_be_joined(self) -> bool:
        """Whether all of it can still be had from its beginning."""
        return self._over is not None and self._broadcast.is_whole and not self.is_its_leaders

    @property
    def is_its_leaders(self) -> bool:
        """Whether the leader's limits refused it, or shortened its answer: others may have other limits."""
        return self.exchange.shortened or isinstance(self.error, LimitReached | PriceUnknown)

    @property
    def pieces(self) -> tuple[bytes, ...] | None:
        """The whole reply; None where it is not held."""
        body = self.reply.body if self.reply is not None else None
        if isinstance(body, bytes):
            return (body,)
        return tuple(self._broadcast.pieces) if self._broadcast.is_whole else None

    def join(self, exchange: Exchange) -> Listener:
        """Return the share of another equal request."""
        return self._broadcast.listener(exchange, Outcome.JOINED)

    async def wait(self, listener: Listener) -> None:
        """Wait until there is a reply, an error or what was found; who is cancelled leaves."""
        try:
            await asyncio.wait({self._task})
        except asyncio.CancelledError:
            if listener is self._leader:
                self.exchange.status = CLIENT_LEFT
            listener.leave()
            if not self._broadcast.listeners:
                await asyncio.wait({self._task})
            raise

    # -- the call's account

    def begin(self, exchange: Exchange) -> None:
        """Write that the request is about to be sent; raises `Overloaded`."""
        self._accounts.begin(exchange)

    def settle(self, exchange: Exchange, outcome: Outcome) -> None:
        """Write how the call ended; of a client that had left, that it had."""
        self.outcome = self._broadcast.outcome = outcome
        self._broadcast.error_code = exchange.error_code
        exchange.accounts = self._accounts  # and nothing holds this any more
        exchange.settle(Outcome.CANCELLED if self._leader_left else outcome)

    # -- the call

    async def _run(self, inner: Handler) -> None:
        call = self.exchange
        try:
            if self._find is not None and (found := await self._find()) is not None:
                self._found(found)
                return
            reply = await inner(call)
        except ShareAIError as error:
            self._fail(error.with_traceback(None), error.status, error.code or error.type, outcome_of(error))
        except asyncio.CancelledError:
            self._account(CLIENT_LEFT, Outcome.CANCELLED)
            raise
        except Exception as error:
            self._fail(error, 500, "internal_error", Outcome.FAILED)
        else:
            self._answer(reply)

    def _found(self, found: KeptReply) -> None:
        call = self.exchange
        self.kept = found
        call.route, call.target, call.answered = call.model, found.target, True
        call.target_model = found.target.partition("/")[2]
        self._account(found.status, Outcome.HIT)
        self._conclude()

    def _fail(self, error: Exception, status: int, code: str, outcome: Outcome) -> None:
        self.error = error
        self.exchange.error_code = code
        self._account(status, outcome)
        self._conclude()

    def _answer(self, reply: Reply) -> None:
        self.reply = reply
        body = reply.body
        if isinstance(body, PushedBody):
            self._note_status(reply.status)
            self._broadcast.begin(body)
        else:
            self._account(reply.status, Outcome.OK if reply.status < 400 else Outcome.REJECTED)
            self._conclude()

    def _account(self, status: int, outcome: Outcome) -> None:
        self._note_status(status)
        self.exchange.settle(outcome)

    def _note_status(self, status: int) -> None:
        if not self.exchange.status:  # it is that of a client that left before
            self.exchange.status = status

    def _left(self, listener: Listener) -> None:
        """Take in that somebody left; a call that nobody waits for ends."""
        if listener is self._leader:
            self._leader_left = True
        if self._broadcast.listeners or self._over is None:
            return
        self._task.cancel()
        self._conclude()

    def _conclude(self) -> None:
        """End a call of which no stream is to come."""
        self._broadcast.close()
        self._finish()

    def _finish(self) -> None:
        """Let nobody join any more."""
        over, self._over = self._over, None
        if over is not None:
            over(self)
