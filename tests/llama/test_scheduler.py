from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec import structs

from shareai_cli.errors import EngineBusy, EngineFailed
from shareai_cli.llama.batching.generation import Finish, GenerationRequest, Text
from shareai_cli.llama.batching.sampling import Sampling
from shareai_cli.llama.demo.build import ANSWER, DEMO_FILE
from shareai_cli.llama.engine import Engine
from shareai_cli.llama.scheduler import Batching, Generation

QUEUE = 2
SLOTS = 2


@pytest.fixture
async def scheduler() -> AsyncIterator[Batching]:
    made = Batching(Engine(str(DEMO_FILE), slots=SLOTS), queue=QUEUE)
    yield made
    made.close()


def request(scheduler: Batching, chain: str = "answer", limit: int = 30_000) -> GenerationRequest:
    prompt = scheduler._engine.model.tokenize(f"<s><|{chain}|>")
    return GenerationRequest((tuple(prompt),), limit, Sampling())


async def first(generation: Generation) -> str:
    delta = await anext(generation)
    assert isinstance(delta, Text)
    return delta.text


async def collect(generation: Generation) -> tuple[str, Finish]:
    text = ""
    async for delta in generation:
        if isinstance(delta, Finish):
            return text, delta
        text += delta.text
    raise AssertionError("no finish")


async def test_requests_that_come_together_are_answered_together(scheduler: Batching) -> None:
    """More than there are slots are all answered, with exact counts; none waits for an endless one."""
    endless = scheduler.submit(request(scheduler, "endless"))
    assert await first(endless) == "tick"
    answers = await asyncio.gather(*(collect(scheduler.submit(request(scheduler))) for _ in range(3)))
    for text, finish in answers:
        assert text == ANSWER
        assert (finish.reason, finish.prompt_tokens) == ("stop", 2)
    assert answers[0][1].completion_tokens == answers[1][1].completion_tokens > 40
    load = scheduler.load()
    assert (load.slots, load.running) == (SLOTS, 1)
    assert load.reply_tokens_per_second > 0
    endless.cancel()


async def test_the_choices_of_a_request_run_side_by_side(scheduler: Batching) -> None:
    """Each has its own deltas and end; a request of more choices than there are places is refused."""
    wanted = structs.replace(request(scheduler), choices=2)
    texts, ends = ["", ""], []
    async for delta in scheduler.submit(wanted):
        if isinstance(delta, Finish):
            ends.append(delta.choice)
        else:
            texts[delta.choice] += delta.text
    assert texts == [ANSWER, ANSWER]
    assert sorted(ends) == [0, 1]
    with pytest.raises(EngineBusy):
        scheduler.submit(structs.replace(wanted, choices=SLOTS + QUEUE + 1))


async def test_a_limit_ends_a_reply_exactly(scheduler: Batching) -> None:
    """`limit` counts tokens of the reply."""
    text, finish = await collect(scheduler.submit(request(scheduler, "count", limit=7)))
    assert text == "1 2 3 4 5 6 7"
    assert (finish.reason, finish.completion_tokens) == ("length", 7)


async def test_a_cancelled_request_frees_the_engine(scheduler: Batching) -> None:
    """An endless reply ends when its client leaves; the one behind it is answered."""
    endless = scheduler.submit(request(scheduler, "endless"))
    assert await first(endless) == "tick"
    endless.cancel()
    text, _finish = await collect(scheduler.submit(request(scheduler)))
    assert text == ANSWER


async def test_a_full_queue_refuses_and_a_cancelled_wait_makes_room(scheduler: Batching) -> None:
    """More than may wait are told when to come again; leaving the queue costs the engine nothing."""
    running = [scheduler.submit(request(scheduler, "endless")) for _ in range(SLOTS)]
    assert [await first(generation) for generation in running] == ["tick"] * SLOTS
    waiting = [scheduler.submit(request(scheduler)) for _ in range(QUEUE)]
    with pytest.raises(EngineBusy) as caught:
        scheduler.submit(request(scheduler))
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 1
    assert scheduler.load().waiting == QUEUE
    waiting.pop().cancel()
    waiting.append(scheduler.submit(request(scheduler)))
    for generation in running:
        generation.cancel()
    assert [text for text, _ in await asyncio.gather(*map(collect, waiting))] == [ANSWER] * QUEUE


async def test_closing_ends_who_runs_and_who_waits() -> None:
    """Nobody waits for an engine that is gone."""
    scheduler = Batching(Engine(str(DEMO_FILE), slots=1))
    running = scheduler.submit(request(scheduler, "endless"))
    await first(running)
    waiting = scheduler.submit(request(scheduler))
    await asyncio.to_thread(scheduler.close)
    for generation in (running, waiting):
        with pytest.raises(EngineFailed):
            await collect(generation)
