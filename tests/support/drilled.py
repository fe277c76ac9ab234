"""A gateway that can be drilled, on real sockets and a real database, with parts that a test may break.

    async with Drilled(tmp_path, {"a": upstream, "b": other}, routes={"chat": ["a/m", "b/m"]}) as drilled:
        report = await drilled.drill("failover")
        drilled.failed(report)     # the names of the cases that failed

Whatever is broken is given as a part (`makers`, `books`, `prices`): nothing is patched.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import httpx

from shareai_cli.catalog.facts import KnownModel
from shareai_cli.catalog.listing import ModelFacts
from shareai_cli.catalog.prices import TokenPrice
from shareai_cli.client import GatewayAddress, HttpAdmin, trusted_for
from shareai_cli.config import (
    CacheSettings,
    ProviderSettings,
    RouteSettings,
    RouteTarget,
    Settings,
)
from shareai_cli.drill.case import Case
from shareai_cli.drill.outcome import Finding, Report, Verdict
from shareai_cli.drill.plan import cases_of
from shareai_cli.drill.run import run
from shareai_cli.drill.session import Options, Session
from shareai_cli.drill_types import CheckName
from shareai_cli.drill_types import Deadlines as DrillDeadlines
from shareai_cli.gateway.admin import AdminApi
from shareai_cli.gateway.administration import Administration
from shareai_cli.gateway.app import Gateway
from shareai_cli.gateway.fleet import Fleet
from shareai_cli.gateway.path import Makers
from shareai_cli.gateway.pools import pool_factory
from shareai_cli.gateway.route_explainer import RouteExplainer
from shareai_cli.gateway.strategies.candidates import NoFacts
from shareai_cli.ledger import Closed, Ledger, Replies
from shareai_cli.paths import find_paths
from shareai_cli.secrets import Secret, SecretReference
from shareai_cli.types import Target, Usage
from shareai_cli.wire.deadlines import Deadlines
from shareai_cli.wire.server import Server
from tests.support.gateway import FakeFleet, provider_key
from tests.support.upstream import FaultUpstream

TOKEN = "admin-token-of-a-test"
HASTY = DrillDeadlines(answer=5.0, silence=0.2, ejection=0.5)


class FlatPrices:
    """So many nano-dollars for every token, whoever is asked."""

    def __init__(self, nano: int = 1000) -> None:
        self._nano = nano

    def cost_nano(self, price_as: str, model: str, usage: Usage, time_ms: int) -> int | None:
        tokens = usage.prompt + usage.cached + usage.cache_write + usage.completion + usage.reasoning
        return tokens * self._nano


class FlatFacts(NoFacts):
    """Knows what `FlatPrices` says, and nothing else."""

    def look_up(self, price_as: str, model: str, told: ModelFacts) -> KnownModel:
        return KnownModel(price=TokenPrice(10**9, 10**9)) if price_as else KnownModel()


class Silent:
    """Watches a drill, and says nothing."""

    def __init__(self) -> None:
        self.begun: list[Case] = []
        self.findings: list[Finding] = []

    def began(self, case: Case) -> None:
        self.begun.append(case)

    def ended(self, finding: Finding) -> None:
        self.findings.append(finding)


class Drilled:
    """The gateway; see the top of this module."""

    def __init__(
        self,
        home: Path,
        upstreams: Mapping[str, FaultUpstream | str],
        *,
        routes: Mapping[str, Sequence[str] | RouteSettings],
        keys: Mapping[str, int] | None = None,
        cache: CacheSettings | None = None,
        strategy: str = "priority",
        makers: Makers | None = None,
        prices: FlatPrices | None = None,
        books: Callable[[Ledger], Any] | None = None,
    ) -> None:
        """`prices` are the gateway's, `books` puts something between it and its accounts."""
        self._paths = find_paths({"SHAREAI_HOME": str(home)})
        self._makers = makers
        self._prices = prices or FlatPrices()
        self._books = books or (lambda ledger: ledger)
        self.fleet = FakeFleet()
        self.observed: list[Closed] = []
        self._environ: dict[str, str] = {}
        providers: dict[str, ProviderSettings] = {}
        for name, upstream in upstreams.items():
            numbers = range(1, (keys or {}).get(name, 1) + 1)
            self._environ |= {f"{name}_{number}": provider_key(name, number) for number in numbers}
            providers[name] = ProviderSettings(
                name=name,
                preset=None,
                base_url=upstream if isinstance(upstream, str) else upstream.base_url,
                keys=tuple(SecretReference("env", f"{name}_{number}") for number in numbers),
                price_as=f"priced-{name}",
                check="/models",
            )
        self.settings = Settings(
            providers=providers,
            routes={
                name: targets
                if isinstance(targets, RouteSettings)
                else RouteSettings(name, cast(Any, strategy), tuple(map(route_target, targets)), cache=cache)
                for name, targets in routes.items()
            },
        )

    async def __aenter__(self) -> Drilled:
        # The drill's threads wait here for the gateway's, which in truth are another process's.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(64))
        self.ledger = ledger = await asyncio.to_thread(Ledger.open, self._paths, lambda: self._prices)
        self._deadlines = Deadlines()
        self.make_pool = pool_factory(self._deadlines, None, time.monotonic)
        self.gateway = gateway = Gateway(
            self.settings,
            environ=self._environ,
            ledger=cast(Ledger, self._books(ledger)),
            fleet=cast(Fleet, self.fleet),
            make_pool=self.make_pool,
            catalogue=lambda name: (),
            observe=self.observed.append,
            facts=FlatFacts(),
            makers=self._makers,
        )
        administration = Administration(ledger, Replies(self._paths.replies))
        gateway.admin = AdminApi(
            Secret(TOKEN),
            administration,
            cache=gateway.cache,
            status=cast(Any, None),
            reload=cast(Any, None),
            config=dict,
            models=cast(Any, None),
            explain_route=RouteExplainer(gateway.current).explain,
            settled=ledger.settled,
            changed=self._take_up_keys,
            feed=cast(Any, None),
            drills=gateway.drills,
            overridden=gateway,
            refused=lambda request, error: None,
        ).respond
        self._server = Server(gateway.respond, refuse=gateway.refuse)
        await self._server.start("127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.port}"
        self.base_url = f"{self.origin}/v1"
        self.admin = HttpAdmin(GatewayAddress(self.origin, TOKEN, 0))
        self.key = (await asyncio.to_thread(self.admin.create_key, "laptop")).key
        self.http = httpx.AsyncClient(
            base_url=self.origin, verify=trusted_for(self.origin), trust_env=False, timeout=10
        )
        gateway.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()
        self.admin.close()
        await self._server.close(0)
        await self.gateway.close()
        self._deadlines.close()
        await asyncio.to_thread(self.ledger.close)

    async def _take_up_keys(self) -> None:
        self.gateway.replace_keys(self.ledger.store.active_keys())

    async def drill(
        self,
        *only: CheckName,
        options: Options | None = None,
        repeat: int = 1,
        cases: Collection[str] = (),
    ) -> Report:
        """Run the cases of some checks, or of all; only those of some names, if any are given."""
        session = Session(self.admin, self.base_url, options or Options(HASTY, row_seconds=1.0))
        try:
            subjects = await asyncio.to_thread(self.admin.drill_subjects)
            found = cases_of(subjects, only, FlatPrices(), repeat)
            wanted = [case for case in found if not cases or case.name in cases]
            return await run(session, wanted, Silent())
        finally:
            await session.close()

    async def ask(
        self, model: str = "chat", *, headers: Mapping[str, str] | None = None, **fields: Any
    ) -> httpx.Response:
        """Ask as any client does."""
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **fields}
        given = {"Authorization": f"Bearer {self.key}", **(headers or {})}
        return await self.http.post("/v1/chat/completions", json=body, headers=given)


def not_passed(report: Report, *verdicts: Verdict) -> list[str]:
    """Return what did not pass, with what was expected and what happened."""
    wanted: Collection[Verdict] = verdicts or (Verdict.FAILED, Verdict.BLOCKED)
    return [
        f"{one.check} {one.subject}, {one.case}: {one.verdict}: expected {one.expected}, but {one.happened}"
        for one in report.findings
        if one.verdict in wanted
    ]


def failed_cases(report: Report) -> set[str]:
    """Return the names of the cases that failed."""
    return {one.case for one in report.findings if one.verdict is Verdict.FAILED}


def route_target(text: str) -> RouteTarget:
    """Return the target of the name `provider/model`."""
    provider, _, model = text.partition("/")
    return RouteTarget(Target(provider, model))
