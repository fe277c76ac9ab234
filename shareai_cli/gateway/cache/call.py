"""One call upstream that equal requests share: who asked first leads it, and may leave it to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

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


_HANDED_OVER: Final = _HandedOver()


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
        exchange.accounts, exchange.settled = _HANDED_OVER, True
        self._leader = exchange
        self._leader_left = False
        self._over: Callable[[SharedCall], None] | None = over
        self._find = find
        self._room = room
        self._most = most
        self.outcome: Outcome | None = None
        """How it ended, whoever was still there."""
        self.kept: KeptReply | None = None
        """The reply that was found."""
        self.reply: Reply | None = None
        self.error: Exception | None = None
        self._waiting: dict[asyncio.Future[Listener | None], Exchange] = {}
        """Those who wait for what the call comes to."""
        self._broadcast: Broadcast | None = None
        """The stream that it has come to."""
        self._leading: Listener | None = None
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(inner))

    def __repr__(self) -> str:
        return f"<SharedCall {self.exchange!r} [waiting: {len(self._waiting)}] {self._broadcast!r}>"

    @property
    def can_be_joined(self) -> bool:
        """Whether all of it can still be had from its beginning."""
        is_whole = self._broadcast is None or self._broadcast.is_whole
        return self._over is not None and is_whole and not self.is_its_leaders

    @property
    def is_its_leaders(self) -> bool:
        """Whether the leader's limits refused it, or shortened its answer: others may have other limits."""
        return self.exchange.shortened or isinstance(self.error, LimitReached | PriceUnknown)

    @property
    def pieces(self) -> Sequence[bytes] | None:
        """The whole reply; None where it is not held."""
        if self._broadcast is not None:
            return self._broadcast.pieces if self._broadcast.is_whole else None
        body = self.reply.body if self.reply is not None else None
        return (body,) if isinstance(body, bytes) else None

    async def share(self, exchange: Exchange) -> Listener | None:
        """Wait until there is a reply, an error or what was found; return the share of a stream.

        Who is cancelled leaves.
        """
        if self._broadcast is not None:
            return self._broadcast.listener(exchange, Outcome.JOINED)
        # `asyncio.wait` for the task would take five times as long.
        waiter: asyncio.Future[Listener | None] = self._loop.create_future()
        self._waiting[waiter] = exchange
        try:
            return await waiter
        except asyncio.CancelledError:
            if exchange is self._leader:
                self._leader_left = True
                self._note_status(CLIENT_LEFT)
            if self._waiting.pop(waiter, None) is None:
                _give_up(waiter)
            elif not self._waiting:
                self._abandon()
                await asyncio.wait({self._task})
            raise

    # -- the call's account

    def begin(self, exchange: Exchange) -> None:
        """Write that the request is about to be sent; raises `Overloaded`."""
        self._accounts.begin(exchange)

    def settle(self, exchange: Exchange, outcome: Outcome) -> None:
        """Write how the call ended; of a client that had left, that it had."""
        self.outcome = outcome
        if self._broadcast is not None:
            self._broadcast.outcome, self._broadcast.error_code = outcome, exchange.error_code
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
            self._share_out(body)
        else:
            self._account(reply.status, Outcome.OK if reply.status < 400 else Outcome.REJECTED)
            self._conclude()

    def _account(self, status: int, outcome: Outcome) -> None:
        self._note_status(status)
        self.exchange.settle(outcome)

    def _note_status(self, status: int) -> None:
        if not self.exchange.status:  # it is that of a client that left before
            self.exchange.status = status

    def _share_out(self, body: PushedBody) -> None:
        """Give everybody who waits a share of a stream, and have it come."""
        self._broadcast = broadcast = Broadcast(self._room, self._most, left=self._left, done=self._finish)
        waiting, self._waiting = self._waiting, {}
        for waiter, exchange in waiting.items():
            leads = exchange is self._leader
            listener = broadcast.listener(exchange, Outcome.OK if leads else Outcome.JOINED)
            if leads:
                self._leading = listener
            if waiter.cancelled():
                listener.leave()
            else:
                waiter.set_result(listener)
        broadcast.begin(body)

    def _left(self, listener: Listener) -> None:
        """Take in that somebody has left the stream; one that nobody waits for ends."""
        if listener is self._leading:
            self._leader_left = True
        if self._broadcast is not None and not self._broadcast.listeners and self._over is not None:
            self._broadcast.close()
            self._finish()

    def _abandon(self) -> None:
        """End the call before it has come to anything, as nobody waits for it."""
        self._task.cancel()
        self._finish()

    def _conclude(self) -> None:
        """Tell everybody what the call has come to, of which no stream is to come."""
        self._finish()
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _finish(self) -> None:
        """Let nobody join any more."""
        over, self._over = self._over, None
        if over is not None:
            over(self)


def _give_up(waiter: asyncio.Future[Listener | None]) -> None:
    """Leave what was shared out to somebody who was cancelled in the same moment."""
    if not waiter.cancelled() and (listener := waiter.result()) is not None:
        listener.leave()
