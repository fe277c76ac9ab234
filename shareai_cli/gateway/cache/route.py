"""The cache of one route: what is kept, what is under way, and what becomes of a request."""

from __future__ import annotations

import re
from collections.abc import Coroutine
from functools import partial
from typing import Any

from shareai_cli.config import CacheSettings, RouteSettings
from shareai_cli.gateway.cache.call import SharedCall
from shareai_cli.gateway.cache.directives import directives
from shareai_cli.gateway.cache.disk import Disk
from shareai_cli.gateway.cache.key import LARGEST_BODY, RequestKeys
from shareai_cli.gateway.cache.memory import Memory
from shareai_cli.gateway.cache.recording import Listener, Recording, Room
from shareai_cli.gateway.exchange import Exchange, Handler, Reply, Replying
from shareai_cli.ledger import KeptReply
from shareai_cli.types import CacheUse, Outcome, WallClock
from shareai_cli.wire.message import PushedBody

HIT = b"x-shareai-cache: hit\r\n"
MISS = b"x-shareai-cache: miss\r\n"
JOINED = b"x-shareai-cache: joined\r\n"

LARGEST_REPLY = 8 << 20
"""Bytes of a reply that is kept, or joined late; a larger one only passes."""

_failed_choice = re.compile(rb'"finish_reason"\s*:\s*"error"').search


class RouteCache:
    """What one route keeps, as its settings say."""

    def __init__(
        self, salt: bytes, route: RouteSettings, settings: CacheSettings, room: Room, disk: Disk | None,
        wall_clock: WallClock,
    ) -> None:  # fmt: skip
        self._salt = salt
        self._name = route.name
        self._room = room
        self._disk = disk
        self._wall_clock = wall_clock
        self._memory = Memory(settings.size)
        self._calls: dict[bytes, SharedCall] = {}
        """Calls under way that can be joined."""
        self._hits = self._joined = self._misses = 0
        self.take_up(route, settings)

    def __repr__(self) -> str:
        return f"<RouteCache {self._name} {self._memory!r}, under way: {len(self._calls)}>"

    def take_up(self, route: RouteSettings, settings: CacheSettings) -> None:
        """Go by changed settings; what other targets answered is found no more."""
        targets = [one.target.name for one in route.targets]
        self._settings: CacheSettings = settings
        self._keys = RequestKeys(self._salt, route.name, targets, is_shared=settings.shared)
        self._memory.limit(settings.size)

    def use(self) -> CacheUse:
        """Tell what is in memory, and how much use it was."""
        return CacheUse(
            self._name,
            replies=len(self._memory),
            size=self._memory.size,
            hits=self._hits,
            joined=self._joined,
            misses=self._misses,
        )

    def clear(self) -> None:
        """Forget what is in memory, and keep nothing of what is under way."""
        self._memory.clear()
        self._calls.clear()

    def handle(self, exchange: Exchange, inner: Handler) -> Replying:
        """Answer a request with what is kept, else with a call that it joins or leads."""
        request, caller, key = exchange.request, exchange.caller, None
        wanted = directives(request.headers)
        if not wanted.unkept and len(request.body) <= LARGEST_BODY and caller is not None:
            key = self._keys.of(caller.team, exchange.streamed, exchange.fields, request.body)
        if key is None:
            self._misses += 1
            return _marked(inner(exchange), MISS)
        if not wanted.anew:
            kept = self._memory.find(key, *self._valid(exchange))
            if kept is not None:
                return self._hit(exchange, kept)
        return self._share(exchange, inner, key, wanted.anew)

    def _valid(self, exchange: Exchange) -> tuple[int, int]:
        """Return from when to when a reply has to have been kept to be given now."""
        return exchange.time_ms - int(self._settings.age * 1000), exchange.time_ms

    def _hit(self, exchange: Exchange, kept: KeptReply) -> Replying:
        self._hits += 1
        exchange.route = self._name
        exchange.target, exchange.answered = kept.target, True
        exchange.target_model = kept.target.partition("/")[2]
        exchange.status = kept.status
        body: bytes | PushedBody
        if kept.streamed:
            body = Listener(exchange, Recording(kept.pieces), Outcome.HIT)
        else:
            [body] = kept.pieces
            exchange.completion_bytes = len(body)
            exchange.settle(Outcome.HIT)
        return _given(Reply(kept.status, list(kept.headers), body, kept.lines + HIT))

    async def _share(self, exchange: Exchange, inner: Handler, key: bytes, anew: bool) -> Reply:
        """Join the call that is under way, or lead one; what others' limits make of their calls is theirs."""
        for alone in (anew, anew, True):
            call = None if alone else self._calls.get(key)
            if call is None or not call.can_be_joined:
                break
            listener = await call.share(exchange)
            if not call.is_its_leaders:
                return await self._answered(exchange, listener, call, JOINED)
            if listener is not None:
                listener.leave()
        call = self._calls[key] = self._lead(exchange, inner, key, anew)
        return await self._answered(exchange, await call.share(exchange), call, MISS)

    async def _answered(
        self, exchange: Exchange, listener: Listener | None, call: SharedCall, mark: bytes
    ) -> Reply:
        if call.kept is not None:
            return await self._hit(exchange, call.kept)
        if mark is JOINED:
            self._joined += 1
        else:
            self._misses += 1
        return _reply(exchange, listener, call, mark)

    def _lead(self, exchange: Exchange, inner: Handler, key: bytes, anew: bool) -> SharedCall:
        find = None
        if not anew and self._disk is not None and self._settings.disk:
            find = partial(self._disk.find, key, *self._valid(exchange))
        most = min(self._settings.size, LARGEST_REPLY)
        return SharedCall(
            exchange, inner, find=find, room=self._room, most=most, over=partial(self._over, key)
        )

    def _over(self, key: bytes, call: SharedCall) -> None:
        """Let nobody join any more; keep the reply unless it was forgotten meanwhile."""
        if self._calls.get(key) is not call:
            return
        del self._calls[key]
        if call.kept is not None:
            self._memory.keep(key, call.kept)
        elif (reply := self._kept(call)) is not None:
            self._memory.keep(key, reply)
            settings = self._settings
            if self._disk is not None and settings.disk:
                since_ms = reply.kept_ms - int(settings.age * 1000)
                self._disk.keep(key, self._name, reply, most=settings.disk, since_ms=since_ms)

    def _kept(self, call: SharedCall) -> KeptReply | None:
        """Return what is kept of a call: all of a complete 2xx, unless it was shortened."""
        reply, pieces = call.reply, call.pieces
        if reply is None or pieces is None or call.outcome is not Outcome.OK or call.exchange.shortened:
            return None
        if not 200 <= reply.status < 300 or sum(map(len, pieces)) > LARGEST_REPLY:
            return None
        streamed = isinstance(reply.body, PushedBody)
        if not streamed and _has_failed(pieces[0]):
            return None
        return KeptReply(
            reply.status,
            tuple(reply.headers),
            reply.lines,
            tuple(pieces),
            streamed,
            call.exchange.target,
            int(self._wall_clock() * 1000),
        )


def _has_failed(body: bytes) -> bool:
    """Tell whether a completion says that an error ended it; most have no such word, which is soon found."""
    return b'"error"' in body and _failed_choice(body) is not None


def _reply(exchange: Exchange, listener: Listener | None, call: SharedCall, mark: bytes) -> Reply:
    """Return one client's reply of a call that came to one; raises what the call did."""
    made = call.exchange
    exchange.route, exchange.target, exchange.target_model = made.route, made.target, made.target_model
    exchange.answered = made.answered
    reply = call.reply
    if reply is None:
        raise call.error or RuntimeError("a call without a reply")
    if listener is not None:
        return Reply(reply.status, list(reply.headers), listener, reply.lines + mark)
    if mark is JOINED and reply.status < 400:
        exchange.status = reply.status
        exchange.completion_bytes = made.completion_bytes
        exchange.settle(Outcome.JOINED)
    return Reply(reply.status, list(reply.headers), reply.body, reply.lines + mark)


async def _given(reply: Reply) -> Reply:
    return reply


async def _marked(replying: Coroutine[Any, Any, Reply], mark: bytes) -> Reply:
    reply = await replying
    reply.lines += mark
    return reply
