"""Who is asking: the SHA-256 of the presented key, looked up in memory. Always on.

Every refusal reads the same, so that nothing tells a wrong key from a revoked or a missing one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from shareai_cli.errors import AuthenticationFailed
from shareai_cli.gateway.exchange import Exchange, Handler, Replying, Stage
from shareai_cli.secrets import digest
from shareai_cli.types import Caller, WallClock

BEARER = b"bearer "
LONGEST_KEY = 512
MOST_PRESENTED = 4096


class Keys:
    """The keys that are valid, by their digest, until they expire."""

    __slots__ = ("_callers", "_presented", "_wall_clock", "are_restricted", "have_preferences", "refused")

    def __init__(self, callers: Mapping[bytes, Caller], wall_clock: WallClock = time.time) -> None:
        self._wall_clock = wall_clock
        self.refused = 0
        """Requests refused for their key since the start: counted, never written."""
        self.replace(callers)

    def __repr__(self) -> str:
        return f"<Keys [valid: {len(self._callers)}, refused: {self.refused}]>"

    def replace(self, callers: Mapping[bytes, Caller]) -> None:
        """Take up a changed set of keys at once."""
        self._callers = callers
        self._presented: dict[bytes, Caller] = {}
        """Header values that were found valid for good, so that each is hashed once."""
        known = callers.values()
        self.are_restricted = any(one.allowed or one.preferences or one.bounds for one in known)
        """Whether any of them is not simply for everything."""
        self.have_preferences = any(one.prefer is not None for one in known)
        """Whether any of them prefers own machines, or clouds."""

    def names(self) -> Mapping[int, str]:
        """Return the keys' names by their numbers."""
        return {one.key_id: one.key_name for one in self._callers.values()}

    def caller(self, headers: Mapping[bytes, bytes]) -> Caller:
        """Return who presents `Authorization: Bearer` (or OpenAI's Azure form, `api-key`).

        Raises `AuthenticationFailed`.
        """
        presented = headers.get(b"authorization", b"")
        known = self._presented.get(presented)
        if known is not None:
            return known
        is_bearer = presented[:7].lower() == BEARER
        key = presented[7:].strip() if is_bearer else headers.get(b"api-key", b"")
        caller = self._callers.get(digest(key)) if len(key) <= LONGEST_KEY else None
        if caller is None or self._has_expired(caller):
            self.refused += 1
            raise AuthenticationFailed(
                "The API key is missing or not valid.",
                hint="Send 'Authorization: Bearer sk-shareai-...'; 'shareai key create NAME' makes a key.",
            )
        if is_bearer and caller.expires_ms is None and len(self._presented) < MOST_PRESENTED:
            self._presented[presented] = caller
        return caller

    def _has_expired(self, caller: Caller) -> bool:
        return caller.expires_ms is not None and self._wall_clock() * 1000 >= caller.expires_ms


def presented_key(headers: Mapping[bytes, bytes]) -> bytes:
    """Return the key that a request presents, whoever's it is; empty where it presents none."""
    presented = headers.get(b"authorization", b"")
    return presented[7:].strip() if presented[:7].lower() == BEARER else headers.get(b"api-key", b"")


def auth(keys: Keys) -> Stage:
    """Stage: let only known callers pass."""

    def stage(inner: Handler) -> Handler:
        def handle(exchange: Exchange) -> Replying:
            exchange.caller = keys.caller(exchange.request.headers)
            return inner(exchange)

        return handle

    return stage
