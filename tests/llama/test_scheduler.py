from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from shareai_cli.errors import EngineBusy, EngineFailed
from shareai_cli.llama.bindings import Sampling
from shareai_cli.llama.demo.build import ANSWER, DEMO_FILE
from shareai_cli.llama.engine import Engine
from shareai_cli.llama.scheduler import Finish, Generation, GenerationRequest, OneAtATime

QUEUE = 2


@pytest.fixture
async def scheduler() -> AsyncIterator[OneAtATime]:
    made = OneAtATime(Engine(str(DEMO_FILE)), queue=QUEUE)
    yield made
    made.close()


def request(scheduler: OneAtATime, chain: str = "answer", limit: int = 30_000) -> GenerationRequest:
    prompt = scheduler._engine.model.tokenize(f"<s><|{chain}|>")
    return GenerationRequest(tuple(prompt), limit, Sampling())


async def collect(generation: Generation) -> tuple[str, Finish]:
    text = ""
    async for delta in generation:
        if isinstance(delta, Finish):
            return text, delta
        text += delta
    raise AssertionError("no finish")


async def test_requests_are_answered_one_after_the_other(scheduler: OneAtATime) -> None:
    """Two that come together are both answered, with exact counts."""
    both = await asyncio.gather(*(collect(scheduler.submit(request(scheduler))) for _ in range(2)))
    for text, finish in both:
        assert text == ANSWER
        assert (finish.reason, finish.prompt_tokens) == ("stop", 2)
    assert both[0][1].completion_tokens == both[1][1].completion_tokens > 40


async def test_a_limit_ends_a_reply_exactly(scheduler: OneAtATime) -> None:
    """`limit` counts tokens of the reply."""
    text, finish = await collect(scheduler.submit(request(scheduler, "count", limit=7)))
    assert text == "1 2 3 4 5 6 7"
    assert (finish.reason, finish.completion_tokens) == ("length", 7)


async def test_a_cancelled_request_frees_the_engine(scheduler: OneAtATime) -> None:
    """An endless reply ends when its client leaves; the one behind it is answered."""
    endless = scheduler.submit(request(scheduler, "endless"))
    assert await anext(endless) == "tick"
    endless.cancel()
    text, _finish = await collect(scheduler.submit(request(scheduler)))
    assert text == ANSWER


async def test_a_full_queue_refuses_and_a_cancelled_wait_makes_room(scheduler: OneAtATime) -> None:
    """More than may wait are told when to come again; leaving the queue costs the engine nothing."""
    running = scheduler.submit(request(scheduler, "endless"))
    assert await anext(running) == "tick"
    waiting = [scheduler.submit(request(scheduler)) for _ in range(QUEUE)]
    with pytest.raises(EngineBusy) as caught:
        scheduler.submit(request(scheduler))
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 1
    waiting.pop().cancel()
    waiting.append(scheduler.submit(request(scheduler)))
    running.cancel()
    assert [text for text, _ in await asyncio.gather(*map(collect, waiting))] == [ANSWER] * QUEUE


async def test_closing_ends_who_runs_and_who_waits() -> None:
    """Nobody waits for an engine that is gone."""
    scheduler = OneAtATime(Engine(str(DEMO_FILE)))
    running = scheduler.submit(request(scheduler, "endless"))
    await anext(running)
    waiting = scheduler.submit(request(scheduler))
    await asyncio.to_thread(scheduler.close)
    for generation in (running, waiting):
        with pytest.raises(EngineFailed):
            await collect(generation)
