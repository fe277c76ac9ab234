"""A whole gateway over scripted providers, without a server before it and without a disk behind it.

    async with Gate({"a": upstream, "b": other}, routes={"chat": ["a/m", "b/m"]}) as gate:
        answer = await gate.ask("chat")
        answer.status, answer.json, gate.ledger.closed_entries

Time is a `FakeClock`: limits pass when a test says so (`gate.pass_time`). After each test the gate checks
what always holds: each request of a known caller is settled exactly once, and no provider's key got out.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, cast

from shareai_cli.client import LocalProcess
from shareai_cli.config import (
    CacheSettings,
    Egress,
    ProviderSettings,
    RouteSettings,
    RouteTarget,
    ServerSettings,
    Settings,
    TimeLimits,
)
from shareai_cli.errors import ModelUnavailable, Overloaded
from shareai_cli.gateway.app import Gateway
from shareai_cli.gateway.fleet import Fleet
from shareai_cli.gateway.strategies.candidates import Facts
from shareai_cli.ledger import NO_PAST_USE, Closed, Costs, Ledger, LedgerState, Opened, PastUse, Replies
from shareai_cli.live import LiveModel, LiveNode
from shareai_cli.secrets import Secret, SecretReference
from shareai_cli.types import NODE, Caller, Limits, LimitUse, LocalModel, Subject, Target, Usage
from shareai_cli.wire.client import Pool
from shareai_cli.wire.deadlines import Deadlines
from shareai_cli.wire.message import PushedBody, Request, Response
from shareai_cli.wire.origin import Origin, parse_base_url
from tests.support.clock import FakeClock
from tests.support.taken import Taken
from tests.support.upstream import FaultUpstream

KEY = "sk-shareai-test"
CALLER = Caller(7, "laptop", "default")
MESSAGES = [{"role": "user", "content": "hi"}]
NOW = 1_790_000_000.0  # Mon, 21 Sep 2026 14:13:20 GMT
UNPRICED = "unpriced"
"""A model of which nobody knows the price."""
PLANTED = "sk-planted"
"""What every provider's key begins with."""


def provider_key(provider: str, number: int = 1) -> str:
    """Return the text of a provider's key."""
    return f"{PLANTED}-{provider}-{number}"


def fingerprint(provider: str, number: int = 1) -> str:
    """Return the fingerprint of a provider's key."""
    return Secret(provider_key(provider, number)).fingerprint


def key_digest(key: str) -> bytes:
    """Return what is kept of a client's key."""
    return hashlib.sha256(key.encode()).digest()


class FakePrices:
    """Every model of every provider costs 1 nano-dollar a token of a prompt, and 2 of an answer."""

    def cost_nano(self, price_as: str, model: str, usage: Usage, time_ms: int) -> int | None:
        if model == UNPRICED:
            return None
        prompt = usage.prompt + usage.cached + usage.cache_write
        return prompt + 2 * (usage.completion + usage.reasoning)


class FakeStore:
    """The keys of clients."""

    def __init__(self) -> None:
        self.callers = {key_digest(KEY): CALLER}

    def active_keys(self) -> dict[bytes, Caller]:
        return self.callers


class FakeLedger:
    """Accounts in memory."""

    def __init__(self) -> None:
        self.salt = b"s" * 16
        self.store = FakeStore()
        self.newest_request = 0
        self.opened_entries: list[Opened] = []
        self.closed_entries: list[Closed] = []
        self.problem: str | None = None
        self.is_full = False
        self.costs = Costs(FakePrices)

    def past_use(self, questions: object, ended: object) -> PastUse:
        return NO_PAST_USE

    async def settled(self) -> None:
        pass

    def opened(self, entry: Opened) -> None:
        if self.is_full:
            raise Overloaded("The accounts cannot be written.", retry_after=1.0)
        self.opened_entries.append(entry)

    def closed(self, entry: Closed) -> None:
        self.closed_entries.append(entry)

    def state(self) -> LedgerState:
        return LedgerState(self.problem, 0, 0)


class FakeFleet:
    """A node agent that is there, or not, as a test says."""

    def __init__(self) -> None:
        self.models: tuple[LocalModel, ...] = ()
        self.processes: tuple[LocalProcess, ...] = ()
        self.found: tuple[Origin, Secret] | None = None

    def origin(self) -> tuple[Origin, Secret] | None:
        return self.found

    async def ready(self, seconds: float) -> tuple[Origin, Secret]:
        if self.found is None:
            raise ModelUnavailable("The node agent is not running.", retry_after=1.0)
        return self.found

    async def reports(self) -> tuple[LocalProcess, ...]:
        return self.processes

    async def look(self) -> LiveNode:
        return LiveNode(NODE, "serving", models=tuple(LiveModel(one.id, one.state) for one in self.processes))

    def serve(self, upstream: FaultUpstream, *models: str) -> None:
        """Serve models through an upstream that stands for the agent."""
        self.models = tuple(LocalModel(model, f"/models/{model}.gguf") for model in models)
        self.found = parse_base_url(upstream.base_url)[0], Secret(provider_key("node"))


def fields_of(response: Response) -> list[tuple[bytes, bytes]]:
    """Return every field of a response's head, those in ready lines too."""
    lines = [line.partition(b": ") for line in response.lines.split(b"\r\n") if line]
    return response.headers + [(name, value) for name, _, value in lines]


class Answer:
    """What a client sees."""

    def __init__(self, response: Response, body: bytes) -> None:
        self.status = response.status
        fields = fields_of(response)
        self.headers = {name.decode(): value.decode() for name, value in fields}
        assert len(self.headers) == len(fields), "a header is there twice"
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error in OpenAI's shape, the whole of it."""
        body = self.json
        assert set(body) == {"error"}
        assert set(body["error"]) == {"message", "type", "param", "code"}
        return cast(dict[str, Any], body["error"])

    @property
    def events(self) -> list[Any]:
        """The data of every event of a stream; comments left out."""
        blocks = self.body.decode().split("\n\n")
        assert blocks.pop() == "", "a stream ends with a blank line"
        data = [block.removeprefix("data: ") for block in blocks if block.startswith("data:")]
        return [one if one == "[DONE]" else json.loads(one) for one in data]

    @property
    def text(self) -> str:
        """The answer's text, out of either form."""
        if not self.headers["content-type"].startswith("text/event-stream"):
            return str(self.json["choices"][0]["message"]["content"])
        choices = [event["choices"] for event in self.events if "choices" in event]
        return "".join(one[0]["delta"].get("content") or "" for one in choices if one)


class Gate:
    """The gateway; see the top of this module."""

    def __init__(
        self,
        upstreams: Mapping[str, FaultUpstream | str],
        *,
        routes: Mapping[str, Sequence[str] | RouteSettings] | None = None,
        keys: Mapping[str, int] | None = None,
        strategy: str = "priority",
        cache: CacheSettings | None = None,
        replies: Replies | None = None,
        comments: float = 0.0,
        ledger: FakeLedger | None = None,
        catalogue: Callable[[str], Collection[str]] = lambda name: (),
        timeouts: TimeLimits | None = None,
        price_as: Mapping[str, str] | None = None,
        facts: Facts | None = None,
        chance: Callable[[], float] = random.random,
        limits: Mapping[Subject, Limits] | None = None,
        **provider: Any,
    ) -> None:
        """`upstreams` are providers by name, `keys` how many each has (1), `price_as` where their prices are
        looked up, `cache` what every route keeps, `replies` the file for it, `provider` further settings."""
        self.clock = FakeClock()
        self.ledger = ledger or FakeLedger()
        self.fleet = FakeFleet()
        self.deadlines = Deadlines(3600.0, self.clock)
        self.observed: list[Closed] = []
        self.notices: list[str] = []
        self.warnings: list[LimitUse] = []
        self.chance: list[float] = []
        self.asked = 0
        self._pools: list[Pool] = []
        self._environ: dict[str, str] = {}
        providers = {}
        for name, upstream in upstreams.items():
            count = (keys or {}).get(name, 1)
            for number in range(1, count + 1):
                self._environ[f"{name}_{number}"] = provider_key(name, number)
            providers[name] = ProviderSettings(
                name=name,
                preset=None,
                base_url=upstream if isinstance(upstream, str) else upstream.base_url,
                keys=tuple(SecretReference("env", f"{name}_{number}") for number in range(1, count + 1)),
                timeouts=timeouts or TimeLimits(),
                price_as=(price_as or {}).get(name, f"priced-{name}"),
                **provider,
            )
        self.settings = Settings(
            server=ServerSettings(keep_alive_comments=comments),
            providers=providers,
            routes={
                name: targets
                if isinstance(targets, RouteSettings)
                else RouteSettings(name, cast(Any, strategy), tuple(map(_route_target, targets)), cache=cache)
                for name, targets in (routes or {}).items()
            },
        )
        self.gateway = Gateway(
            self.settings,
            environ=self._environ,
            ledger=cast(Ledger, self.ledger),
            fleet=cast(Fleet, self.fleet),
            make_pool=self._make_pool,
            catalogue=catalogue,
            observe=self.observed.append,
            notice=self.notices.append,
            facts=facts,
            chance=chance,
            replies=replies,
            limits=limits,
            warned=self.warnings.append,
            clock=self.clock,
            wall_clock=lambda: NOW + self.clock() - 1000.0,
        )

    async def __aenter__(self) -> Gate:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.gateway.close()
        for pool in self._pools:
            pool.abort()
            await pool.close()
        self.deadlines.close()
        if kind is None:
            self._check_accounts()

    @property
    def closed(self) -> Closed:
        """The entry of the only request so far."""
        [entry] = self.ledger.closed_entries
        return entry

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and what it ends end."""
        self.clock.forward(seconds)
        self.deadlines.sweep()

    async def respond(
        self,
        body: bytes = b"",
        *,
        method: str = "POST",
        path: str = "/v1/chat/completions",
        headers: Mapping[str, str] | None = None,
        key: str | None = KEY,
    ) -> Response:
        """Send a request as it stands, and return the response with its stream not yet taken."""
        sent = {"content-type": "application/json"} | dict(headers or {})
        if key is not None:
            sent["authorization"] = f"Bearer {key}"
        encoded = {name.lower().encode(): value.encode("latin-1") for name, value in sent.items()}
        self.asked += 1
        return await self.gateway.respond(Request(method, path, "", "1.1", encoded, body, "127.0.0.1"))

    async def send(self, body: bytes = b"", **options: Any) -> Answer:
        """Send a request as it stands."""
        return await self.take(await self.respond(body, **options))

    async def begin(self, model: str = "chat", **fields: Any) -> Response:
        """Ask for a chat completion, and return the response with its stream not yet taken."""
        return await self.respond(chat_body(model, **fields))

    async def ask(self, model: str = "chat", **fields: Any) -> Answer:
        """Ask for a chat completion, streamed where `stream=True` is among the fields."""
        return await self.take(await self.begin(model, **fields))

    async def get(self, path: str, **options: Any) -> Answer:
        """GET a path."""
        return await self.send(path=path, method=options.pop("method", "GET"), **options)

    async def take(self, response: Response) -> Answer:
        """Take a response to its end."""
        body = response.body
        if isinstance(body, PushedBody):
            async with aclosing(Taken(body)) as pieces:
                body = b"".join([piece async for piece in pieces])
        assert isinstance(body, bytes)
        answer = Answer(response, body)
        seen = body.decode("utf-8", "replace") + repr(answer.headers)
        assert PLANTED not in seen, "a provider's key got out"
        return answer

    def _make_pool(self, origin: Origin, egress: Egress) -> Pool:
        pool = Pool(origin, tls=None, clock=self.clock, deadlines=self.deadlines)
        self._pools.append(pool)
        return pool

    def _check_accounts(self) -> None:
        """Hold what is true of every test's requests."""
        closed = [entry.request for entry in self.ledger.closed_entries]
        opened = [entry.request for entry in self.ledger.opened_entries]
        assert len(closed) == len(set(closed)), "a request was settled twice"
        assert set(opened) <= set(closed), "a request was never settled"
        assert self.observed == self.ledger.closed_entries
        assert self.gateway.in_flight == 0
        assert self.gateway.current.measurements.in_flight == 0
        assert PLANTED not in repr(self.ledger.closed_entries) + repr(self.ledger.opened_entries)


def chat_body(model: str = "chat", **fields: Any) -> bytes:
    """Return the body of a chat completion's request."""
    return json.dumps({"model": model, "messages": MESSAGES} | fields).encode()


def _route_target(text: str) -> RouteTarget:
    name, _, weight = text.partition("=")
    provider, _, model = name.partition("/")
    return RouteTarget(Target(provider, model), int(weight or 1))


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
