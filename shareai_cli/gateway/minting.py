"""Keys that keys make: `/v1/keys`, for keys that may mint.

    POST   /v1/keys        {"name": "job-7", "allow": ["chat"], "expires": "2h", "limits": {...}, ...}
    GET    /v1/keys        those minted from this key, and from those
    DELETE /v1/keys/NAME   end one of them, and those minted from it

A minted key is of the same team, and for nothing that the key is not for that it was minted from; what is not
said it has from there. It ends with it, and its use counts against each of that one's limits, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from msgspec import UNSET, Struct, UnsetType

from shareai_cli.errors import MalformedRequest, MethodNotAllowed, ShareAIError
from shareai_cli.gateway.auth import Keys
from shareai_cli.gateway.body import check_content_type
from shareai_cli.gateway.exchange import JSON_TYPE
from shareai_cli.gateway.record import Refused
from shareai_cli.ledger import Store, parse_until
from shareai_cli.secrets import digest, new_client_key, shown_key
from shareai_cli.types import Caller, KeyChanges, KeyInfo, LimitChanges, Preference
from shareai_cli.wire.message import Request, Response
from shareai_cli.wire.refusal import refusal

PATH: Final = "/v1/keys"


class _Wanted(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    allow: tuple[str, ...] | UnsetType = UNSET
    prefer_models: tuple[str, ...] | UnsetType = UNSET
    expires: str | UnsetType = UNSET
    prefer: Preference | UnsetType = UNSET
    may_mint: bool | UnsetType = UNSET
    limits: LimitChanges | UnsetType = UNSET


class Minting:
    """Answers the requests under `/v1/keys`.

    `changed` is awaited after a change of keys, `refused` told of every request that was refused.
    """

    def __init__(
        self, keys: Keys, store: Store, changed: Callable[[], Awaitable[None]], refused: Refused
    ) -> None:
        self._keys = keys
        self._store = store
        self._changed = changed
        self._refused = refused

    def __repr__(self) -> str:
        return f"<Minting [{self._keys!r}]>"

    async def respond(self, request: Request) -> Response:
        """Answer one request; every refusal has its reason and what mends it."""
        caller: Caller | None = None
        try:
            caller = self._keys.caller(request.headers)
            answer = await self._find(request)(request, caller)
        except ShareAIError as error:
            self._refused(request, caller, error)
            return refusal(error)
        return Response(200, [JSON_TYPE, (b"cache-control", b"no-store")], msgspec.json.encode(answer))

    def _find(self, request: Request) -> Callable[[Request, Caller], Awaitable[Mapping[str, Any]]]:
        is_collection = request.path == PATH
        pages = {"GET": self._list, "POST": self._mint} if is_collection else {"DELETE": self._revoke}
        page = pages.get(request.method)
        if page is None:
            raise MethodNotAllowed(
                f"{request.method[:20]} is not for {request.path[:100]}.",
                hint=f"It takes {' and '.join(pages)}.",
            )
        return page

    async def _mint(self, request: Request, caller: Caller) -> Mapping[str, Any]:
        name, wanted = _read(request)
        key = new_client_key()
        made = await asyncio.to_thread(
            self._store.mint_key,
            caller,
            name,
            digest(key.reveal().encode("ascii")),
            wanted,
            shown=shown_key(key),
        )
        await self._changed()
        return {**_described(made, caller.key_name), "key": key.reveal()}

    async def _list(self, _request: Request, caller: Caller) -> Mapping[str, Any]:
        minted = await asyncio.to_thread(self._store.minted_keys, caller)
        names = {caller.key_id: caller.key_name, **{one.id: one.name for one in minted}}
        return {"object": "list", "data": [_described(one, names.get(one.parent or 0, "")) for one in minted]}

    async def _revoke(self, request: Request, caller: Caller) -> Mapping[str, Any]:
        name = unquote(request.path.removeprefix(f"{PATH}/"))
        revoked = await asyncio.to_thread(self._store.revoke_minted, caller, name)
        await self._changed()
        return {"object": "key.deleted", "name": revoked.name, "deleted": True}


def _read(request: Request) -> tuple[str, KeyChanges]:
    """Return what key is wanted; raises `MalformedRequest`, and `UsageError` for a time that is none."""
    check_content_type(request.headers.get(b"content-type"))
    try:
        wanted = msgspec.json.decode(request.body, type=_Wanted)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRequest(
            f"The body does not tell what key is wanted: {error}.",
            hint='{"name": "job-7"}, and of allow, prefer_models, expires, prefer, may_mint and limits what '
            "is to be otherwise than of the key that mints.",
        ) from None
    expires_ms: int | UnsetType = UNSET
    if not isinstance(wanted.expires, UnsetType):
        expires_ms = parse_until(wanted.expires, datetime.now(UTC))
    return wanted.name, KeyChanges(
        allowed=wanted.allow,
        preferences=wanted.prefer_models,
        expires_ms=expires_ms,
        prefer=wanted.prefer,
        may_mint=wanted.may_mint,
        limits=wanted.limits,
    )


def _described(key: KeyInfo, parent: str) -> dict[str, Any]:
    """Return a key as clients are told of it, in the words in which it was asked for; times in seconds."""
    return {
        "object": "key",
        "name": key.name,
        "shown": key.shown,
        "team": key.team,
        "allow": key.allowed,
        "prefer_models": key.preferences,
        "prefer": key.prefer,
        "may_mint": key.may_mint,
        "limits": key.limits,
        "parent": parent,
        "created": key.created_ms // 1000,
        "expires_at": key.expires_ms // 1000 if key.expires_ms is not None else None,
    }
