"""Tokens of scenarios: short-lived, signed with a key that is made at the gateway's start and stays there."""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as EncodingError
from hashlib import sha256
from struct import Struct as Layout
from typing import Final

from msgspec import Struct

from shareai_cli.types import Clock

_CLAIM: Final = Layout("<QIQ")
"""Drill, scenario, and the clock's millisecond at which the token is no longer valid."""

_LONGEST: Final = 128


class Claim(Struct, frozen=True):
    """What a token that is valid stands for."""

    drill: int
    scenario: int


class Tokens:
    """Signs tokens, and reads those that it has signed (HMAC-SHA256, RFC 2104)."""

    __slots__ = ("_clock", "_key")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def __repr__(self) -> str:
        return "<Tokens>"

    def sign(self, claim: Claim, seconds: float) -> str:
        """Return a token that is valid for so many seconds."""
        until = int((self._clock() + seconds) * 1000)
        packed = _CLAIM.pack(claim.drill, claim.scenario, until)
        return urlsafe_b64encode(packed + self._signature(packed)).decode("ascii")

    def read(self, token: bytes) -> Claim | None:
        """Return what a token stands for; None for one that is not valid, or not any more."""
        if len(token) > _LONGEST:
            return None
        try:
            data = urlsafe_b64decode(token)
        except (EncodingError, ValueError):
            return None
        packed, signature = data[: _CLAIM.size], data[_CLAIM.size :]
        if not hmac.compare_digest(signature, self._signature(packed)):
            return None
        drill, scenario, until = _CLAIM.unpack(packed)
        return Claim(drill, scenario) if self._clock() * 1000 < until else None

    def _signature(self, packed: bytes) -> bytes:
        return hmac.digest(self._key, packed, sha256)
