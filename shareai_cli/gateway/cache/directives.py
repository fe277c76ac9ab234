"""What a request says of caches (RFC 9111, section 5.2.1): of `Cache-Control`, `no-cache` and `no-store`."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Directives(Struct, frozen=True):
    """What a client wants."""

    anew: bool = False
    """To be answered by an upstream, not with what is kept or under way."""
    unkept: bool = False
    """That nothing of the reply is kept, or shared with another request."""


NONE = Directives()


def directives(headers: Mapping[bytes, bytes]) -> Directives:
    """Read a request's directives; unknown ones say nothing."""
    value = headers.get(b"cache-control")
    if value is None:
        return NONE
    named = {one.strip().lower() for one in value.split(b",")}
    return Directives(anew=b"no-cache" in named, unkept=b"no-store" in named)
