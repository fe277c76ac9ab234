"""The shapes on both sides of a server's handler."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol

from msgspec import Struct

from shareai_cli.errors import ShareAIError


class Request(Struct, gc=False):
    """One complete request of a client's.

    `path` is percent-encoded as sent, without the query; header names are lower-case, repeats joined with a
    comma (RFC 9110, 5.3); `version` is "1.0" or "1.1"; `peer` is the client's address.
    """

    method: str
    path: str
    query: str
    version: str
    headers: dict[bytes, bytes]
    body: bytes
    peer: str = ""


class Writer(Protocol):
    """Where the pieces of a body go."""

    def write(self, piece: bytes) -> None:
        """Send a piece; it leaves at the end of the loop's turn."""

    def end(self) -> None:
        """Say that the body is complete."""

    def fail(self, error: Exception) -> None:
        """Say that the body cannot be completed: a reply that has begun is cut off."""


class PushedBody(ABC):
    """A body that writes itself as it comes, without a task that waits for each piece."""

    __slots__ = ()

    @abstractmethod
    def start(self, writer: Writer) -> None:
        """Write every piece, now or later, and then the end. It is called once at most."""

    @abstractmethod
    def pause(self) -> None:
        """Have no more pieces come for now: the client takes less than it is sent. Twice does no harm."""

    @abstractmethod
    def resume(self) -> None:
        """Go on after a pause."""

    @abstractmethod
    def close(self) -> None:
        """Write nothing more, complete or not, begun or not; twice does no harm."""


class Response(Struct):
    """One reply: the server adds what frames it (Content-Length, Transfer-Encoding, Connection, Date).

    `lines` are more fields, ready to be sent, each with its line's end: only for those that hold nothing
    from outside, as they are not checked for line breaks.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes | PushedBody | AsyncIterator[bytes] = b""
    lines: bytes = b""


Handler = Callable[[Request], Coroutine[Any, Any, Response]]

Refuse = Callable[[ShareAIError], Response]
"""Renders an error: a handler's, or the server's own."""
