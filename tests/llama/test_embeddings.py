from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from shareai_cli.errors import EngineBusy
from shareai_cli.llama.demo.build import write_random
from shareai_cli.llama.embedding import QUEUE, TEXTS, steps
from shareai_cli.llama.engine import Engine
from tests.support.model_server import SECRET, Running, serve

FIRST = "The quick brown fox"
SECOND = "Jumps over the lazy dog, and nobody minds."


async def embed(served: Running, value: Any, **fields: object) -> httpx.Response:
    body = {"model": "shareai-demo", "input": value, **fields}
    return await served.client.post("/v1/embeddings", json=body)


def vectors(reply: httpx.Response) -> np.ndarray:
    assert reply.status_code == 200, reply.text
    data = reply.json()["data"]
    assert [one["index"] for one in data] == list(range(len(data)))
    return np.array([one["embedding"] for one in data])


async def test_each_text_gets_a_vector_of_length_one_that_is_its_own(random_running: Running) -> None:
    """Together or alone, a text's embedding is the same; another text has another one."""
    reply = await embed(random_running, [FIRST, SECOND, FIRST])
    together = vectors(reply)
    assert np.linalg.norm(together, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert together[0] == pytest.approx(together[2], abs=0.01)
    assert abs(together[0] - together[1]).max() > 0.05
    [alone] = vectors(await embed(random_running, SECOND))
    assert alone == pytest.approx(together[1], abs=0.01)
    tokens = [len(random_running.model.tokenize(text)) for text in (FIRST, SECOND, FIRST)]
    assert reply.json()["usage"] == {"prompt_tokens": sum(tokens), "total_tokens": sum(tokens)}
    assert reply.json()["model"] == "shareai-demo"


async def test_every_token_of_a_text_counts(random_running: Running) -> None:
    """An embedding is of the whole text: a change at either end shows."""
    changed = [FIRST, "S" + FIRST[1:], FIRST[:-1] + "X"]
    one, first, last = vectors(await embed(random_running, changed))
    assert abs(one - first).max() > 0.01
    assert abs(one - last).max() > 0.01


async def test_texts_may_be_the_numbers_of_tokens(random_running: Running) -> None:
    """As LangChain sends them: one list, or one for each text."""
    numbers = random_running.model.tokenize(FIRST)
    [expected] = vectors(await embed(random_running, FIRST))
    for value in (numbers, [numbers]):
        [found] = vectors(await embed(random_running, value))
        assert found == pytest.approx(expected, abs=0.01)


async def test_base64_holds_the_same_floats(random_running: Running) -> None:
    """Little-endian, 32 bits each."""
    [floats] = vectors(await embed(random_running, FIRST))
    reply = await embed(random_running, FIRST, encoding_format="base64")
    data = base64.b64decode(reply.json()["data"][0]["embedding"])
    assert np.frombuffer(data, dtype="<f4") == pytest.approx(floats, abs=1e-6)


async def test_dimensions_cut_a_vector_off_and_its_length_stays_one(random_running: Running) -> None:
    """What is left has the direction of the beginning."""
    [whole] = vectors(await embed(random_running, FIRST))
    [short] = vectors(await embed(random_running, FIRST, dimensions=8))
    assert short == pytest.approx(whole[:8] / np.linalg.norm(whole[:8]), abs=1e-5)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, None),
        ({"input": []}, "input"),
        ({"input": ["x", 5]}, "input"),
        ({"input": [10_000_000]}, "input"),
        ({"input": "x" * 5000}, "input"),
        ({"input": FIRST, "dimensions": 65}, "dimensions"),
        ({"input": FIRST, "dimensions": 0}, "dimensions"),
        ({"input": FIRST, "encoding_format": "hex"}, "encoding_format"),
        ({"input": FIRST, "model": "other"}, "model"),
    ],
)
async def test_bad_fields_are_named_and_an_empty_text_is_one(
    random_running: Running, fields: dict[str, Any], param: str | None
) -> None:
    """A 400 or a 404, and the next request is answered."""
    reply = await embed(random_running, fields.pop("input"), **fields)
    assert (reply.status_code == 200) == (param is None)
    if param is not None:
        assert reply.json()["error"]["param"] == param
    assert len(vectors(await embed(random_running, FIRST))) == 1


async def test_replies_go_on_while_embeddings_are_computed(random_running: Running) -> None:
    """Neither waits for the other, and both are right."""
    body = {"model": "shareai-demo", "prompt": FIRST, "max_tokens": 20, "temperature": 0}
    [before] = (await random_running.client.post("/v1/completions", json=body)).json()["choices"]
    [alone] = vectors(await embed(random_running, SECOND))
    replies, found = await asyncio.gather(
        asyncio.gather(*(random_running.client.post("/v1/completions", json=body) for _ in range(3))),
        embed(random_running, [SECOND] * 100),
    )
    assert [reply.json()["choices"][0]["text"] for reply in replies] == [before["text"]] * 3
    assert vectors(found) == pytest.approx(np.array([alone] * 100), abs=0.01)


async def test_more_requests_than_may_wait_are_refused(random_engine: Engine) -> None:
    """With when to come again."""
    embedder = random_engine.embedder
    asked = [asyncio.ensure_future(embedder.embed([[70]])) for _ in range(QUEUE)]  # noqa: TID251 - awaited
    await asyncio.sleep(0)
    with pytest.raises(EngineBusy) as caught:
        await embedder.embed([[70]])
    assert caught.value.retry_after
    assert len(await asyncio.gather(*asked)) == QUEUE
    assert len(await embedder.embed([[70]])) == 1


def test_a_step_has_a_bounded_number_of_texts_and_tokens() -> None:
    """In their order, and none is left out."""
    texts = [[0] * length for length in (60, 30, 20, 100, 1, 1, *[1] * 80)]
    found = list(steps(texts, 100))
    assert [text for step in found for text in step] == texts
    assert all(sum(map(len, step)) <= 100 and len(step) <= TEXTS for step in found)
    assert [len(step) for step in found[:3]] == [2, 1, 1]


async def test_openais_own_client_reads_them(random_running: Running) -> None:
    """The official library, which asks for base64 by itself."""
    import openai

    base_url = f"{random_running.client.base_url}/v1"
    async with openai.AsyncOpenAI(api_key=SECRET, base_url=base_url, max_retries=0) as client:
        found = await client.embeddings.create(model="shareai-demo", input=[FIRST, SECOND])
    [first, second] = [one.embedding for one in found.data]
    assert first == pytest.approx(list(vectors(await embed(random_running, FIRST))[0]), abs=0.01)
    assert len(second) == 64


async def test_a_model_that_makes_embeddings_only_says_so(tmp_path: Path) -> None:
    """One that looks at the tokens that follow is asked for no text; each of its texts is seen as a whole."""
    path = tmp_path / "embedding.gguf"
    write_random(path, causal=False)
    async with serve(path=path) as served:
        messages = [{"role": "user", "content": "hi"}]
        for where, what in (("chat/completions", {"messages": messages}), ("completions", {"prompt": "hi"})):
            reply = await served.client.post(f"/v1/{where}", json={"model": "shareai-demo", **what})
            assert reply.status_code == 400
            assert "embeddings only" in reply.json()["error"]["message"]
        together = vectors(await embed(served, [FIRST, SECOND]))
        [alone] = vectors(await embed(served, FIRST))
        assert together[0] == pytest.approx(alone, abs=0.01)
