"""The pages of the admin API on what is ordered of targets and nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from shareai_cli.client import OVERRIDES
from shareai_cli.config import RouteSettings
from shareai_cli.gateway.admin_reading import decode_body
from shareai_cli.gateway.administration import Administration
from shareai_cli.gateway.overrides import check_node, check_target
from shareai_cli.overrides import NodeOrder, NodeOverride, Overrides, TargetOrder, TargetOverride
from shareai_cli.wire.message import Request

Page = Callable[[Request], Awaitable[object]]


class Overridden(Protocol):
    """What goes by the orders."""

    @property
    def routes(self) -> Mapping[str, RouteSettings]:
        """The routes as they are declared."""

    async def override(self, read: Callable[[], Overrides]) -> None:
        """Go by what `read` returns from the next request on; raises what that raises."""


class OverridePages:
    """Answers in the name of whoever `by` says that asks."""

    def __init__(self, by: Callable[[Request], Administration], overridden: Overridden) -> None:
        self._by = by
        self._overridden = overridden
        self.pages: Mapping[str, dict[str, Page]] = {
            OVERRIDES: {"GET": self._list},
            f"{OVERRIDES}/targets": {"PATCH": self._override_target},
            f"{OVERRIDES}/nodes": {"PATCH": self._override_node},
        }

    def __repr__(self) -> str:
        return f"<OverridePages {', '.join(self.pages)}>"

    async def _list(self, request: Request) -> Overrides:
        return await asyncio.to_thread(self._by(request).overrides)

    async def _override_target(self, request: Request) -> TargetOverride:
        order = decode_body(request, TargetOrder)
        by = self._by(request)
        former = await asyncio.to_thread(by.overrides)
        check_target(self._overridden.routes, order.route, order.target, former)
        ordered = await asyncio.to_thread(by.override_target, order)
        await self._overridden.override(by.overrides)
        return ordered

    async def _override_node(self, request: Request) -> NodeOverride:
        order = decode_body(request, NodeOrder)
        check_node(order.node)
        by = self._by(request)
        ordered = await asyncio.to_thread(by.override_node, order)
        await self._overridden.override(by.overrides)
        return ordered
