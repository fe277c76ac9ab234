"""The part of the admin API that is about drills, `/admin/v1/drills`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, TypeVar

from msgspec import Meta, Struct

from shareai_cli.client import Trouble
from shareai_cli.drill_types import (
    DrillRecord,
    DrillSubjects,
    DrillWanted,
    FaultsWanted,
    Scenario,
    ScenarioWanted,
)
from shareai_cli.gateway.admin_reading import decode_body, decode_query
from shareai_cli.gateway.administration import Administration
from shareai_cli.gateway.drills import Drills
from shareai_cli.ledger.drill_changes import Entry
from shareai_cli.types import UsageReport
from shareai_cli.wire.message import Request

Page = Callable[[Request], Awaitable[object]]
Kind = TypeVar("Kind")


DrillKept = Callable[[Entry], None]
"""Told of a drill that was run, and of what it found otherwise than those before."""


class Asked(Struct, frozen=True):
    """How many drills of before are asked for."""

    limit: Annotated[int, Meta(ge=0)] = 20


class Named(Struct, frozen=True):
    """Targets that are to be drilled beside those of the configuration."""

    targets: tuple[str, ...] = ()


class DrillPages:
    """Answers what is asked of drills, in the name that `by` tells."""

    def __init__(
        self,
        drills: Drills,
        by: Callable[[Request], Administration],
        settled: Callable[[], Awaitable[None]],
        kept: DrillKept,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._drills = drills
        self._by = by
        self._settled = settled
        self._kept = kept
        self._clock = clock

    def find(self, path: str) -> Mapping[str, Page] | None:
        """Return the pages of a path below `/drills`, empty for that itself; None where there is none."""
        match [int(part) if _is_number(part) else part for part in path.split("/")[1:]]:
            case []:
                return {"POST": self._begin}
            case ["subjects"]:
                return {"POST": self._subjects}
            case ["history"]:
                return {"GET": self._history, "POST": self._keep}
            case [str(drill)]:
                return {"DELETE": lambda _: self._end(drill)}
            case [str(drill), "usage"]:
                return {"GET": lambda request: self._usage(request, drill)}
            case [str(drill), "scenarios"]:
                return {"POST": lambda request: self._add(request, drill)}
            case [str(drill), "scenarios", int(number)]:
                return {
                    "GET": lambda _: self._standings(drill, number),
                    "DELETE": lambda _: self._drop(drill, number),
                }
            case [str(drill), "scenarios", int(number), "faults"]:
                return {"PUT": lambda request: self._fail(request, drill, number)}
            case [str(drill), "scenarios", int(number), "explain"]:
                return {"POST": lambda request: self._drills.explain(drill, number, request.body)}
        return None

    async def _subjects(self, request: Request) -> DrillSubjects:
        return await self._drills.subjects(decode_body(request, Named).targets)

    async def _begin(self, request: Request) -> Mapping[str, str]:
        drill = await self._drills.begin(decode_body(request, DrillWanted).part_of)
        await asyncio.to_thread(self._by(request).drill_begun, drill)
        return {"id": drill}

    async def _end(self, drill: str) -> Mapping[str, str]:
        await self._drills.end(drill)
        return {"id": drill}

    async def _add(self, request: Request, drill: str) -> Scenario:
        return await self._drills.add(drill, decode_body(request, ScenarioWanted))

    async def _standings(self, drill: str, number: int) -> Mapping[str, object]:
        now = self._clock()
        troubles = [
            Trouble(target, key, standing.state, max(0.0, standing.until - now), standing.reason)
            for target, key, standing in self._drills.standings(drill, number)
        ]
        return {"troubles": troubles}

    async def _fail(self, request: Request, drill: str, number: int) -> Mapping[str, str]:
        self._drills.fail(drill, number, decode_body(request, FaultsWanted).faults)
        return {"id": drill}

    async def _drop(self, drill: str, number: int) -> Mapping[str, str]:
        await self._drills.drop(drill, number)
        return {"id": drill}

    async def _usage(self, request: Request, drill: str) -> UsageReport:
        await self._settled()
        return await asyncio.to_thread(self._by(request).drill_usage, drill)

    async def _history(self, request: Request) -> Mapping[str, object]:
        asked = decode_query(request, Asked)
        return {"drills": await asyncio.to_thread(self._by(request).drill_history, asked.limit)}

    async def _keep(self, request: Request) -> Mapping[str, str]:
        record = decode_body(request, DrillRecord)
        self._kept(await asyncio.to_thread(self._by(request).keep_drill, record))
        return {"id": record.id}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
