"""Limits, budgets, a cache, hedging and failover at once: nothing stays held, and everything is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from random import Random
from typing import Any

import pytest

from shareai_cli.config import CacheSettings, HedgeSettings, RouteSettings, RouteTarget
from shareai_cli.types import Budget, Caller, Limits, RateLimit, Subject, Target
from shareai_cli.wire.message import PushedBody
from tests.gateway.limits.making import Rows
from tests.support.behaviours import Behaviour, Received, chat, error_in_200, rate_limited, status, stream
from tests.support.gateway import Gate, chat_body, key_digest
from tests.support.taken import Taken
from tests.support.upstream import FaultUpstream
from tests.support.waiting import turns, until

ROUNDS, TOGETHER = 10, 25
MUCH = 10**9

CALLERS = (
    Caller(10, "parent", "blue"),
    Caller(11, "child", "blue", ancestors=(10,)),
    Caller(12, "poor", "blue"),
    Caller(13, "broke", "blue"),
    Caller(14, "other", "red"),
)
KEYS = {f"sk-{one.key_name}": one for one in CALLERS}

LIMITS: Mapping[Subject, Limits] = {
    Subject("organization"): Limits((RateLimit("tokens", "day", MUCH),), (Budget("total", MUCH),), 300),
    Subject("team", "blue"): Limits((RateLimit("tokens", "hour", MUCH),), (Budget("month", MUCH),)),
    Subject("key", "parent", (10, 11)): Limits((), (Budget("total", 200_000),), 10),
    Subject("key", "poor", (12,)): Limits((), (Budget("total", 4_000),)),
    Subject("key", "broke", (13,)): Limits((), (Budget("total", 1),)),
    Subject("route", "chat"): Limits((), (Budget("week", MUCH),)),
    Subject("target", "a/m"): Limits((), (), 3),
    Subject("target", "b/m"): Limits((RateLimit("tokens", "hour", MUCH),), (Budget("day", MUCH),)),
}


class Scene:
    """Clients and targets that do as chance has it."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)

    def behave(self, received: Received) -> Behaviour:
        """Answer, mostly; late, or not, or not to the end."""
        answer = stream("a", "b", "c") if received.streamed else chat()
        broken = answer.reset(after=2) if received.streamed else answer.end(after=0)
        slow = answer.after_delay(self.chance.random() / 20)
        faults = (status(500), rate_limited(), error_in_200(), status(400), broken)
        return self.chance.choice((*[answer] * 12, *[slow] * 6, answer.spaced(0.01), *faults))

    async def ask(self, gate: Gate) -> None:
        """Send a request, and leave before its reply, in its middle, or at its end."""
        asking = asyncio.get_running_loop().create_task(self._ask(gate))
        if self.chance.random() < 0.15:
            await asyncio.sleep(self.chance.random() / 20)
            asking.cancel()
        await asyncio.wait({asking})
        if not asking.cancelled():
            asking.result()

    async def _ask(self, gate: Gate) -> None:
        chance = self.chance
        fields: dict[str, Any] = {"seed": chance.randrange(6), "stream": chance.random() < 0.5}
        if chance.random() < 0.5:
            fields["max_tokens"] = chance.choice((5, 300))
        wanted = chance.choice(("", "", "", "", "no-cache", "no-store"))
        response = await gate.respond(
            chat_body(**fields), key=chance.choice([*KEYS]), headers={"cache-control": wanted}
        )
        if isinstance(response.body, PushedBody):
            leaves = chance.random() < 0.2
            async with aclosing(Taken(response.body)) as pieces:
                async for _ in pieces:
                    if leaves:
                        break


@pytest.mark.parametrize("seed", range(3))
async def test_all_of_it_at_once_adds_up(seed: int) -> None:
    """Nothing is held once everybody has gone, no budget is passed, and each is what its rows come to."""
    scene = Scene(seed)
    route = RouteSettings(
        "chat",
        ("priority", "cheapest", "least-busy")[seed],
        tuple(RouteTarget(Target(name, "m")) for name in "abc"),
        cache=CacheSettings(60.0, size=(2_000, 1 << 20, 1 << 20)[seed]),
        hedge=HedgeSettings(0.02, 1.0),
    )
    async with (
        FaultUpstream(default=scene.behave) as a,
        FaultUpstream(default=scene.behave) as b,
        FaultUpstream(default=scene.behave) as c,
        Gate({"a": a, "b": b, "c": c}, routes={"chat": route}, keys={"a": 2}, price_as={"c": "node"},
             limits=LIMITS) as gate,
    ):  # fmt: skip
        gate.gateway.replace_keys({key_digest(key): caller for key, caller in KEYS.items()})
        for _ in range(ROUNDS):
            await asyncio.gather(*(scene.ask(gate) for _ in range(TOGETHER)))
            gate.clock.forward(scene.chance.choice((0, 5, 31)))
        await until(lambda: gate.gateway.in_flight == 0)
        await turns()
        rows = Rows()
        for entry in gate.ledger.closed_entries:
            rows.add(entry)
        subjects = {subject.label: subject for subject in LIMITS}
        for use in gate.gateway.limiter.use():
            costs = [rows.cost(entry) for entry in rows.of(subjects[use.subject])]
            tokens, nano = (sum(cost[place] for cost in costs) for place in (0, 1))
            assert use.reserved == 0
            assert use.used <= use.most
            assert use.used == (0 if "concurrent" in use.limit else nano if "budget" in use.limit else tokens)
        assert gate.gateway.cache._room.taken == 0
