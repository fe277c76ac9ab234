from __future__ import annotations

import asyncio
import random
from pathlib import Path

import psutil

from shareai_cli.llama.batching.generation import GenerationRequest
from shareai_cli.llama.batching.sampling import Sampling
from shareai_cli.llama.engine import Engine
from shareai_cli.llama.scheduler import Batching
from shareai_cli.llama.schema_grammar import schema_grammar
from tests.support.waiting import until

CANCELLATIONS = 1000
AT_ONCE = 8

MOST_GROWTH = 4 << 20
"""Bytes of memory: what draws the tokens of that many replies takes more than twice as much if it is kept."""


async def test_a_thousand_cancellations_leave_the_cache_empty_and_memory_level(
    random_file: Path,
) -> None:
    """Whenever a client leaves: while it waits, while its prompt is read, or after some of its reply."""
    engine = Engine(str(random_file), context=1024, slots=4)
    scheduler = Batching(engine, queue=2 * AT_ONCE)
    chance = random.Random(7)
    grammar = schema_grammar({"type": "array", "items": {"type": "string"}})
    process = psutil.Process()

    async def leave_early() -> None:
        request = GenerationRequest(
            prompts=(tuple(chance.choices(range(41, 135), k=chance.randint(1, 60))),),
            limit=200,
            sampling=Sampling(seed=chance.randint(0, 999), presence_penalty=chance.choice((0.0, 1.0))),
            choices=chance.choice((1, 1, 2)),
            grammar=chance.choice(("", "", grammar)),
        )
        generation = scheduler.submit(request)
        for _ in range(chance.choice((0, 0, 1, 3, 8))):
            await anext(generation, None)
        if chance.random() < 0.5:
            await asyncio.sleep(0)
        generation.cancel()

    async def leave_all(times: int) -> int:
        for _ in range(times // AT_ONCE):
            await asyncio.gather(*(leave_early() for _ in range(AT_ONCE)))
        # Who left before this one has left the engine once it is answered.
        async for _ in scheduler.submit(GenerationRequest(((70,),), 3, Sampling())):
            pass
        await until(lambda: not engine.busy)
        return int(process.memory_info().rss)

    try:
        before = await leave_all(CANCELLATIONS // 4)
        after = await leave_all(CANCELLATIONS - CANCELLATIONS // 4)
        assert engine.cache.room == engine.cache.cells
        engine.forget_prefixes()
        assert (engine.cache.used, engine.held()) == (0, 0)
        assert after - before < MOST_GROWTH
    finally:
        await asyncio.to_thread(scheduler.close)
