"""The pages of the admin API on what was used: reports, courses over time, prompts, budgets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

from msgspec import Meta, Struct

from shareai_cli.gateway.admin_reading import decode_query
from shareai_cli.gateway.administration import Administration
from shareai_cli.types import LATEST_MS, Grouping, SlotLength, UsageReport, UsageSeries
from shareai_cli.wire.message import Request

Page = Callable[[Request], Awaitable[object]]

_Moment = Annotated[int, Meta(ge=0, le=LATEST_MS)]


class _UsageQuery(Struct, frozen=True):
    by: Grouping | None = None
    since_ms: _Moment | None = None


class _SeriesQuery(Struct, frozen=True, forbid_unknown_fields=True):
    slot: SlotLength
    since_ms: _Moment
    until_ms: _Moment
    by: Grouping | None = None


class _PromptsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    since_ms: _Moment | None = None
    limit: Annotated[int, Meta(ge=0)] = 20


class UsagePages:
    """Answers from the accounts; `settled` is awaited first, so that they have what has ended."""

    def __init__(self, admin: Administration, settled: Callable[[], Awaitable[None]]) -> None:
        self._admin = admin
        self._settled = settled
        self.pages: Mapping[str, dict[str, Page]] = {
            "/usage": {"GET": self._usage},
            "/usage/series": {"GET": self._series},
            "/usage/prompts": {"GET": self._prompts},
            "/budgets": {"GET": self._budgets},
        }

    def __repr__(self) -> str:
        return f"<UsagePages {', '.join(self.pages)}>"

    async def _usage(self, request: Request) -> UsageReport:
        asked = decode_query(request, _UsageQuery)
        await self._settled()
        return await asyncio.to_thread(self._admin.usage, asked.by, asked.since_ms)

    async def _series(self, request: Request) -> UsageSeries:
        asked = decode_query(request, _SeriesQuery)
        await self._settled()
        return await asyncio.to_thread(
            self._admin.usage_series, asked.by, asked.slot, asked.since_ms, asked.until_ms
        )

    async def _prompts(self, request: Request) -> Mapping[str, object]:
        asked = decode_query(request, _PromptsQuery)
        await self._settled()
        return {"prompts": await asyncio.to_thread(self._admin.dearest_prompts, asked.since_ms, asked.limit)}

    async def _budgets(self, _request: Request) -> Mapping[str, object]:
        await self._settled()
        return {"budgets": await asyncio.to_thread(self._admin.budgets)}
