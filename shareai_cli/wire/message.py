"""The shapes on both sides of a server's handler."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

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


class Response(Struct):
    """One reply: the server adds what frames it (Content-Length, Transfer-Encoding, Connection, Date).

    `lines` are more fields, ready to be sent, each with its line's end: only for those that hold nothing
    from outside, as they are not checked for line breaks.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes | AsyncIterator[bytes] = b""
    lines: bytes = b""


Handler = Callable[[Request], Coroutine[Any, Any, Response]]

Refuse = Callable[[ShareAIError], Response]
"""Renders an error: a handler's, or the server's own."""
