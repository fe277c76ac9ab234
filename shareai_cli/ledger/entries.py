"""What the journal holds: one entry before a request is sent on, one when it has ended."""

from __future__ import annotations

import os
import time

from msgspec import Struct

from shareai_cli.types import Attempt, Outcome, Usage, WallClock

_COUNTER_BITS = 21
_LAST_MS = (1 << 42) - 1
_ID_PREFIX = "req_"


class Opened(Struct, frozen=True, array_like=True, gc=False):
    """A request that is about to be sent upstream."""

    request: int
    time_ms: int
    caller_key: int
    team: str
    route: str
    streamed: bool
    prompt_bytes: int
    fingerprint: bytes
    """Salted hash of the prompt; empty where no prompt was understood."""


class Closed(Struct, frozen=True, array_like=True, gc=False):
    """How a request ended. It says all of it again, so that it stands without its `Opened`."""

    request: int
    time_ms: int
    """When the request came, as in its `Opened`."""
    caller_key: int
    team: str
    route: str
    target: str
    """`provider/model` of who answered, or of the last one asked; empty where nobody was."""
    price_as: str
    """The provider's name among the prices; empty where it has none."""
    model: str
    """The model as the provider calls it."""
    provider_key: str
    """Fingerprint of the provider's key, never the key."""
    status: int
    streamed: bool
    outcome: Outcome
    error: str
    attempts: tuple[Attempt, ...]
    usage: Usage | None
    """The upstream's own counts; None where it gave none."""
    prompt_bytes: int
    completion_bytes: int
    first_token_us: int
    """0 where no content came."""
    total_us: int
    fingerprint: bytes


Entry = Opened | Closed


class RequestIds:
    """Gives every request of this ledger a number of its own: 63 bits that only grow.

    A number holds the millisecond and a counter that starts at random. A clock that goes back changes
    nothing while the process lives; `newest` (the largest number that the ledger holds) makes that true of
    restarts too.
    """

    __slots__ = ("_last", "_start", "_wall_clock", "now_ms")

    def __init__(self, wall_clock: WallClock = time.time, newest: int = 0) -> None:
        self._wall_clock = wall_clock
        self._start = int.from_bytes(os.urandom(4)) >> (32 - _COUNTER_BITS + 1)
        self._last = newest
        self.now_ms = 0
        """The time of day at which the last number was given."""

    def next(self) -> int:
        """Return a number that no request had before."""
        self.now_ms = now_ms = int(self._wall_clock() * 1000)
        if not 0 <= now_ms <= _LAST_MS:
            now_ms = min(max(now_ms, 0), _LAST_MS)
        number = now_ms << _COUNTER_BITS | self._start
        if number <= self._last:
            number = self._last + 1
        self._last = number
        return number


def first_number(time_ms: int) -> int:
    """Return the least number that a request can have that came at a time, or later."""
    return max(time_ms, 0) << _COUNTER_BITS


def public_id(request: int) -> str:
    """Return a request's number as headers and screens show it."""
    return _ID_PREFIX + request.to_bytes(8).hex()


def parse_public_id(text: str) -> int | None:
    """Return the number that `public_id` shows so; None where the text is no such id."""
    digits = text.removeprefix(_ID_PREFIX)
    if len(digits) != 16 or digits == text or not digits.isascii() or not digits.isalnum():
        return None
    try:
        return int(digits, 16)
    except ValueError:
        return None
