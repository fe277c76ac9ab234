"""What requests to the admin API say, read strictly."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import parse_qsl, unquote

import msgspec

from shareai_cli.errors import MalformedRequest
from shareai_cli.wire.message import Request

Body = TypeVar("Body")


def last_part(request: Request) -> str:
    """Return the name at the end of a path, in which a `/` is written as `%2F`."""
    return unquote(request.path.rpartition("/")[2])


def decode_body(request: Request, kind: type[Body]) -> Body:
    """Return what a body says; raises `MalformedRequest`."""
    try:
        return msgspec.json.decode(request.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRequest(f"The body is not what {request.path[:100]} takes: {error}.") from None


def decode_query(request: Request, kind: type[Body]) -> Body:
    """Return what a query says; raises `MalformedRequest`."""
    query = request.query
    try:
        values = dict(parse_qsl(query, strict_parsing=bool(query), max_num_fields=8))
        return msgspec.convert(values, kind, strict=False)
    except (ValueError, msgspec.ValidationError) as error:
        raise MalformedRequest(f"The query is not what {request.path[:100]} takes: {error}.") from None
