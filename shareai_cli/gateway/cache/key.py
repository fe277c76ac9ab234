"""When two requests are equal: the same scope, route and targets, and bodies that mean the same beyond doubt.

Of a body, the order of its top-level fields and white space outside of strings are taken to mean nothing, and
of a top-level field that is there twice the last one counts, as it does for what is sent on. All else counts
as it is written: nested keys and their order (a schema's order is that of the answer), spellings of numbers,
escapes.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import blake2b

import msgspec

from shareai_cli.gateway.body import Fields

KEY_BYTES = 32

LARGEST_BODY = 1 << 20
"""Bytes of a request; working out the key of a larger one would hold up others."""

KNOWN = 256
KNOWN_BYTES = 16 << 10
"""How many bodies, and how long ones, have their keys at hand: what is asked again is mostly written so."""

_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


class RequestKeys:
    """The keys of requests to one route, salted, so that nobody can tell a request from its key."""

    __slots__ = ("_begun", "_is_shared", "_known")

    def __init__(self, salt: bytes, route: str, targets: Collection[str], *, is_shared: bool) -> None:
        """`is_shared` makes equal requests of all teams equal."""
        self._is_shared = is_shared
        self._begun = blake2b(digest_size=KEY_BYTES, key=salt)
        self._begun.update(_encode([route, sorted(targets)]))
        self._known: dict[tuple[str, bool, bytes], bytes] = {}
        """By team, form and body: to one route, a body has always the same fields."""

    def of(self, team: str, streamed: bool, fields: Fields, body: bytes) -> bytes | None:
        """Return the key of a request, whose fields were read from `body`.

        None for one whose nesting is too deep to be looked at.
        """
        known, place = self._known, (team, streamed, body)
        key = known.get(place)
        if key is not None:
            return key
        key = self._work_out(team, streamed, fields)
        if key is not None and len(body) <= KNOWN_BYTES:
            if len(known) >= KNOWN:
                known.clear()
            known[place] = key
        return key

    def _work_out(self, team: str, streamed: bool, fields: Fields) -> bytes | None:
        try:
            body = canonical(fields)
        except RecursionError:
            return None
        key = self._begun.copy()
        # JSON values one after another: where one ends and the next begins is never in doubt.
        key.update(_encode((None if self._is_shared else team, streamed)))
        key.update(body)
        return key.digest()


def canonical(fields: Fields) -> bytes:
    """Return what two bodies that mean the same may have in common; raises `RecursionError`."""
    return msgspec.json.format(_encode_sorted(fields), indent=-1)
