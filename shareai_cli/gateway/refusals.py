"""Refusals that a person should be able to look up become rows of the audit: who, when, from where, why.

A flood of them fills no disk: each key and reason has at most one row an hour, which says how many there were
since the row before. Malformed requests are the client's own business, and keys that nobody ever had are
counted by auth alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

from msgspec import Struct

from shareai_cli.errors import AuthenticationFailed, LedgerUnavailable, ShareAIError
from shareai_cli.gateway.audit_queue import AuditQueue
from shareai_cli.gateway.auth import LONGEST_KEY, presented_key
from shareai_cli.ledger import EndedKey
from shareai_cli.secrets import conceal, digest
from shareai_cli.types import Actor, Caller, WallClock
from shareai_cli.wire.message import Request

KEY_REFUSED: Final = "key.refuse"
ADMIN_REFUSED: Final = "admin.refuse"

MATTERING: Final = frozenset(
    {
        "model_not_allowed",
        "permission_denied",
        "rate_limit_exceeded",
        "insufficient_quota",
        "price_unknown",
    }
)
"""Codes of errors by which a known key is refused what it may not have, or has no more of."""

HOUR: Final = 3600.0

MOST_SUBJECTS: Final = 1000
"""Subjects and reasons that have rows of their own within an hour; others share one."""

MOST_PRESENTED: Final = 256
"""Keys that are looked up at once; of what comes beyond them within a second nobody is told."""

SWEEP_SECONDS: Final = 60.0
LOOKUP_SECONDS: Final = 1.0

Find = Callable[[Collection[bytes]], Mapping[bytes, EndedKey]]
"""Returns whose keys these digests are, all of which are not valid; may wait. Raises `LedgerUnavailable`."""


class Refusal(Struct, frozen=True):
    """What a row says of them."""

    reason: str
    message: str
    """Of the latest one."""
    number: int
    """How many there were since the row before."""


class _Count:
    """Refusals of one subject for one reason."""

    __slots__ = ("again_at", "by", "message", "untold")

    def __init__(self, by: Actor, message: str) -> None:
        self.by = by
        self.message = message
        self.again_at = 0.0
        self.untold = 0


class Refusals:
    """Counts refusals and has rows written of them."""

    def __init__(self, audit: AuditQueue, find: Find, wall_clock: WallClock = time.time) -> None:
        self._audit = audit
        self._find = find
        self._wall_clock = wall_clock
        self._counts: dict[tuple[str, str, str], _Count] = {}
        self._presented: dict[bytes, tuple[int, str]] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Refusals [counting: {len(self._counts)}]>"

    def of_request(self, request: Request, caller: Caller | None, error: ShareAIError) -> None:
        """Take in that a client's request was refused, or failed; never waits."""
        if caller is not None:
            if error.code in MATTERING:
                by = _client(caller.key_name, request.peer)
                self.note(by, KEY_REFUSED, caller.key_name, str(error.code), error.message)
        elif isinstance(error, AuthenticationFailed):
            self._take_in(request)

    def of_admin(self, request: Request, error: ShareAIError) -> None:
        """Take in that the admin interface refused a request: a wrong token, or a browser."""
        reason = "wrong token" if isinstance(error, AuthenticationFailed) else "browser"
        by = Actor("unknown", f"admin API from {request.peer or 'an unknown address'}")
        self.note(by, ADMIN_REFUSED, "admin API", reason, error.message)

    def note(self, by: Actor, action: str, subject: str, reason: str, message: str, number: int = 1) -> None:
        """Count refusals; the first within an hour, by subject and reason, has its row at once."""
        name = (action, subject, reason)
        count = self._counts.get(name)
        if count is None:
            if len(self._counts) >= MOST_SUBJECTS:
                name = (action, "others", reason)
            count = self._counts.setdefault(name, _Count(by, message))
        count.by, count.message = by, message
        count.untold += number
        self._tell(name, count)

    def sweep(self) -> None:
        """Write rows of what was counted since a row that is an hour old, and forget what is over."""
        for name, count in list(self._counts.items()):
            if count.untold:
                self._tell(name, count)
            elif self._wall_clock() >= count.again_at:
                del self._counts[name]

    def start(self) -> None:
        """Begin to look up whose keys were presented that are valid no more."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """End the task, and have the rest written."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        for name, count in self._counts.items():
            if count.untold:
                self._write(name, count)

    def _tell(self, name: tuple[str, str, str], count: _Count) -> None:
        now = self._wall_clock()
        if not 0 < count.again_at - now <= HOUR:  # a clock that was set back is no reason for silence
            count.again_at = now + HOUR
            self._write(name, count)

    def _write(self, name: tuple[str, str, str], count: _Count) -> None:
        action, subject, reason = name
        number, count.untold = count.untold, 0
        self._audit.add(count.by, action, subject, Refusal(reason, conceal(count.message), number))

    def _take_in(self, request: Request) -> None:
        """Keep a key that is not valid until it was looked up."""
        key = presented_key(request.headers)
        if not key or len(key) > LONGEST_KEY:
            return
        name = digest(key)
        known = self._presented.get(name)
        if known is None and len(self._presented) >= MOST_PRESENTED:
            return
        self._presented[name] = ((known[0] if known is not None else 0) + 1, request.peer)
        self._news.set()

    async def _work(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_SECONDS):
                    await self._news.wait()
            self._news.clear()
            await self.look_up()
            self.sweep()
            await asyncio.sleep(LOOKUP_SECONDS)

    async def look_up(self) -> None:
        """Count the refusals of keys that were valid once."""
        presented, self._presented = self._presented, {}
        if not presented:
            return
        try:
            found = await asyncio.to_thread(self._find, presented)
        except LedgerUnavailable:
            return  # the accounts tell of that themselves
        for name, ended in found.items():
            number, peer = presented[name]
            message = f"The key is {ended.reason}."
            self.note(_client(ended.name, peer), KEY_REFUSED, ended.name, ended.reason, message, number)


def _client(name: str, peer: str) -> Actor:
    return Actor(f"key/{name}", f"public API from {peer or 'an unknown address'}")
