"""The pages of the admin API on keys and teams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated
from urllib.parse import unquote

from msgspec import Meta, Struct

from shareai_cli.client import ROTATION, NewKey
from shareai_cli.gateway.admin_reading import decode_body, last_part
from shareai_cli.gateway.administration import Administration
from shareai_cli.types import (
    PLAIN_KEY,
    KeyChanges,
    KeyInfo,
    KeySettings,
    LimitChanges,
    TeamInfo,
    WrittenLimits,
)
from shareai_cli.wire.message import Request

LONGEST_OVERLAP_MS = 366 * 86_400_000
"""How long a key's former secret may stay valid, milliseconds."""

Page = Callable[[Request], Awaitable[object]]


class _KeyWanted(Struct, frozen=True):
    name: str
    settings: KeySettings = PLAIN_KEY


class _Rotation(Struct, frozen=True):
    overlap_ms: Annotated[int, Meta(ge=0, le=LONGEST_OVERLAP_MS)] = 0


class _TeamWanted(Struct, frozen=True):
    name: str
    limits: WrittenLimits = {}


class _TeamChanges(Struct, frozen=True):
    limits: LimitChanges


class AccessPages:
    """Answers in the name of whoever `by` says that asks; `changed` is awaited after a change."""

    def __init__(
        self, by: Callable[[Request], Administration], changed: Callable[[], Awaitable[None]]
    ) -> None:
        self._by = by
        self._changed = changed
        self.pages: Mapping[str, dict[str, Page]] = {
            "/keys": {"GET": self._list_keys, "POST": self._create_key},
            "/teams": {"GET": self._list_teams, "POST": self._create_team},
        }

    def __repr__(self) -> str:
        return f"<AccessPages {', '.join(self.pages)}>"

    def below(self, path: str) -> dict[str, Page] | None:
        """Return the pages of one key or team; None for any other path."""
        if path.startswith("/keys/"):
            if path.endswith(ROTATION):
                return {"POST": self._rotate_key}
            return {"PATCH": self._change_key, "DELETE": self._revoke_key}
        if path.startswith("/teams/"):
            return {"PATCH": self._change_team, "DELETE": self._remove_team}
        return None

    async def _list_keys(self, request: Request) -> Mapping[str, object]:
        return {"keys": await asyncio.to_thread(self._by(request).list_keys)}

    async def _create_key(self, request: Request) -> NewKey:
        wanted = decode_body(request, _KeyWanted)
        made = await asyncio.to_thread(self._by(request).create_key, wanted.name, wanted.settings)
        await self._changed()
        return made

    async def _change_key(self, request: Request) -> KeyInfo:
        name, changes = last_part(request), decode_body(request, KeyChanges)
        changed = await asyncio.to_thread(self._by(request).change_key, name, changes)
        await self._changed()
        return changed

    async def _revoke_key(self, request: Request) -> KeyInfo:
        name = last_part(request)
        revoked = await asyncio.to_thread(self._by(request).revoke_key, name)
        await self._changed()
        return revoked

    async def _rotate_key(self, request: Request) -> NewKey:
        name = unquote(request.path.removesuffix(ROTATION).rpartition("/")[2])
        overlap_ms = decode_body(request, _Rotation).overlap_ms
        made = await asyncio.to_thread(self._by(request).rotate_key, name, overlap_ms)
        await self._changed()
        return made

    async def _list_teams(self, request: Request) -> Mapping[str, object]:
        return {"teams": await asyncio.to_thread(self._by(request).list_teams)}

    async def _create_team(self, request: Request) -> TeamInfo:
        wanted = decode_body(request, _TeamWanted)
        made = await asyncio.to_thread(self._by(request).create_team, wanted.name, wanted.limits)
        await self._changed()
        return made

    async def _change_team(self, request: Request) -> TeamInfo:
        name, limits = last_part(request), decode_body(request, _TeamChanges).limits
        changed = await asyncio.to_thread(self._by(request).change_team, name, limits)
        await self._changed()
        return changed

    async def _remove_team(self, request: Request) -> TeamInfo:
        removed = await asyncio.to_thread(self._by(request).remove_team, last_part(request))
        await self._changed()
        return removed
