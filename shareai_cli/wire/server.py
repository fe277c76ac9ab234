"""An HTTP/1.1 server for one handler."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Callable, Iterable

from shareai_cli.errors import AddressInUse, StateError
from shareai_cli.types import Clock
from shareai_cli.wire.admission import Admission, ServerLimits
from shareai_cli.wire.deadlines import Deadlines
from shareai_cli.wire.message import Handler, Refuse, Request, Response
from shareai_cli.wire.reply_heads import ReplyHeads
from shareai_cli.wire.server_connection import ServerConnection
from shareai_cli.wire.turn import Turn

__all__ = ["Handler", "Refuse", "Request", "Response", "Server", "ServerLimits"]

BACKLOG = 4096

REFUSABLE = 256
"""Connections beyond the limit that are told so; those beyond them are closed without a word."""

ABORT_SECONDS = 5.0
"""How long handlers may take to end after they were cancelled."""


class Server:
    """Listens, answers every request with `handler`, and renders errors, its own too, with `refuse`."""

    def __init__(
        self,
        handler: Handler,
        *,
        refuse: Refuse,
        hostnames: Iterable[str] = (),
        limits: ServerLimits | None = None,
        deadlines: Deadlines | None = None,
        turn: Turn | None = None,
        cutting: Callable[[], None] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Call `cutting` before requests that are under way are cut off, as the server closes."""
        self.handler = handler
        self.refuse = refuse
        self.clock = clock
        self.admission = Admission(limits or ServerLimits(), hostnames)
        self.heads = ReplyHeads()
        self.turn = turn or Turn()
        self.closing = False
        self._cutting = cutting
        self._deadlines = deadlines or Deadlines(clock=clock)
        self._owns_deadlines = deadlines is None
        self._listening: asyncio.Server | None = None
        self._connections: set[ServerConnection] = set()
        self._emptied: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Server [port: {self.port}, connections: {self.connections}]>"

    @property
    def port(self) -> int:
        """The port that is listened on; 0 while none is."""
        sockets = self._listening.sockets if self._listening is not None else ()
        return int(sockets[0].getsockname()[1]) if sockets else 0

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 is any that is free. Raises `AddressInUse`, or `StateError` for another reason."""
        if not 0 <= port <= 65535:  # some event loops would listen on another one
            raise StateError(f"There is no port {port}.", hint="Ports go up to 65535.")
        loop = asyncio.get_running_loop()
        try:
            self._listening = await loop.create_server(
                lambda: ServerConnection(self), host, port, backlog=BACKLOG
            )
        except OSError as error:
            raise _cannot_listen(host, port, error) from None

    def replace(self, *, limits: ServerLimits, hostnames: Iterable[str]) -> None:
        """Take up a changed configuration, for connections that are open too."""
        self.admission.replace(limits, hostnames)

    async def close(self, drain_seconds: float) -> None:
        """Stop listening, give requests that are under way so long, and end when all connections have."""
        self.closing = True
        if self._listening is not None:
            self._listening.close()
        for connection in list(self._connections):
            connection.finish()
        await self._empty(drain_seconds)
        self.abort()
        await self._empty(ABORT_SECONDS)
        if self._owns_deadlines:
            self._deadlines.close()
        if self._listening is not None:
            await self._listening.wait_closed()
            self._listening = None

    def abort(self) -> None:
        """End every connection at once; a `close` that is under way is over soon."""
        if self._cutting is not None:
            self._cutting()
        for connection in list(self._connections):
            connection.abort()

    async def _empty(self, seconds: float) -> None:
        """Wait until there is no connection, at most so long."""
        if self._connections:
            self._emptied = asyncio.get_running_loop().create_future()
            await asyncio.wait({self._emptied}, timeout=seconds)
            self._emptied = None

    # -- told by connections

    def joined(self, connection: ServerConnection) -> bool:
        """Take in that a connection was made; returns whether there is room for it."""
        self._connections.add(connection)
        self._deadlines.add(connection)
        surplus = len(self._connections) - self.admission.limits.connections
        if surplus > REFUSABLE or self.closing:
            connection.abort()
        return surplus <= 0

    def left(self, connection: ServerConnection) -> None:
        """Forget a connection that has ended, and its task."""
        self._connections.discard(connection)
        self._deadlines.discard(connection)
        if not self._connections and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)


def _cannot_listen(host: str, port: int, error: OSError) -> StateError:
    """Say why nobody can be listened to there, and what to do."""
    place = f"{host}:{port}"
    if isinstance(error, socket.gaierror):
        return StateError(f"There is no address '{host}' to listen on.", hint="Check --host.")
    number = error.errno
    if number == errno.EADDRINUSE:
        return AddressInUse(
            f"Port {port} on {host} is in use.", hint="Choose another with --port, or end what uses it."
        )
    if number == errno.EACCES:
        return StateError(
            f"Listening on {place} is not permitted.", hint="Ports below 1024 need privileges; use --port."
        )
    if number == errno.EADDRNOTAVAIL:
        return StateError(f"{host} is no address of this machine.", hint="Check --host.")
    return StateError(f"Listening on {place} failed: {error}.")
