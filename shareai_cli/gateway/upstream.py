"""One attempt: a request sent to one target with one key, and its reply judged.

Replies pass through byte for byte. A stream is held back until its first content, so that a target that
fails before can be replaced; from then on it is relayed event by event while a tap reads along.
"""

from __future__ import annotations

import time

from msgspec import Struct

from shareai_cli.config import TimeLimits
from shareai_cli.errors import MalformedReply, TruncatedReply, UpstreamError, UpstreamTimeout
from shareai_cli.gateway.body import encode_fields, raw_string
from shareai_cli.gateway.endpoints import Endpoint, EndpointKey
from shareai_cli.gateway.exchange import (
    EVENTS_TYPE,
    JSON_LINE,
    NO_CACHE,
    Exchange,
    Headers,
    Reply,
    with_stream_usage,
)
from shareai_cli.gateway.kinds import CHAT, EMBEDDING, Kind
from shareai_cli.gateway.relay import Broken, Relay
from shareai_cli.gateway.tap import EventKind, classify_event, completion_usage, embeddings_usage
from shareai_cli.gateway.verdict import FAILED, Effect, Verdict, beside_chat, judge, message_of
from shareai_cli.types import NODE, Attempt, Clock, Target, WallClock
from shareai_cli.wire.client import Reply as UpstreamReply
from shareai_cli.wire.client import Timeouts
from shareai_cli.wire.sse import EventSplitter

REPLY_BYTES = 64 << 20
ERROR_BYTES = 1 << 20
HELD_BYTES = 1 << 20
"""Bounds on a buffered reply, on an error's body, and on the events of a stream before its content."""

ERROR_GAP = 5.0
"""Seconds that an error's body may be silent: its status is known, and the next target waits."""


class Failure(Struct, frozen=True):
    """An attempt that gave no answer: what follows from it, and why, in words without secrets."""

    verdict: Verdict
    reason: str


class Upstream:
    """Sends attempts and judges their replies."""

    def __init__(self, clock: Clock, wall_clock: WallClock = time.time) -> None:
        self._clock = clock
        self._wall_clock = wall_clock

    async def attempt(
        self,
        exchange: Exchange,
        endpoint: Endpoint,
        target: Target,
        key: EndpointKey,
        began: float,
        remaining: float,
        broken: Broken | None,
    ) -> Reply | Failure:
        """Ask `target` with `key` within `remaining` seconds from now; the attempt is noted on the exchange.

        `broken` is told where a stream fails after its first content.
        """
        streamed, fields, asks_usage = exchange.streamed, exchange.fields, False
        kind = exchange.kind
        fields["model"] = raw_string(target.model)
        timeouts = endpoint.timeouts
        if streamed:
            timeouts = endpoint.stream_timeouts
            asks_usage = not exchange.wants_usage and endpoint.stream_usage
            if asks_usage:
                fields = with_stream_usage(fields)
        exchange.target = name = target.name
        exchange.target_model = target.model
        exchange.provider_key = key.fingerprint
        exchange.price_as = endpoint.price_as
        reply: UpstreamReply | None = None
        answered = False
        outcome, status = "cancelled", 0
        try:
            if remaining < timeouts.total:
                timeouts = _cut(timeouts, remaining)
            head = key.head if kind is CHAT else key.heads[kind.path]
            reply = await endpoint.pool.send(head, encode_fields(fields), timeouts)
            status = reply.status
            if not 200 <= status < 300:
                result = await self._refused(endpoint, reply, key, kind)
                outcome = "status"
            elif streamed:
                result = await self._stream(exchange, endpoint, reply, began, asks_usage, broken)
                outcome = "ok"
            else:
                body = reply.whole(REPLY_BYTES) if reply.complete else await reply.read(REPLY_BYTES)
                if kind is EMBEDDING:
                    exchange.usage = embeddings_usage(body)  # and its bytes are no tokens
                else:
                    exchange.usage = completion_usage(body)
                    exchange.completion_bytes = len(body)
                result = Reply(status, [], body, JSON_LINE)
                outcome = "ok"
            answered = isinstance(result, Reply)
            return result
        except UpstreamError as error:
            outcome = error.outcome
            return Failure(FAILED, error.message)
        finally:
            if reply is not None and not answered:
                reply.abort()
            spent = int((self._clock() - began) * 1e6)
            price_as = "" if answered else endpoint.price_as
            exchange.attempts.append(Attempt(name, key.fingerprint, outcome, status, spent, price_as))
            exchange.answered = answered

    async def _refused(
        self, endpoint: Endpoint, reply: UpstreamReply, key: EndpointKey, kind: Kind
    ) -> Reply | Failure:
        """Judge a reply that is not 2xx; only what is the client's own fault is passed back."""
        body, unread = b"", None
        try:
            body = await reply.read(ERROR_BYTES, ERROR_GAP)
        except UpstreamError as error:
            unread = error  # its status alone says what follows
        verdict = judge(reply.status, reply.headers, body, self._wall_clock())
        if kind is not CHAT:
            verdict = beside_chat(reply.status, verdict)
        if verdict.effect is not Effect.REFUSED:
            return Failure(verdict, _reason(endpoint, reply.status, body, verdict))
        if unread is not None:
            raise unread
        headers: Headers = [(b"content-type", key.hide(_content_type(reply))), (b"x-should-retry", b"false")]
        return Reply(reply.status, headers, key.hide(body))

    async def _stream(
        self,
        exchange: Exchange,
        endpoint: Endpoint,
        reply: UpstreamReply,
        began: float,
        asks_usage: bool,
        broken: Broken | None,
    ) -> Reply:
        """Hold a stream back until its first content, and hand it over to be relayed."""
        splitter = EventSplitter()
        limits = endpoint.limits
        held = await self._until_content(reply, splitter, limits)
        exchange.first_content_at = self._clock()
        relay = Relay(
            exchange,
            reply,
            splitter,
            held,
            limits.gap,
            self._clock,
            began,
            hide_usage=asks_usage,
            broken=broken,
        )
        return Reply(reply.status, [EVENTS_TYPE, NO_CACHE], relay)

    async def _until_content(
        self, reply: UpstreamReply, splitter: EventSplitter, limits: TimeLimits
    ) -> list[bytes]:
        """Return the events up to and with those that came together with the first content."""
        latest = self._clock() + limits.content
        held: list[bytes] = []
        size, is_first = 0, True
        while True:
            left = latest - self._clock()
            if left <= 0:
                raise UpstreamTimeout(f"no content within {limits.content:g} s", phase="content")
            piece = await reply.next(min(left, limits.gap))
            if not piece:
                raise TruncatedReply("the stream ended before any content")
            if is_first:
                _check_is_stream(piece)
                is_first = False
            events = splitter.feed(piece)
            held += events
            if any(_is_content(event) for event in events):
                return held
            size += sum(map(len, events))
            if size > HELD_BYTES:
                raise MalformedReply(f"no content within the stream's first {HELD_BYTES >> 10} KiB")


def _cut(timeouts: Timeouts, remaining: float) -> Timeouts:
    return Timeouts(timeouts.connect, min(timeouts.head, remaining), remaining)


def _is_content(event: bytes) -> bool:
    kind = classify_event(event)
    if kind == EventKind.ERROR:
        raise MalformedReply("the stream began with an error event")
    if kind == EventKind.DONE:
        raise TruncatedReply("the stream ended before any content")
    return kind == EventKind.CONTENT


def _check_is_stream(piece: bytes) -> None:
    """Refuse a 200 that holds JSON or HTML where events were asked for, whatever its type says."""
    if piece.lstrip()[:1] in (b"{", b"<", b"["):
        raise MalformedReply("HTTP 200 without an event stream in its body")


def _reason(endpoint: Endpoint, status: int, body: bytes, verdict: Verdict) -> str:
    """Say why a target could not answer; a provider's own words stay out, as they may repeat a key."""
    if verdict.effect is Effect.SHELVE_KEY and status not in (401, 402):
        return f"the quota is spent (HTTP {status})"
    told = message_of(body) if endpoint.name == NODE else ""
    return f"HTTP {status}: {told}" if told else f"HTTP {status}"


def _content_type(reply: UpstreamReply) -> bytes:
    content_type = reply.headers.get(b"content-type", b"application/json")
    return content_type if len(content_type) <= 200 else b"application/json"
