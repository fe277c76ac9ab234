"""Equal requests of keys with different limits: what a limit makes of one is not given to another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from shareai_cli.config import CacheSettings
from shareai_cli.types import Budget, Caller, Limits, Outcome, RateLimit, Subject
from tests.gateway.cache.test_joined import how
from tests.support.behaviours import Behaviour, chat, stream
from tests.support.gateway import KEY, Answer, Gate, chat_body, key_digest
from tests.support.upstream import FaultUpstream
from tests.support.waiting import turns, until

RICH = "sk-shareai-rich"
POOR = Subject("key", "laptop", (7,))
NOTHING = Limits(budgets=(Budget("total", 1),))
LITTLE = Limits(budgets=(Budget("total", 4_000),))
"""Nano-dollars, which pay for an answer that is shorter than a model may give."""

both_forms = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@asynccontextmanager
async def gate_of(
    limits: Limits, *script: Behaviour, more: Mapping[Subject, Limits] | None = None
) -> AsyncIterator[tuple[Gate, FaultUpstream]]:
    """Give a gateway with two keys of a team, the one of which is limited."""
    async with (
        FaultUpstream(script) as a,
        Gate(
            {"a": a},
            routes={"chat": ["a/m"]},
            cache=CacheSettings(60.0),
            limits={POOR: limits, **(more or {})},
        ) as gate,
    ):
        keys = gate.ledger.store.callers | {key_digest(RICH): Caller(8, "rich", "default")}
        gate.gateway.replace_keys(keys)
        yield gate, a


def asking(gate: Gate, key: str, *, streamed: bool = False) -> asyncio.Task[Answer]:
    return asyncio.get_running_loop().create_task(gate.send(chat_body(stream=streamed), key=key))


@both_forms
async def test_a_refusal_is_of_the_one_who_leads(streamed: bool) -> None:
    """Those who came together with it, and have money, are answered by one call of theirs."""
    async with gate_of(NOTHING) as (gate, a):
        answers = await asyncio.gather(*(asking(gate, key, streamed=streamed) for key in (KEY, *[RICH] * 5)))
        assert [one.status for one in answers] == [429, *[200] * 5]
        assert sorted(how(one) for one in answers[1:]) == [*["joined"] * 4, "miss"]
        assert len(a.completions) == 1
        assert [one.outcome for one in gate.ledger.closed_entries].count(Outcome.REFUSED) == 1


@both_forms
@pytest.mark.parametrize("late", [False, True], ids=["together", "late"])
async def test_an_answer_that_is_shortened_is_of_the_one_who_leads(streamed: bool, late: bool) -> None:
    """Who has more money has a whole one, also where the other call is under way already."""
    go_on = asyncio.Event()
    slow = (stream("a") if streamed else chat()).stall(until=go_on)
    async with gate_of(LITTLE, slow, slow) as (gate, a):
        poor = asking(gate, KEY, streamed=streamed)
        if late:
            await until(lambda: a.completions)
        rich = [asking(gate, RICH, streamed=streamed) for _ in range(3)]
        await until(lambda: len(a.completions) == (2 if late else 1))
        await turns()
        go_on.set()
        answers = await asyncio.gather(poor, *rich)
        assert len(a.completions) == 2
        assert [how(one) for one in answers] == ["miss", "miss", "joined", "joined"]
        assert ["max_tokens" in one.json for one in a.completions] == [True, False]
        assert how(await asking(gate, KEY, streamed=streamed)) == "hit"


async def test_where_all_are_refused_each_is_told_its_own_limit() -> None:
    """However many come together; nothing is asked."""
    names = {f"sk-{number}": Caller(10 + number, f"k{number}", "default") for number in range(50)}
    limits = {Subject("key", one.key_name, (one.key_id,)): NOTHING for one in names.values()}
    async with gate_of(NOTHING, more=limits) as (gate, a):
        gate.gateway.replace_keys({key_digest(key): caller for key, caller in names.items()})
        answers = await asyncio.gather(*(asking(gate, key) for key in names))
        assert [f"'{one.key_name}'" in answer.error["message"] for one, answer in
                zip(names.values(), answers, strict=True)] == [True] * 50  # fmt: skip
        assert a.completions == []


async def test_a_limit_on_requests_refuses_before_anything_is_shared() -> None:
    """The one who is over it joins nobody, and holds up nobody."""
    go_on = asyncio.Event()
    async with gate_of(Limits((RateLimit("requests", "minute", 1),)), chat().stall(until=go_on)) as (gate, a):
        first = asking(gate, KEY)
        await until(lambda: a.completions)
        assert (await asking(gate, KEY)).status == 429
        other = asking(gate, RICH)
        await turns()
        go_on.set()
        assert [how(one) for one in await asyncio.gather(first, other)] == ["miss", "joined"]
