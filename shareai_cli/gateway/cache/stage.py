"""The stage: requests to routes that have a cache go through it, all others go on untouched."""

from __future__ import annotations

import time
from collections.abc import Mapping

from msgspec.structs import replace

from shareai_cli.config import RouteSettings
from shareai_cli.gateway.cache.disk import Disk, Notice
from shareai_cli.gateway.cache.recording import Room
from shareai_cli.gateway.cache.route import RouteCache
from shareai_cli.gateway.exchange import Exchange, Handler, Replying
from shareai_cli.ledger import Replies
from shareai_cli.ledger.replies import no_such_cache
from shareai_cli.types import CacheUse, WallClock

UNDER_WAY_BYTES = 64 << 20
"""What calls that are under way may hold so that late clients can join; beyond, they only pass."""


class Cache:
    """The caches of all routes that have one."""

    def __init__(
        self,
        salt: bytes,
        *,
        replies: Replies | None = None,
        notice: Notice | None = None,
        wall_clock: WallClock = time.time,
    ) -> None:
        """`replies` is the file of those routes that keep replies there."""
        self._salt = salt
        self._wall_clock = wall_clock
        self._disk = Disk(replies, notice) if replies is not None else None
        self._room = Room(UNDER_WAY_BYTES)
        self._routes: dict[str, RouteCache] = {}

    def __repr__(self) -> str:
        return f"<Cache {list(self._routes.values())}>"

    @property
    def is_on(self) -> bool:
        """Whether any route has a cache."""
        return bool(self._routes)

    def take_up(self, routes: Mapping[str, RouteSettings]) -> None:
        """Go by the configuration; what it does not want kept any more is forgotten."""
        former, self._routes = self._routes, {}
        for route in routes.values():
            if route.cache is None:
                continue
            kept = former.pop(route.name, None)
            if kept is not None:
                kept.take_up(route, route.cache)
            else:
                kept = RouteCache(self._salt, route, route.cache, self._room, self._disk, self._wall_clock)
            self._routes[route.name] = kept
        for gone in former.values():
            gone.clear()
        if self._disk is not None:
            self._disk.retain([name for name in self._routes if (one := routes[name].cache) and one.disk])

    def stage(self, inner: Handler) -> Handler:
        """Stage: answer with what is kept, or under way, where the route has one; good until `take_up`."""
        find = self._routes.get

        def handle(exchange: Exchange) -> Replying:
            route = find(exchange.model)
            return inner(exchange) if route is None else route.handle(exchange, inner)

        return handle

    async def use(self) -> list[CacheUse]:
        """Tell what is kept, route by route, and how much use it was."""
        stored = {one.route: one for one in await self._disk.stored()} if self._disk is not None else {}
        uses = [route.use() for route in self._routes.values()]
        return [
            replace(one, stored_replies=on_disk.replies, stored_size=on_disk.size)
            if (on_disk := stored.get(one.route)) is not None
            else one
            for one in uses
        ]

    async def clear(self, route: str | None = None) -> list[CacheUse]:
        """Forget every reply, or those of a route, and return what there was; may raise `UsageError`."""
        uses = await self.use()
        if route is not None and route not in self._routes:
            raise no_such_cache(route, list(self._routes))
        cleared = [one for one in uses if route in (None, one.route)]
        for one in cleared:
            if (cache := self._routes.get(one.route)) is not None:
                cache.clear()
        if self._disk is not None:
            await self._disk.clear(route)
        return cleared

    async def close(self) -> None:
        """Write what waits to be written."""
        if self._disk is not None:
            await self._disk.close()
