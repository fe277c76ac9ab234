"""One client's connection: its requests are answered one after another, in one task.

Reading never pauses while a request is answered, since the end of the connection (a bare FIN is one) would
go unseen, and the handler on working for nobody. So what a client sends ahead is bounded instead.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from typing import Protocol

from shareai_cli.errors import Overloaded, RequestTimeout, ShareAIError
from shareai_cli.types import Clock
from shareai_cli.wire.admission import Admission
from shareai_cli.wire.body_writer import BodyWriter
from shareai_cli.wire.message import Handler, PushedBody, Refuse, Request, Response
from shareai_cli.wire.reply_heads import BODILESS, ReplyHeads
from shareai_cli.wire.request_reader import BODY, DEAF, RequestReader
from shareai_cli.wire.turn import Turn

PIPELINED_BYTES = 64 << 10
"""What may be sent ahead while a request is answered."""

LINGER_SECONDS = 2.0
"""How long a refused client may go on sending: closing at once would reset what it has yet to read."""

logger = logging.getLogger(__name__)


class Owner(Protocol):
    """The server as its connections see it."""

    handler: Handler
    refuse: Refuse
    admission: Admission
    heads: ReplyHeads
    turn: Turn
    clock: Clock
    closing: bool

    def joined(self, connection: ServerConnection) -> bool:
        """Take in that a connection was made; returns whether there is room for it."""

    def left(self, connection: ServerConnection) -> None:
        """Take in that a connection has ended, and its task."""


IDLE, HEAD_AWAITED, BODY_AWAITED, BUSY, CLOSING = range(5)
"""What a connection waits for, and so which time limit counts."""


class ServerConnection(asyncio.Protocol):
    """The protocol of one connection."""

    __slots__ = (
        "_ahead",
        "_begun",
        "_drained",
        "_gone",
        "_last",
        "_loop",
        "_lost",
        "_owner",
        "_paused",
        "_phase",
        "_pushed",
        "_reader",
        "_seen",
        "_task",
        "_transport",
        "_waiter",
        "deadline",
    )

    def __init__(self, owner: Owner) -> None:
        self.deadline = 0.0
        """When `expired` is to be called, by the clock; 0 is never."""
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = None  # type: ignore[assignment] # until connection_made
        self._reader: RequestReader = None  # type: ignore[assignment] # until connection_made
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._pushed: PushedBody | None = None
        self._phase = IDLE
        self._begun = False
        self._gone = False
        self._last = False
        self._lost = False
        self._paused = False
        self._ahead = 0
        self._seen = 0

    def __repr__(self) -> str:
        return f"<ServerConnection [{('idle', 'head', 'body', 'busy', 'closing')[self._phase]}]>"

    # -- asked by the server

    def finish(self) -> None:
        """Close the connection if it is idle, else after the request that is under way."""
        if self._phase == IDLE or (self._phase == HEAD_AWAITED and not self._reader.head_bytes):
            self._close()

    def abort(self) -> None:
        """Close the connection at once, and cancel its handler."""
        self._leave()
        self._transport.abort()

    def expired(self) -> None:
        """End what takes too long: with 408 (Request Timeout) where a request had begun, else quietly."""
        phase, reader = self._phase, self._reader
        if phase == BODY_AWAITED:
            limits = self._owner.admission.limits
            if reader.body_bytes - self._seen >= limits.least_body_rate * limits.rate_seconds:
                self._watch(BODY_AWAITED)
            else:
                self._refuse(RequestTimeout("The request's body came too slowly."))
        elif phase == HEAD_AWAITED and reader.head_bytes:
            self._refuse(RequestTimeout("The request's head took too long."))
        elif self._paused:
            self._check_taking()
        elif phase in (BUSY, CLOSING):
            self.abort()
        else:
            self._close()

    # -- told by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the server, if it has room."""
        self._transport = transport  # type: ignore[assignment] # servers' transports are both ways
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self._reader = RequestReader(
            self._owner.admission, local[0] if local else "", peer[0] if peer else ""
        )
        self._watch(HEAD_AWAITED)
        if not self._owner.joined(self):
            self._refuse(Overloaded("This server has as many connections as it takes.", retry_after=1.0))

    def data_received(self, data: bytes) -> None:
        """Read on, and see to it that what is complete is answered."""
        reader = self._reader
        phase = self._phase
        if phase == BUSY:
            self._ahead += len(data)
            if self._ahead <= PIPELINED_BYTES:
                reader.feed(data)
            elif reader.state != DEAF:
                reader.refuse(Overloaded("Too much was sent ahead on one connection."))
            return
        if phase == CLOSING:
            return
        reader.feed(data)
        if reader.requests:
            self._wake()
        else:
            self._await_rest()

    def eof_received(self) -> bool:
        """Take in that the client has left: nobody waits for what is under way."""
        if self._phase == BUSY:
            self.abort()
        self._phase = CLOSING
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """End the task, which may be answering."""
        self._lost = True
        self.deadline = 0.0
        self._reader.close()
        self._leave()
        if self._task is None:
            self._owner.left(self)

    def pause_writing(self) -> None:
        """Take in that the client takes less than it is sent."""
        self._paused = True
        if self._phase not in (HEAD_AWAITED, BODY_AWAITED):  # those have limits of their own
            self._watch_taking()
        if self._pushed is not None:
            self._pushed.pause()
            self._seen = sys.maxsize  # pieces on their way come on top

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        if self._phase == BUSY:
            self.deadline = 0.0
        elif self._phase == IDLE:
            self.deadline = self._owner.clock() + self._owner.admission.limits.idle_seconds
        if self._pushed is not None:
            self._pushed.resume()
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # -- answers

    def _wake(self) -> None:
        self._phase = BUSY
        self.deadline = 0.0
        if self._paused:
            self._watch_taking()
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
        elif self._task is None:
            self._task = self._loop.create_task(self._serve())
            # Not in a `finally` of its own: a task that is cancelled before it starts has none.
            self._task.add_done_callback(self._served)

    async def _serve(self) -> None:
        """Answer requests as they come, until the connection is to end."""
        owner, requests = self._owner, self._reader.requests
        try:
            while not self._gone:
                if not requests:
                    await self._rest()
                    continue
                request = requests.pop(0)
                if isinstance(request, ShareAIError):
                    self._write_whole(None, owner.refuse(request))
                    self._linger()
                    return
                self._ahead = 0
                await self._answer(request)
                if self._paused:
                    await self._drain()
                if self._last or owner.closing:
                    self._close()
                    return
        except asyncio.CancelledError:
            if not self._gone:
                self._transport.abort()
                raise
        except Exception as error:
            logger.error("a connection failed: %s", _where(error))
            self._transport.abort()

    def _served(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if self._lost:
            self._owner.left(self)

    async def _answer(self, request: Request) -> None:
        """Answer one request, whatever its handler does; who waits for the next one holds nothing of it."""
        self._begun = False
        owner = self._owner
        try:
            response = await owner.handler(request)
            if isinstance(response.body, bytes):
                self._write_whole(request, response)
            else:
                await self._write_body(request, response, response.body)
        except ShareAIError as error:
            self._replace(request, error)
        except asyncio.CancelledError as error:
            if self._gone or self._task.cancelling():  # type: ignore[union-attr] # it is this one
                raise
            self._fail(request, error)
        except Exception as error:
            self._fail(request, error)
        finally:
            owner.admission.held -= len(request.body)

    def _fail(self, request: Request, error: BaseException) -> None:
        """Answer that something went wrong; what, is nobody's business but this machine's owner's."""
        logger.error("a request failed: %s", _where(error))
        self._replace(request, ShareAIError("Something went wrong inside this server."))

    def _replace(self, request: Request, error: ShareAIError) -> None:
        """Answer with an error; a reply that had begun can only be cut off."""
        if self._begun:
            self.abort()
        else:
            self._write_whole(request, self._owner.refuse(error))

    def _write_whole(self, request: Request | None, response: Response) -> None:
        """Write head and body at once; without a request, what could not be read as one is answered."""
        owner = self._owner
        self._last = last = request is None or self._is_last()
        message = owner.heads.whole(response, request, last)
        self._begun = True
        owner.turn.write(self._transport, message)

    async def _write_body(
        self, request: Request, response: Response, body: PushedBody | AsyncIterator[bytes]
    ) -> None:
        """Write each piece as it comes, the first one with the head."""
        owner, chunked = self._owner, request.version == "1.1"
        try:
            if self._gone:
                return  # the handler went on although it was cancelled
            self._last = last = self._is_last() or not chunked
            head = owner.heads.head(response, request, last)
            bodiless = request.method == "HEAD" or response.status in BODILESS
            ended = self._loop.create_future()
            writer = BodyWriter(head, self._transport, owner.turn, ended, chunked=chunked and not bodiless)
            try:
                if bodiless:
                    writer.end()
                elif isinstance(body, PushedBody):
                    body.start(writer)
                    self._pushed = body
                    if self._paused:
                        body.pause()
                    await writer.ended
                else:
                    await self._pull(body, writer)
            finally:
                self._begun = writer.begun
        finally:
            self._pushed = None
            await _close(body)

    async def _pull(self, pieces: AsyncIterator[bytes], writer: BodyWriter) -> None:
        """Write pieces that have to be asked for, no faster than the client takes them."""
        async for piece in pieces:
            if self._transport.is_closing():
                return
            writer.write(piece)
            if self._paused:
                await self._drain()
        writer.end()

    def _is_last(self) -> bool:
        """Whether the connection ends after the reply to the request that was just taken."""
        reader = self._reader
        return self._owner.closing or (reader.state == DEAF and not reader.requests)

    async def _drain(self) -> None:
        while self._paused and not self._gone:
            self._drained = drained = self._loop.create_future()
            await drained

    # -- waits and ends

    def _rest(self) -> asyncio.Future[None]:
        """Return what is done once the next request is there, of which a part may have come."""
        owner, reader = self._owner, self._reader
        self._phase = IDLE
        self.deadline = owner.clock() + owner.admission.limits.idle_seconds
        if reader.state == BODY or reader.head_bytes:
            self._await_rest()
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def _await_rest(self) -> None:
        """Limit the time for the rest of a request."""
        reader = self._reader
        phase = BODY_AWAITED if reader.state == BODY else HEAD_AWAITED
        if reader.wants_continue and phase == BODY_AWAITED:
            reader.wants_continue = False
            if not reader.body_bytes:
                self._owner.turn.write(self._transport, b"HTTP/1.1 100 Continue\r\n\r\n")
        if phase != self._phase:
            self._watch(phase)

    def _watch(self, phase: int) -> None:
        """Wait for the rest of a head, or for a body to come on as fast as it must."""
        limits = self._owner.admission.limits
        self._phase = phase
        self._seen = self._reader.body_bytes
        seconds = limits.rate_seconds if phase == BODY_AWAITED else limits.head_seconds
        self.deadline = self._owner.clock() + seconds

    def _watch_taking(self) -> None:
        """Wait for the client to take some of what waits for it."""
        self._seen = self._transport.get_write_buffer_size()
        self.deadline = self._owner.clock() + self._owner.admission.limits.stall_seconds

    def _check_taking(self) -> None:
        """Cut off a client that took nothing of what waits for it since this was looked at last."""
        before = self._seen
        self._watch_taking()
        if self._seen >= before:
            self.abort()

    def _refuse(self, error: ShareAIError) -> None:
        self._reader.refuse(error)
        self._wake()

    def _close(self) -> None:
        """Close the connection once what was written is taken."""
        self._phase = CLOSING
        self.deadline = self._owner.clock() + self._owner.admission.limits.stall_seconds
        self._owner.turn.end()
        self._transport.close()

    def _linger(self) -> None:
        """Say that nothing more comes, and close a little later."""
        self._phase = CLOSING
        self.deadline = self._owner.clock() + LINGER_SECONDS
        self._owner.turn.end()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _leave(self) -> None:
        """Cancel the task, once."""
        if not self._gone:
            self._gone = True
            if self._task is not None:
                self._task.cancel()


async def _close(body: PushedBody | AsyncIterator[bytes]) -> None:
    """End a body, however much of it was taken."""
    if isinstance(body, PushedBody):
        body.close()
    elif (close := getattr(body, "aclose", None)) is not None:
        await close()


def _where(error: BaseException) -> str:
    """Return an error's type and place, without its message, which may hold what a client sent."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    return type(error).__name__ + place
