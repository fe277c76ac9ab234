"""The admin API, `/admin/v1`: what the commands and screens ask of a running gateway.

It wants the token that lies beside the lock, and answers no browser: whatever says an origin is refused.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Protocol
from urllib.parse import unquote

import msgspec
from msgspec import Meta, Struct

from shareai_cli.client import ACTOR_HEADER, Status
from shareai_cli.errors import (
    AuthenticationFailed,
    MethodNotAllowed,
    PermissionRefused,
    ShareAIError,
    UnknownPath,
)
from shareai_cli.gateway.admin_access import AccessPages
from shareai_cli.gateway.admin_reading import decode_body, decode_query
from shareai_cli.gateway.administration import Administration
from shareai_cli.gateway.drill_admin import DrillKept, DrillPages, Page
from shareai_cli.gateway.drills import Drills
from shareai_cli.gateway.exchange import EVENTS_TYPE, JSON_TYPE
from shareai_cli.gateway.feed import Feed
from shareai_cli.gateway.override_admin import Overridden, OverridePages
from shareai_cli.gateway.usage_admin import UsagePages
from shareai_cli.secrets import Secret
from shareai_cli.types import (
    LATEST_MS,
    Actor,
    AuditVerdict,
    CacheUse,
    ModelListing,
    NodeRegistration,
    RouteExplanation,
)
from shareai_cli.wire.message import Request, Response

PREFIX = "/admin/v1"

_ACTOR = ACTOR_HEADER.lower().encode()
_LONGEST_ACTOR = 300

_FROM_A_BROWSER = (b"origin", b"sec-fetch-site", b"sec-fetch-mode")


class _CacheQuery(Struct, frozen=True, forbid_unknown_fields=True):
    route: str | None = None


class _RequestsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=0)] = 20


class _AuditQuery(Struct, frozen=True):
    limit: Annotated[int, Meta(ge=0)] = 20
    since_ms: Annotated[int, Meta(ge=0, le=LATEST_MS)] | None = None
    after: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | None = None


class Caches(Protocol):
    """The caches of the routes."""

    async def use(self) -> Sequence[CacheUse]:
        """Return what is kept, by route."""

    async def clear(self, route: str | None = None) -> Sequence[CacheUse]:
        """Forget every reply, or those of a route, and return what there was; raises `UsageError`."""


class AdminApi:
    """Answers the requests under `/admin/v1`.

    `status` and `config` describe the running gateway; `changed` is awaited after a change of keys or teams,
    `refused` is told whom it does not let in.
    """

    def __init__(
        self,
        token: Secret,
        admin: Administration,
        *,
        cache: Caches,
        status: Callable[[], Awaitable[Status]],
        reload: Callable[[Actor], Awaitable[str | None]],
        config: Callable[[], Mapping[str, Any]],
        models: Callable[[], Awaitable[ModelListing]],
        explain_route: Callable[[bytes], Awaitable[RouteExplanation]],
        settled: Callable[[], Awaitable[None]],
        changed: Callable[[], Awaitable[None]],
        feed: Feed,
        drills: Drills,
        overridden: Overridden,
        drill_kept: DrillKept = lambda drill: None,
        refused: Callable[[Request, ShareAIError], None],
    ) -> None:
        self._authorization = f"Bearer {token.reveal()}".encode()
        self._admin = admin
        self._cache = cache
        self._status = status
        self._reload = reload
        self._config = config
        self._models = models
        self._explain_route = explain_route
        self._settled = settled
        self._access = AccessPages(self._by, changed)
        self._feed = feed
        self._usage = UsagePages(admin, settled)
        self._drills = DrillPages(drills, self._by, settled, drill_kept)
        self._refused = refused
        self._pages: dict[str, dict[str, Callable[[Request], Awaitable[object]]]] = {
            "/status": {"GET": self._get_status},
            "/reload": {"POST": self._post_reload},
            **self._access.pages,
            **OverridePages(self._by, overridden).pages,
            "/providers": {"GET": self._get_section},
            "/routes": {"GET": self._get_section},
            "/routes/explain": {"POST": self._explain},
            "/config": {"GET": self._get_config},
            "/models": {"GET": self._list_models},
            "/nodes": {"GET": self._list_nodes, "POST": self._register_node},
            **self._usage.pages,
            "/requests": {"GET": self._list_requests},
            "/cache": {"GET": self._cache_use, "DELETE": self._clear_cache},
            "/audit": {"GET": self._audit},
            "/audit/verify": {"GET": self._verify_audit},
            "/events": {"GET": self._events},
        }

    async def respond(self, request: Request) -> Response:
        """Answer one request; every refusal has its reason and what mends it."""
        try:
            self._check(request)
        except ShareAIError as error:
            self._refused(request, error)
            return _refusal(error)
        try:
            answer = await self._find(request)(request)
        except ShareAIError as error:
            return _refusal(error)
        if isinstance(answer, Response):
            return answer
        return Response(200, [JSON_TYPE, (b"cache-control", b"no-store")], msgspec.json.encode(answer))

    def _check(self, request: Request) -> None:
        if any(name in request.headers for name in _FROM_A_BROWSER):
            raise PermissionRefused("The admin interface is not for browsers.")
        if not hmac.compare_digest(request.headers.get(b"authorization", b""), self._authorization):
            raise AuthenticationFailed(
                "The admin token is missing or not valid.", hint="It lies beside the lock: gateway.json."
            )

    def _by(self, request: Request) -> Administration:
        """Return the interface in the name of whoever asks."""
        return self._admin.on_behalf_of(_actor(request))

    def _find(self, request: Request) -> Callable[[Request], Awaitable[object]]:
        path = request.path.removeprefix(PREFIX)
        methods: Mapping[str, Page] | None = self._pages.get(path)
        if methods is None:
            methods = self._access.below(path)
        if methods is None and f"{path}/".startswith("/drills/"):
            methods = self._drills.find(path.removeprefix("/drills"))
        if methods is None and path.startswith("/requests/"):
            methods = {"GET": self._get_request}
        if methods is None:
            raise UnknownPath(f"The admin interface has no {path[:100]}.")
        page = methods.get(request.method)
        if page is None:
            raise MethodNotAllowed(f"{path[:100]} takes {', '.join(methods)}.")
        return page

    async def _get_status(self, _request: Request) -> Status:
        return await self._status()

    async def _post_reload(self, request: Request) -> Mapping[str, object]:
        return {"problem": await self._reload(_actor(request))}

    async def _get_config(self, _request: Request) -> Mapping[str, Any]:
        return self._config()

    async def _get_section(self, request: Request) -> Mapping[str, Any]:
        section = request.path.rpartition("/")[2]
        return {section: self._config()[section]}

    async def _explain(self, request: Request) -> RouteExplanation:
        return await self._explain_route(request.body)

    async def _list_models(self, _request: Request) -> ModelListing:
        return await self._models()

    async def _list_nodes(self, _request: Request) -> Mapping[str, object]:
        return {"nodes": await asyncio.to_thread(self._admin.list_nodes)}

    async def _register_node(self, request: Request) -> object:
        return await asyncio.to_thread(
            self._by(request).register_node, decode_body(request, NodeRegistration)
        )

    async def _cache_use(self, _request: Request) -> Mapping[str, object]:
        return {"caches": await self._cache.use()}

    async def _clear_cache(self, request: Request) -> Mapping[str, object]:
        asked = decode_query(request, _CacheQuery)
        cleared = await self._cache.clear(asked.route)
        await asyncio.to_thread(self._by(request).cache_cleared, asked.route, cleared)
        return {"caches": cleared}

    async def _audit(self, request: Request) -> Mapping[str, object]:
        asked = decode_query(request, _AuditQuery)
        rows = await asyncio.to_thread(self._admin.audit, asked.limit, asked.since_ms, asked.after)
        return {"rows": rows}

    async def _verify_audit(self, _request: Request) -> AuditVerdict:
        return await asyncio.to_thread(self._admin.verify_audit)

    async def _get_request(self, request: Request) -> object:
        await self._settled()
        name = unquote(request.path.removeprefix(f"{PREFIX}/requests/"))
        return await asyncio.to_thread(self._admin.request, name)

    async def _list_requests(self, request: Request) -> Mapping[str, object]:
        asked = decode_query(request, _RequestsQuery)
        await self._settled()
        return {"requests": await asyncio.to_thread(self._admin.recent, asked.limit)}

    async def _events(self, _request: Request) -> Response:
        return Response(200, [EVENTS_TYPE, (b"cache-control", b"no-store")], self._feed.events())


def _actor(request: Request) -> Actor:
    """Return whoever asks, as that one says."""
    name = unquote(request.headers.get(_ACTOR, b"")[:_LONGEST_ACTOR].decode("ascii", "replace"))
    return Actor(name if name and name.isprintable() else "unknown", "admin API")


def _refusal(error: ShareAIError) -> Response:
    detail = {
        "message": error.message,
        "hint": error.hint,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }
    return Response(error.status, [JSON_TYPE], msgspec.json.encode({"error": detail}))
