"""The event stream of a running gateway over HTTP, as `shareai dash` and `status --watch` read it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractContextManager
from typing import Final, Protocol

import httpx
import msgspec

from shareai_cli.client import PREFIX, Admin, GatewayAddress, HttpAdmin
from shareai_cli.errors import AuthenticationFailed, GatewayUnreachable
from shareai_cli.live import Event
from shareai_cli.secrets import Secret

SILENCE_SECONDS: Final = 40.0
"""A stream that has told nothing for so long is lost; a gateway tells something every 15 seconds."""

LONGEST_EVENT: Final = 16 << 20
"""Bytes."""

_DATA: Final = b"data: "


class Source(Protocol):
    """Where those who watch find a gateway, and the accounts where none runs. Its calls may block."""

    name: str
    """What is looked for, for a person."""

    def connect(self) -> WatchedGateway | None:
        """Return the gateway as it is reached now; None where none runs. Raises `ShareAIError`."""

    def accounts(self) -> AbstractContextManager[Admin]:
        """Open the accounts for a moment, without a gateway; raises `ShareAIError`."""


class WatchedGateway(Protocol):
    """A running gateway."""

    address: str
    admin: HttpAdmin

    def watch(self) -> AsyncGenerator[Event, None]:
        """Yield its events until it ends; raises `GatewayUnreachable` and `AuthenticationFailed`."""

    def close(self) -> None:
        """Let go of it."""


class HttpGateway:
    """`WatchedGateway` over HTTP."""

    def __init__(self, where: GatewayAddress) -> None:
        self.address = where.address
        self.admin = HttpAdmin(where)
        self._where = where

    def __repr__(self) -> str:
        return f"<HttpGateway {self.address}>"

    def watch(self) -> AsyncGenerator[Event, None]:
        """See `WatchedGateway`."""
        return watch(self._where)

    def close(self) -> None:
        """See `WatchedGateway`."""
        self.admin.close()


async def watch(gateway: GatewayAddress) -> AsyncGenerator[Event, None]:
    """Yield the events of a gateway until it ends the stream.

    Raises `GatewayUnreachable` where the stream is lost, or none can be had, and `AuthenticationFailed`.
    """
    timeout = httpx.Timeout(10.0, read=SILENCE_SECONDS)
    headers = {"Authorization": f"Bearer {Secret(gateway.token).reveal()}"}
    try:
        async with (
            httpx.AsyncClient(timeout=timeout, trust_env=False, follow_redirects=False) as http,
            http.stream("GET", f"{gateway.address}{PREFIX}/events", headers=headers) as reply,
        ):
            if reply.status_code == 401:
                raise AuthenticationFailed(
                    f"The gateway at {gateway.address} does not accept the admin token."
                )
            if reply.status_code != 200:
                raise GatewayUnreachable(f"{gateway.address} answered with HTTP {reply.status_code}.")
            async for event in _events(reply.aiter_raw()):
                yield event
    except httpx.HTTPError as error:
        raise GatewayUnreachable(
            f"The gateway at {gateway.address} does not answer ({type(error).__name__})."
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise GatewayUnreachable(
            f"What answers at {gateway.address} is another version of shareai, or another program."
        ) from None


async def _events(pieces: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    decoder = msgspec.json.Decoder(Event)
    buffer = bytearray()
    async for piece in pieces:
        buffer += piece
        *lines, rest = buffer.split(b"\n")
        buffer = bytearray(rest)
        if len(buffer) > LONGEST_EVENT:
            raise GatewayUnreachable("The gateway's event stream holds an event without an end.")
        for line in lines:
            if line.startswith(_DATA):
                yield decoder.decode(line[len(_DATA) :])
