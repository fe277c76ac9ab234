"""The drills that are run now: begun and ended through the admin interface, found by a request's token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Final

from msgspec.structs import replace

from shareai_cli.config import Egress
from shareai_cli.drill_types import DRILL_HEADER, DrillSubjects, Fault, Scenario, ScenarioWanted
from shareai_cli.errors import Overloaded, UsageError
from shareai_cli.gateway.drills.failing import FailingProvider
from shareai_cli.gateway.drills.scenario import CALLER, OTHER, ScenarioPath, Surroundings
from shareai_cli.gateway.drills.subjects import subjects_of
from shareai_cli.gateway.drills.tokens import Claim, Tokens
from shareai_cli.gateway.health import Standing
from shareai_cli.ledger import drill_id, parse_drill_id
from shareai_cli.secrets import digest, new_client_key
from shareai_cli.types import Clock, RouteExplanation
from shareai_cli.wire.client import Origin, Pool
from shareai_cli.wire.message import Request

MOST_DRILLS: Final = 8
"""At a time, parts of drills among them."""
MOST_SCENARIOS: Final = 256
"""Of one drill at a time."""

LASTING: Final = 300.0
"""Seconds that a token is valid, and that a drill of which no scenario is asked for lasts."""
IN_A_ROW: Final = 10
"""Answers that may follow one another within a scenario: its token lasts so long where they may be slow."""

EVERY: Final = 0.1
"""Seconds between two looks at what is due."""

_HEADER: Final = DRILL_HEADER.lower().encode("ascii")

Describe = Callable[[], Surroundings]


class Drills:
    """Keeps drills and their scenarios; `changed` is called when the first one begins, and the last ends."""

    def __init__(self, around: Describe, clock: Clock, changed: Callable[[], None]) -> None:
        """`around` tells what a scenario takes from the gateway as it is at that time."""
        self._around = around
        self._clock = clock
        self._changed = changed
        self._tokens = Tokens(clock)
        self._drills: dict[int, _Drill] = {}
        self._pools: dict[tuple[Origin, Egress], Pool] = {}
        self._failing: FailingProvider | None = None
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Drills [{len(self._drills)}]>"

    @property
    def are_on(self) -> bool:
        """Whether any drill is run, so that requests have to be looked at."""
        return bool(self._drills)

    async def subjects(self, further: Collection[str] = ()) -> DrillSubjects:
        """Return what can be drilled, and further targets of the providers that there are; `UsageError`."""
        return await asyncio.to_thread(subjects_of, self._around(), further)

    async def begin(self, part_of: str | None = None) -> str:
        """Begin a drill, or a part of one, and return its id.

        Raises `Overloaded` where there are too many, `UsageError` where there is none of which it is a part.
        """
        async with self._lock:
            whole = self._find(part_of) if part_of is not None else None
            if len(self._drills) >= MOST_DRILLS:
                raise Overloaded(
                    "As many drills are run as can be at a time.",
                    hint="The same command again later: one whose command was killed ends within minutes.",
                    retry_after=LASTING,
                )
            around = self._around()
            if self._failing is None:
                failing = FailingProvider(around.make_pool)
                await failing.start()
                self._failing = failing
                self._task = asyncio.get_running_loop().create_task(self._work())
            number = around.ids.next()
            self._drills[number] = _Drill(number, self._clock() + LASTING, whole)
            self._changed()
            return drill_id(number)

    async def add(self, drill: str, wanted: ScenarioWanted) -> Scenario:
        """Set a scenario of a drill's up; raises `UsageError`."""
        found, around, failing = self._find(drill), self._around(), self._failing
        if failing is None or len(found.scenarios) >= MOST_SCENARIOS:
            raise UsageError(f"The drill {drill} has too many scenarios.", hint="End those that are over.")
        if wanted.route is not None and wanted.route not in around.settings.routes:
            raise UsageError(f"There is no route '{wanted.route[:100]}'.", hint="shareai route list")
        key, other = new_client_key().reveal(), new_client_key().reveal()
        callers = {digest(key.encode("ascii")): CALLER, digest(other.encode("ascii")): OTHER}
        around = _with_pools(around, self._pools)
        path = await asyncio.to_thread(ScenarioPath, found.number, wanted, callers, around, failing)
        lasting = max(LASTING, IN_A_ROW * wanted.deadlines.answer)
        number = found.keep(path, self._clock() + lasting)
        token = self._tokens.sign(Claim(found.number, number), lasting)
        return Scenario(number, token, key, other, lasting)

    def fail(self, drill: str, scenario: int, faults: Sequence[Fault]) -> None:
        """Give a scenario other faults; raises `UsageError`."""
        self._scenario(drill, scenario).fail(faults)

    async def explain(self, drill: str, scenario: int, body: bytes) -> RouteExplanation:
        """Tell what would become of a request of a scenario's; `UsageError`, `UnknownModel`."""
        return await self._scenario(drill, scenario).explain(body)

    def standings(self, drill: str, scenario: int) -> Sequence[tuple[str, str, Standing]]:
        """List what does not simply serve in a scenario: target, key, and how it stands; `UsageError`."""
        return self._scenario(drill, scenario).standings()

    async def drop(self, drill: str, scenario: int) -> None:
        """End a scenario; raises `UsageError`."""
        path = self._scenario(drill, scenario)
        del self._find(drill).scenarios[scenario]
        await path.close()

    async def end(self, drill: str) -> None:
        """End a drill, and what its requests needed; raises `UsageError`."""
        found = self._find(drill)
        async with self._lock:
            await self._end(found)

    def find(self, request: Request) -> ScenarioPath | None:
        """Return the scenario whose token a request presents; None for any other request."""
        token = request.headers.get(_HEADER)
        claim = self._tokens.read(token) if token is not None else None
        drill = self._drills.get(claim.drill) if claim is not None else None
        return drill.scenarios.get(claim.scenario) if claim is not None and drill is not None else None

    async def close(self) -> None:
        """End every drill."""
        async with self._lock:
            for drill in list(self._drills.values()):
                await self._end(drill)

    def _find(self, drill: str) -> _Drill:
        found = self._drills.get(parse_drill_id(drill) or 0)
        if found is None:
            raise UsageError(
                f"There is no drill {drill[:40]}, or it is over.", hint="shareai smoke-test runs one."
            )
        return found

    def _scenario(self, drill: str, scenario: int) -> ScenarioPath:
        found = self._find(drill).scenarios.get(scenario)
        if found is None:
            raise UsageError(f"The drill {drill} has no scenario {scenario}.")
        return found

    async def _end(self, drill: _Drill) -> None:
        if self._drills.pop(drill.number, None) is None:
            return
        for path in drill.scenarios.values():
            await path.close()
        if self._drills:
            return
        self._changed()
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait({task})
        failing, self._failing = self._failing, None
        if failing is not None:
            await failing.close()
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.close()

    async def _work(self) -> None:
        """Probe what is due, and end drills whose command has left them, as long as there are any."""
        while self._drills:
            await asyncio.sleep(EVERY)
            scenarios = [path for drill in self._drills.values() for path in drill.scenarios.values()]
            async with asyncio.TaskGroup() as group:
                for path in scenarios:
                    group.create_task(path.prober.probe_due())
            now = self._clock()
            left = [drill for drill in self._drills.values() if drill.until <= now]
            async with self._lock:
                for drill in left:
                    await self._end(drill)


class _Drill:
    """One drill and its scenarios."""

    __slots__ = ("_last", "_whole", "number", "scenarios", "until")

    def __init__(self, number: int, until: float, whole: _Drill | None) -> None:
        """`whole` is what it is a part of."""
        self.number = number
        self.until = until
        self._whole = whole
        self.scenarios: dict[int, ScenarioPath] = {}
        self._last = 0

    def keep(self, path: ScenarioPath, until: float) -> int:
        """Take a scenario in, and return its number."""
        self._last += 1
        self.scenarios[self._last] = path
        for drill in (self, self._whole):
            if drill is not None:
                drill.until = max(drill.until, until)
        return self._last


def _with_pools(around: Surroundings, pools: dict[tuple[Origin, Egress], Pool]) -> Surroundings:
    """Have scenarios share the pools that they make themselves: those of this machine's node."""

    def make(origin: Origin, egress: Egress) -> Pool:
        return pools.get((origin, egress)) or pools.setdefault(
            (origin, egress), around.make_pool(origin, egress)
        )

    return replace(around, make_pool=make)
