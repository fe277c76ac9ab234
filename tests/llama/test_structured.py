from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from msgspec import structs

from shareai_cli.errors import EngineFailed, MalformedRequest
from shareai_cli.llama.batching.generation import GenerationRequest
from shareai_cli.llama.batching.sampling import Sampling
from shareai_cli.llama.batching.sequence import Sequence
from shareai_cli.llama.demo.build import CONTROLS
from shareai_cli.llama.engine import Engine
from shareai_cli.llama.schema_grammar import schema_grammar
from tests.support.model_server import Running
from tests.support.replies import GREEDY, Taken, finish, reply

ASCII = tuple((token, -100.0) for token in range(len(CONTROLS) + 128, len(CONTROLS) + 256))
"""Bans all bytes that are parts of characters: at random they make none."""

HOT = Sampling(temperature=30.0, top_k=0, top_p=1.0, min_p=0.0, logit_bias=ASCII)


def generate(engine: Engine, grammar: str, sampling: Sampling = HOT, limit: int = 400) -> str:
    """Return what the random model makes of a grammar."""
    request = GenerationRequest((tuple(engine.model.tokenize("Well: ")),), limit, sampling, grammar=grammar)
    taken = Taken()
    engine.add(Sequence(request, taken))
    finish(engine)
    assert taken.error is None
    assert taken.ended.reason == "stop", taken.text
    return taken.text


def of(schema: Any, engine: Engine, seeds: int = 6) -> list[Any]:
    """Return values that the random model makes of a schema, greedily and as hot as can be."""
    grammar = schema_grammar(schema)
    hot = [structs.replace(HOT, seed=seed) for seed in range(seeds)]
    return [json.loads(generate(engine, grammar, sampling)) for sampling in (GREEDY, *hot)]


SHORT = {"type": "string", "maxLength": 4}


def test_an_object_has_its_properties_in_their_order_and_no_others(random_engine: Engine) -> None:
    """Required ones always, others sometimes; names with quotes and line ends are names."""
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "boolean"},
            'b"\\\n': {"type": "null"},
            "c": SHORT,
            "é": {"enum": [1, "x"]},
        },
        "required": ["c", "d"],
    }
    schema["properties"]["d"] = {"const": {"k": [1, None]}}  # type: ignore[index]
    found = of(schema, random_engine, seeds=20)
    names = ["a", 'b"\\\n', "c", "é", "d"]
    for value in found:
        assert list(value) == [name for name in names if name in value]
        assert {"c", "d"} <= value.keys()
        assert value["d"] == {"k": [1, None]}
        assert value.get("é", 1) in (1, "x")
        assert len(value["c"]) <= 4
    assert {name for value in found for name in value} == set(names)
    assert any("a" not in value for value in found)


def test_only_optional_properties_may_all_be_left_out(random_engine: Engine) -> None:
    """Whichever comes first has no comma before it."""
    optional = {"properties": {"a": {"type": "null"}, "b": {"type": "null"}}}
    found = of(optional, random_engine, seeds=60)
    assert {tuple(value) for value in found} == {(), ("a",), ("b",), ("a", "b")}


def test_arrays_have_as_many_items_as_they_may(random_engine: Engine) -> None:
    """Least and most, none at all, and one of each in a tuple."""
    items = {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4}
    assert {len(value) for value in of(items, random_engine, seeds=100)} == {2, 3, 4}
    assert of({"type": "array", "maxItems": 0}, random_engine, seeds=1)[0] == []
    fixed = {"type": "array", "prefixItems": [{"type": "null"}, {"const": 7}]}
    assert of(fixed, random_engine, seeds=1)[0] == [None, 7]


def test_types_and_alternatives(random_engine: Engine) -> None:
    """A number is one of JSON's, a list of types is a choice, and so are anyOf and an enum."""
    assert all(isinstance(value, int) for value in of({"type": "integer"}, random_engine))
    assert all(isinstance(value, (int, float)) for value in of({"type": "number"}, random_engine))
    assert set(of({"type": ["boolean", "null"]}, random_engine, 20)) == {True, False, None}
    either = {"anyOf": [{"const": "one"}, {"type": "null"}]}
    assert set(of(either, random_engine, 20)) == {"one", None}
    assert set(of({"enum": ["a", "b", 3]}, random_engine, 30)) == {"a", "b", 3}
    bounded = {"type": "string", "minLength": 2, "maxLength": 3}
    assert {len(value) for value in of(bounded, random_engine, 10)} <= {2, 3}


def test_references_may_be_recursive_and_parts_are_put_together(random_engine: Engine) -> None:
    """A tree of nodes, and an object of two."""
    node = {
        "properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}},
        "required": ["next"],
    }
    for value in of({"$ref": "#/$defs/node", "$defs": {"node": node}}, random_engine):
        while value is not None:
            assert list(value) == ["next"]
            value = value["next"]
    parts = {
        "allOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"properties": {"b": {"const": 2}}}]
    }
    assert of(parts, random_engine)[0].items() <= {"a": 1, "b": 2}.items()


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "pattern": "^a"}, "'pattern' cannot be kept"),
        ({"properties": {"age": {"type": "integer", "minimum": 0}}}, r"schema\.age: 'minimum'"),
        ({"type": "thing"}, "no type 'thing'"),
        ({"$ref": "https://example.org/x"}, "same schema"),
        ({"$ref": "#/$defs/none"}, "points to nothing"),
        ({"$ref": "#"}, "points to itself"),
        ({"enum": []}, "neither empty"),
        ({"type": "array", "minItems": 3, "maxItems": 2}, "less than"),
        ({"type": "array", "maxItems": 10**9}, "numbers up to"),
        ({"type": "array", "maxItems": -1}, "numbers up to"),
        ({"prefixItems": [{"type": "string", "maxLength": 1500}] * 2}, "repetitions"),
        ({"properties": []}, "'properties' is an object"),
        ({"allOf": [{"type": "string"}, {"type": "null"}]}, "allOf"),
        ({"items": 5}, "a schema is an object"),
        ({"prefixItems": [{"enum": [1]}] * 1999 + [{"prefixItems": [{"enum": [1]}] * 1999}]}, "too large"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_place(schema: Any, words: str) -> None:
    """Nothing of a schema is ignored in silence, and none is too much work."""
    with pytest.raises(MalformedRequest, match=words):
        schema_grammar(schema)


def test_a_schema_that_is_nested_too_deeply_is_refused() -> None:
    """Before it becomes a matter of Python's own depth."""
    schema: dict[str, Any] = {}
    for _ in range(500):
        schema = {"items": schema}
    with pytest.raises(MalformedRequest, match="too deeply"):
        schema_grammar({"items": schema})


def test_a_grammar_that_is_refused_or_at_its_end_fails_its_own_request_only(random_engine: Engine) -> None:
    """Others that run at the same time come to their end."""
    taken = []
    for grammar in ("root ::= nothing", "root ::= root", " ", 'root ::= "\\U0010FFFF"'):
        request = GenerationRequest(((70,),), 10, GREEDY, grammar=grammar)
        taken.append(Taken())
        random_engine.add(Sequence(request, taken[-1]))
    assert len(reply(random_engine, "Well: ")) == 24
    assert [type(one.error) for one in taken[:3]] == [EngineFailed] * 3


def test_a_token_that_shows_nothing_stands_for_none_of_its_text(random_engine: Engine) -> None:
    """The unknown token is called `<unk>`: a grammar that admits that text gets it letter by letter."""
    assert generate(random_engine, 'root ::= "<unk>"', GREEDY) == "<unk>"
    eager = structs.replace(HOT, logit_bias=(*ASCII, (CONTROLS.index("<unk>"), 100.0)))
    assert generate(random_engine, 'root ::= "<unk>"', eager) == "<unk>"


async def ask(served: Running, wanted: Any, **fields: Any) -> httpx.Response:
    messages = [{"role": "user", "content": "a value, please"}]
    body = {
        "model": "shareai-demo",
        "messages": messages,
        "response_format": wanted,
        "max_tokens": 300,
        **fields,
    }
    return await served.client.post("/v1/chat/completions", json=body)


async def test_a_reply_keeps_to_the_schema_that_its_request_names(random_running: Running) -> None:
    """Whole and streamed, alone and side by side with free text."""
    schema = {"properties": {"yes": {"type": "boolean"}, "word": SHORT}, "required": ["yes", "word"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema, "strict": True}}
    choices = (await ask(random_running, wanted, n=2, seed=1)).json()["choices"]
    for choice in choices:
        value = json.loads(choice["message"]["content"])
        assert value.keys() == {"yes", "word"}
        assert choice["finish_reason"] == "stop"
    stream = (await ask(random_running, wanted, stream=True)).text
    chunks = [json.loads(line[6:])["choices"][0] for line in stream.split("\n\n")[:-2]]
    assert json.loads("".join(chunk["delta"].get("content", "") for chunk in chunks)).keys() == {
        "yes",
        "word",
    }


async def test_json_object_is_an_object_as_far_as_it_goes(random_running: Running) -> None:
    """It begins as one; a limit may cut it off, as the reason says."""
    [choice] = (await ask(random_running, {"type": "json_object"})).json()["choices"]
    assert choice["message"]["content"].startswith("{")
    if choice["finish_reason"] == "stop":
        assert isinstance(json.loads(choice["message"]["content"]), dict)


async def test_a_schema_that_cannot_be_kept_is_a_400(random_running: Running) -> None:
    """With the field that it is about; the next request is answered."""
    schema = {"type": "string", "pattern": "x"}
    wanted = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}
    error = (await ask(random_running, wanted)).json()["error"]
    assert error["param"] == "response_format.json_schema.schema"
    assert (await ask(random_running, {"type": "text"}, max_tokens=2)).status_code == 200
