"""The gateway: what answers on which path."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypedDict
from urllib.parse import unquote

import msgspec

from shareai_cli.config import RouteSettings, Settings
from shareai_cli.errors import MethodNotAllowed, ShareAIError, UnknownPath
from shareai_cli.gateway.auth import Keys
from shareai_cli.gateway.current import Current
from shareai_cli.gateway.drills import Drills, Surroundings
from shareai_cli.gateway.exchange import JSON_TYPE, Exchange, Handler, Replying
from shareai_cli.gateway.fleet import Fleet
from shareai_cli.gateway.health import Health
from shareai_cli.gateway.hedging import Hedging
from shareai_cli.gateway.kinds import BESIDE_CHAT
from shareai_cli.gateway.limits import Attempts, Warned
from shareai_cli.gateway.models import Catalogue, Learned, ModelDirectory
from shareai_cli.gateway.overrides import Orders
from shareai_cli.gateway.path import Makers, compose
from shareai_cli.gateway.permission import may_use, not_allowed
from shareai_cli.gateway.pools import PoolFactory
from shareai_cli.gateway.probe import Prober
from shareai_cli.gateway.record import Observe, Recorder, Refused, request_id, tell_nobody
from shareai_cli.gateway.strategies.candidates import Facts
from shareai_cli.gateway.upstream import Upstream
from shareai_cli.ledger import Closed, Ledger, Replies, RequestIds
from shareai_cli.overrides import NO_OVERRIDES, Overrides
from shareai_cli.types import NODE, Caller, Clock, Limits, LimitUse, Subject, WallClock
from shareai_cli.wire.message import Request, Response
from shareai_cli.wire.refusal import refusal

Respond = Callable[[Request], Coroutine[Any, Any, Response]]

ADMIN_PREFIX = "/admin/v1/"
MODEL_PREFIX = "/v1/models/"
KEYS_PATH = "/v1/keys"
COMPLETIONS = "/v1/chat/completions"


class Gateway:
    """One gateway: its state, and `respond`, which the server calls for every request."""

    def __init__(
        self,
        settings: Settings,
        *,
        environ: Mapping[str, str],
        ledger: Ledger,
        fleet: Fleet,
        make_pool: PoolFactory,
        catalogue: Catalogue,
        learned: Learned | None = None,
        observe: Observe,
        refused: Refused = tell_nobody,
        notice: Callable[[str], None] | None = None,
        facts: Facts | None = None,
        chance: Callable[[], float] = random.random,
        replies: Replies | None = None,
        limits: Mapping[Subject, Limits] | None = None,
        warned: Warned | None = None,
        overrides: Overrides = NO_OVERRIDES,
        clock: Clock = time.monotonic,
        wall_clock: WallClock = time.time,
        makers: Makers | None = None,
    ) -> None:
        self._makers = makers = makers or Makers()
        self.ledger = ledger
        self.fleet = fleet
        self.keys = Keys(ledger.store.active_keys(), wall_clock)
        self.health = Health(clock, notice)
        self.directory = ModelDirectory(clock, catalogue, learned)
        self.current = Current(
            settings,
            environ=environ,
            make_pool=make_pool,
            fleet=fleet,
            health=self.health,
            directory=self.directory,
            clock=clock,
            facts=facts,
            chance=chance,
            orders=Orders(overrides),
        )
        self._taking_up = asyncio.Lock()
        self.requests = 0
        self.admin: Respond | None = None
        self.minting: Respond | None = None
        self._clock = clock
        self._ids = RequestIds(wall_clock, ledger.newest_request)
        self._prober = Prober(self.health, lambda name: self.current.endpoints.find(name))
        self._refused = refused
        self._observe = observe
        self._recorder = Recorder(ledger, clock, observe, refused)
        self.limiter = makers.limiter(ledger, warned=warned, wall_clock=wall_clock)
        self.limiter.begin(limits or {})
        self._attempts = Attempts(self.limiter, ledger.costs)
        self.cache = makers.cache(ledger.salt, replies=replies, notice=notice, wall_clock=wall_clock)
        self.cache.take_up(settings.routes)
        self._hedging = Hedging()
        self._hedging.take_up(settings.routes)
        self._failover = makers.failover(self.current, Upstream(clock, wall_clock), self.health, clock)
        self._failover.hedges = self._hedging.routes
        self._beside_chat: dict[str, Handler] = {}
        self._path = self._compose()
        self._make_pool, self._facts, self._wall_clock = make_pool, facts, wall_clock
        self.drills = Drills(self._as_it_is, clock, self._drills_changed)
        self._posts: dict[str, Respond] = {COMPLETIONS: self._chat_completions}
        self._posts |= {f"/v1{kind.path}": partial(self._ask, kind.path) for kind in BESIDE_CHAT}
        self._pages: dict[str, Respond] = {"/v1/models": self._models, "/healthz": self._healthz}

    def _compose(self) -> Handler:
        """Return the whole path of a chat; those of what else can be asked for are taken up as well."""
        self.current.heed_preferences(self.keys.have_preferences)
        limiter = self.limiter
        self._recorder.observe = self._settle if limiter.is_on else self._observe
        parts = (self._recorder, self.keys, self.current, limiter, self._attempts, self.cache, self._failover)
        self._beside_chat = {kind.path: compose(*parts, kind) for kind in BESIDE_CHAT}
        return compose(*parts)

    def _as_it_is(self) -> Surroundings:
        """Return what a drill's scenario takes from this gateway."""
        current = self.current
        return Surroundings(
            settings=current.settings,
            endpoints=current.endpoints,
            fleet=self.fleet,
            directory=self.directory,
            ledger=self.ledger,
            ids=self._ids,
            makers=self._makers,
            make_pool=self._make_pool,
            facts=self._facts,
            clock=self._clock,
            wall_clock=self._wall_clock,
            orders=current.orders,
        )

    @property
    def routes(self) -> Mapping[str, RouteSettings]:
        """The routes as they are declared."""
        return self.current.routes

    @property
    def in_flight(self) -> int:
        """Requests to targets that have not ended, streams included."""
        return self._recorder.in_flight

    def start(self) -> None:
        """Begin to look after ejected targets."""
        self._prober.start()

    def cutting(self) -> None:
        """Take in that requests which are under way are about to be cut off, as the gateway ends."""
        self._recorder.is_ending = True

    async def close(self) -> None:
        """End the gateway's tasks and connections; the ledger and the fleet are their owner's to close."""
        await self._prober.close()
        await self.drills.close()
        await self.directory.close()
        await self.cache.close()
        for pool in self.current.pools():
            await pool.close()

    def replace_keys(self, callers: Mapping[bytes, Caller]) -> None:
        """Take up a changed set of keys; requests that are under way end as they began."""
        self.keys.replace(callers)
        self.limiter.forget_callers()
        self._path = self._compose()

    async def replace_limits(self, limits: Mapping[Subject, Limits]) -> None:
        """Take up changed limits; new ones hold once it is known what was used before.

        Raises `LedgerUnavailable`; then they hold all the same, without what came before.
        """
        fresh = self.limiter.take_up(limits)
        self._path = self._compose()
        await self.limiter.look_back(fresh)

    def limit_use(self) -> Sequence[LimitUse]:
        """Tell how much of each limit is used now."""
        return self.limiter.use()

    def _settle(self, entry: Closed) -> None:
        self.limiter.settle(entry)
        self._observe(entry)

    async def replace(self, settings: Settings) -> None:
        """Take up a changed configuration; raises `ConfigurationError`, and then keeps the former one."""
        async with self._taking_up:
            boards = await asyncio.to_thread(self.current.build_boards, settings, self.current.orders)
            unused = self.current.replace(settings, boards)
        self.cache.take_up(settings.routes)
        self._hedging.take_up(settings.routes)
        self._path = self._compose()
        for pool in unused:
            await pool.close()

    async def override(self, read: Callable[[], Overrides]) -> None:
        """Go by what `read` returns, in a thread, from now on: requests that are under way end as they began.

        Raises what `read` raises.
        """
        current = self.current
        async with self._taking_up:  # so that what was read first is not taken up last
            orders = Orders(await asyncio.to_thread(read))
            boards = await asyncio.to_thread(current.build_boards, current.settings, orders)
            current.override(orders, boards)

    def respond(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Answer one request of a client's."""
        if request.method == "POST":
            answer = self._posts.get(request.path)
            if answer is not None:
                return answer(request)
        return self._beside(request)

    def refuse(self, error: ShareAIError) -> Response:
        """Render an error for the server: what it cannot read as a request, or what went wrong in here."""
        return self._identified(refusal(error))

    def _identified(self, response: Response) -> Response:
        """Give a reply that is in no accounts an id all the same."""
        response.lines += request_id(self._ids.next())
        return response

    def _chat_completions(self, request: Request) -> Replying:
        self.requests += 1
        ids = self._ids
        return self._path(Exchange(request, self._recorder, ids.next(), ids.now_ms, self._clock()))

    def _ask(self, path: str, request: Request) -> Replying:
        """Answer what is no chat."""
        self.requests += 1
        ids = self._ids
        exchange = Exchange(request, self._recorder, ids.next(), ids.now_ms, self._clock())
        return self._beside_chat[path](exchange)

    def _drills_changed(self) -> None:
        """Look for the tokens of drills in requests only while there are any."""
        self._posts[COMPLETIONS] = self._drilled if self.drills.are_on else self._chat_completions

    def _drilled(self, request: Request) -> Replying:
        """Answer a drill's request on its own path, and every other one as ever."""
        scenario = self.drills.find(request)
        return scenario.respond(request) if scenario is not None else self._chat_completions(request)

    async def _beside(self, request: Request) -> Response:
        """Answer what goes to no target: pages, the admin interface, and mistakes."""
        return self._identified(await self._page(request, request.path))

    async def _page(self, request: Request, path: str) -> Response:
        if path.startswith(ADMIN_PREFIX) and self.admin is not None:
            return await self.admin(request)
        if (path == KEYS_PATH or path.startswith(f"{KEYS_PATH}/")) and self.minting is not None:
            return await self.minting(request)
        if path in self._posts:
            return _wrong_method(request, "POST")
        answer = self._model if path.startswith(MODEL_PREFIX) else self._pages.get(path)
        if answer is None:
            return refusal(_unknown_path(path, {*self._posts, *self._pages}))
        if request.method not in ("GET", "HEAD"):
            return _wrong_method(request, "GET")
        return await answer(request)

    async def _models(self, request: Request) -> Response:
        """List what can be asked for: routes, this machine's models, and each provider's by full name."""
        return await self._known_caller(request, self._list_models)

    async def _list_models(self, caller: Caller) -> bytes:
        listed = [_model(name, "shareai") for name in self.current.routes]
        offers = await self.current.offers()
        listed += [_model(name, NODE) for name in offers.get(NODE, ())]
        for provider, models in offers.items():
            listed += [_model(f"{provider}/{name}", provider) for name in models]
        providers = self.current.providers
        usable = [one for one in listed if may_use(caller, one["id"], providers)]
        return msgspec.json.encode({"object": "list", "data": usable})

    async def _model(self, request: Request) -> Response:
        name = unquote(request.path.removeprefix(MODEL_PREFIX))

        async def describe(caller: Caller) -> bytes:
            if not may_use(caller, name, self.current.providers):
                raise not_allowed(name)
            owner = await self.current.owner(name)
            return msgspec.json.encode(_model(name, owner))

        return await self._known_caller(request, describe)

    async def _known_caller(
        self, request: Request, answer: Callable[[Caller], Coroutine[Any, Any, bytes]]
    ) -> Response:
        caller: Caller | None = None
        try:
            caller = self.keys.caller(request.headers)
            return Response(200, [JSON_TYPE], await answer(caller))
        except ShareAIError as error:
            self._refused(request, caller, error)
            return refusal(error)

    async def _healthz(self, request: Request) -> Response:
        status = "degraded" if self.ledger.state().problem else "ok"
        return Response(200, [JSON_TYPE], msgspec.json.encode({"status": status}))


class _Model(TypedDict):
    id: str
    object: str
    created: int
    owned_by: str


def _model(name: str, owner: str) -> _Model:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}


def _wrong_method(request: Request, allowed: str) -> Response:
    method, path = request.method[:20], request.path[:100]
    response = refusal(MethodNotAllowed(f"{method} is not for {path}.", hint=f"It takes {allowed}."))
    response.headers.append((b"allow", allowed.encode("ascii")))
    return response


def _unknown_path(path: str, pages: Collection[str]) -> UnknownPath:
    shown = path[:100]
    known = ("/v1" + path) if "/v1" + path in pages else None
    hint = f"Did you mean {known}?" if known else "The base URL ends in /v1."
    return UnknownPath(f"Nothing is served under {shown}.", hint=hint)
