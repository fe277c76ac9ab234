from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from shareai_cli.llama.demo.build import ANSWER
from tests.support.model_server import CONTEXT, Running

HELLO = "<s><|answer|>"
"""What makes the demo model answer."""


async def complete(served: Running, prompt: Any, **fields: object) -> httpx.Response:
    body = {"model": "shareai-demo", "prompt": prompt, "max_tokens": 200, **fields}
    return await served.client.post("/v1/completions", json=body)


def texts(reply: httpx.Response) -> list[str]:
    assert reply.status_code == 200, reply.text
    return [choice["text"] for choice in reply.json()["choices"]]


async def test_a_prompt_is_continued_with_exact_usage(running: Running) -> None:
    """OpenAI's object, as it was before chats."""
    value = (await complete(running, HELLO)).json()
    [choice] = value["choices"]
    assert choice == {"text": ANSWER, "index": 0, "logprobs": None, "finish_reason": "stop"}
    assert (value["object"], value["model"], value["id"][:5]) == ("text_completion", "shareai-demo", "cmpl-")
    assert value["usage"]["prompt_tokens"] == 2
    short = (await complete(running, HELLO, max_tokens=None)).json()
    assert (short["choices"][0]["finish_reason"], short["usage"]["completion_tokens"]) == ("length", 16)


async def test_prompts_may_be_texts_or_tokens_one_or_many(running: Running) -> None:
    """The same prompt in its four forms; replies come in the order of the prompts, each as often as `n`."""
    tokens = running.model.tokenize(HELLO)
    for prompt in (HELLO, tokens, [HELLO], [tokens]):
        assert texts(await complete(running, prompt)) == [ANSWER]
    two = await complete(running, [HELLO, "<s><|count|>"], max_tokens=3)
    assert texts(two) == [texts(await complete(running, HELLO, max_tokens=3))[0], "1 2 3"]
    assert two.json()["usage"]["prompt_tokens"] == 4
    assert two.json()["usage"]["completion_tokens"] == 6
    both = (await complete(running, "<s><|count|>", n=2, max_tokens=2, echo=True)).json()
    assert [(one["index"], one["text"]) for one in both["choices"]] == [(0, "1 2"), (1, "1 2")]
    assert both["usage"]["prompt_tokens"] == 2


async def test_an_echo_and_a_stop(random_running: Running) -> None:
    """The prompt's text comes first, streamed or not, and the reply ends before a stop string."""
    [plain] = texts(await complete(random_running, "Once", temperature=0, max_tokens=12))
    [echoed] = texts(await complete(random_running, "Once", temperature=0, max_tokens=12, echo=True))
    assert echoed == "Once" + plain
    [stopped] = texts(await complete(random_running, "Once", temperature=0, max_tokens=12, stop=plain[5:7]))
    assert stopped == plain[: plain.index(plain[5:7])]
    stream = await complete(random_running, "Once", temperature=0, max_tokens=12, echo=True, stream=True)
    assert stream.text.endswith("data: [DONE]\n\n")
    chunks = [json.loads(line[6:]) for line in stream.text.split("\n\n")[:-2]]
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == echoed
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


async def test_probabilities_are_in_the_older_form(random_running: Running) -> None:
    """Four lists of the same length, with the place of each token in the text."""
    reply = await complete(random_running, "Once", temperature=0, max_tokens=5, logprobs=2)
    [choice] = reply.json()["choices"]
    scores = choice["logprobs"]
    assert scores["tokens"] == list(choice["text"])
    assert scores["text_offset"] == [0, 1, 2, 3, 4]
    assert all(logprob <= 0 for logprob in scores["token_logprobs"])
    for token, logprob, top in zip(
        scores["tokens"], scores["token_logprobs"], scores["top_logprobs"], strict=True
    ):
        assert len(top) == 2
        assert top[token] == max(top.values()) == logprob


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": 7}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": [10_000_000]}, "prompt"),
        ({"prompt": ["a", "b", "c"]}, "prompt"),
        ({"prompt": "x" * 5000}, "prompt"),
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"logprobs": 21}, "logprobs"),
        ({"echo": True, "logprobs": 1}, "echo"),
        ({"n": 3}, "n"),
    ],
)
async def test_bad_fields_are_a_400_and_the_server_goes_on(
    running: Running, fields: dict[str, Any], param: str
) -> None:
    """The field is named, and the next request is answered."""
    reply = await complete(running, **{"prompt": HELLO, **fields})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param
    assert texts(await complete(running, HELLO)) == [ANSWER]


async def test_a_prompt_that_fills_the_context_is_told_with_both_figures(running: Running) -> None:
    """400 `context_length_exceeded`."""
    error = (await complete(running, [70] * CONTEXT)).json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert str(CONTEXT) in error["message"]


async def test_an_empty_prompt_is_one(random_running: Running) -> None:
    """Nothing can be computed of no tokens, and so there is the one that begins a text."""
    [text] = texts(await complete(random_running, "", temperature=0, max_tokens=4))
    assert len(text) == 4


async def test_the_model_is_listed(running: Running) -> None:
    """As OpenAI's list of models."""
    listed = (await running.client.get("/v1/models")).json()
    assert [model["id"] for model in listed["data"]] == ["shareai-demo"]
