"""Tells a URL of a person's what happens: signed as Standard Webhooks has it, retried, bounded.

Each event is `{"type": ..., "timestamp": ..., "data": {...}}`. Its `webhook-signature` is `v1,` and the
base64 of the HMAC-SHA256 of `webhook-id.webhook-timestamp.body` (standardwebhooks.com). An id stays the same
over all tries, so that a receiver can tell what it has seen. Nothing waits for any of this.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from shareai_cli import __version__
from shareai_cli.config import WebhookSettings
from shareai_cli.config.webhook import shown_url, signing_key
from shareai_cli.errors import UpstreamError
from shareai_cli.gateway.pools import PoolFactory
from shareai_cli.types import WallClock
from shareai_cli.wire.client import Origin, Pool, Timeouts, parse_base_url

MOST_WAITING: Final = 200
"""Events that wait to be sent; of more the oldest is dropped."""

WAITS: Final = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Seconds before each further try of an event."""

PATIENCE: Final = Timeouts(connect=10, head=15, total=20)

GONE: Final = 410
"""The status by which a receiver says that it wants no more: that event is not tried again."""

_STATUS: Final = "it answered HTTP {}"


class Event(Struct, frozen=True):
    """One thing that happened, as it is sent."""

    identity: str
    kind: str
    body: bytes


class Receiver:
    """Where events go, and the key that signs them, which cannot be printed."""

    __slots__ = ("_head", "_key", "pool", "shown")

    def __init__(self, settings: WebhookSettings, key: bytes, pool: Pool) -> None:
        parts = urlsplit(settings.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._head = (
            f"POST {target} HTTP/1.1\r\nHost: {_origin_of(settings).authority}\r\n"
            f"Content-Type: application/json\r\nAccept: */*\r\nUser-Agent: shareai/{__version__}\r\n"
        ).encode("ascii")
        self._key = key
        self.pool = pool
        self.shown = shown_url(settings.url)

    def __repr__(self) -> str:
        return f"<Receiver {self.shown}>"

    def head(self, event: Event, now: int) -> bytes:
        """Return the head of the request that tells of an event, `now` in seconds since 1970."""
        signed = b"%b.%d.%b" % (event.identity.encode("ascii"), now, event.body)
        signature = base64.b64encode(hmac.digest(self._key, signed, "sha256"))
        return b"%bwebhook-id: %b\r\nwebhook-timestamp: %d\r\nwebhook-signature: v1,%b\r\n" % (
            self._head,
            event.identity.encode("ascii"),
            now,
            signature,
        )


class Webhook:
    """Sends events one after another in a task of its own, from `start` to `close`."""

    def __init__(
        self,
        make_pool: PoolFactory,
        notice: Callable[[str], None],
        *,
        wall_clock: WallClock = time.time,
        waits: Sequence[float] = WAITS,
        patience: Timeouts = PATIENCE,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """Tell `notice` once when the receiver cannot be told, and not again until it could."""
        self._make_pool = make_pool
        self._notice = notice
        self._wall_clock = wall_clock
        self._waits = waits
        self._patience = patience
        self._most_waiting = most_waiting
        self._receiver: Receiver | None = None
        self._waiting: deque[Event] = deque()
        self._sending: Event | None = None
        self._has_told = False
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.problem: str | None = None
        """Why the receiver was not told of the latest event; None where it was."""
        self.lost = 0
        """Events since the start that it was never told of."""

    def __repr__(self) -> str:
        return f"<Webhook to {self._receiver!r} [waiting: {len(self._waiting)}, lost: {self.lost}]>"

    async def prepare(self, settings: WebhookSettings | None, environ: Mapping[str, str]) -> Receiver | None:
        """Return the receiver that settings name, nothing being changed yet; raises `ConfigurationError`."""
        if settings is None:
            return None
        key = await asyncio.to_thread(signing_key, settings, environ)
        return Receiver(settings, key, self._make_pool(_origin_of(settings), settings.egress))

    async def take_up(self, receiver: Receiver | None) -> None:
        """Tell another receiver from now on, or none; what waits goes to the new one, at once."""
        former, self._receiver = self._receiver, receiver
        if receiver is None:
            self._waiting.clear()
            self.problem, self._has_told = None, False
        self._news.set()
        if former is not None:
            await former.pool.close()

    def send(self, kind: str, data: Mapping[str, object]) -> None:
        """Have the receiver told, where there is one; never waits and never raises.

        `data` becomes JSON: no secret may be in it.
        """
        if self._receiver is None:
            return
        now = datetime.fromtimestamp(self._wall_clock(), UTC).isoformat().replace("+00:00", "Z")
        body = msgspec.json.encode({"type": kind, "timestamp": now, "data": data})
        self._waiting.append(Event(f"msg_{secrets.token_urlsafe(18)}", kind, body))
        if len(self._waiting) > self._most_waiting:
            self._waiting.popleft()
            self._lose("too many events wait to be told")
        self._news.set()

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """End the task; says how many events nobody was told of."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        untold = len(self._waiting) + (self._sending is not None)
        if untold:
            self._notice(f"The webhook was not told of {untold} events, as the gateway ends.")
        self._waiting.clear()
        self._sending = None
        if self._receiver is not None:
            self._receiver.pool.abort()
            await self._receiver.pool.close()

    async def _work(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                self._sending = event = self._waiting.popleft()
                await self._tell(event)
                self._sending = None

    async def _tell(self, event: Event) -> None:
        """Tell of an event, as often as it takes or may."""
        reason = ""
        for wait in (0.0, *self._waits):
            if wait:
                await self._pause(wait)
            if (receiver := self._receiver) is None:
                return
            failure = await self._try(receiver, event)
            if failure is None:
                self.problem, self._has_told = None, False
                return
            reason = failure
            self.problem = f"{receiver.shown} was not told of '{event.kind}': {reason}"
            if reason == _STATUS.format(GONE):
                break
        self._lose(reason)

    async def _pause(self, seconds: float) -> None:
        """Wait before the next try; a changed receiver is tried at once."""
        former, time_now = self._receiver, asyncio.get_running_loop().time
        until = time_now() + seconds
        while self._receiver is former and (left := until - time_now()) > 0:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._news.wait()

    async def _try(self, receiver: Receiver, event: Event) -> str | None:
        """Send an event once; returns why the receiver did not take it. Redirects are not followed."""
        try:
            head = receiver.head(event, int(self._wall_clock()))
            reply = await receiver.pool.send(head, event.body, self._patience)
        except UpstreamError as error:
            return error.message
        reply.abort()
        return None if 200 <= reply.status < 300 else _STATUS.format(reply.status)

    def _lose(self, reason: str) -> None:
        """Count an event that nobody is told of, and say so once until one is taken again."""
        self.lost += 1
        shown = self._receiver.shown if self._receiver is not None else ""
        self.problem = (
            f"{shown} was not told of {self.lost} events since the start; the latest reason: {reason}"
        )
        if not self._has_told:
            self._has_told = True
            self._notice(f"The webhook {shown} is not told of what happens: {reason}.")


def _origin_of(settings: WebhookSettings) -> Origin:
    return parse_base_url(settings.url.partition("?")[0])[0]
