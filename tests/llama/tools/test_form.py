"""Calls that have to come: the random model is held to each family's grammar, and its replies are read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import structs

from shareai_cli.errors import MalformedRequest
from shareai_cli.llama.batching.generation import GenerationRequest
from shareai_cli.llama.batching.sampling import Sampling
from shareai_cli.llama.batching.sequence import Sequence
from shareai_cli.llama.bodies.chat import ChatBody, decode_chat
from shareai_cli.llama.demo.build import CONTROLS
from shareai_cli.llama.engine import Engine
from shareai_cli.llama.tools.deepseek import DEEPSEEK_V3, DEEPSEEK_V31
from shareai_cli.llama.tools.family import Family, Thinking
from shareai_cli.llama.tools.form import reader_of, reply_grammar
from shareai_cli.llama.tools.gemma import FUNCTION_GEMMA, GEMMA4
from shareai_cli.llama.tools.harmony import HARMONY
from shareai_cli.llama.tools.hermes import HERMES
from shareai_cli.llama.tools.llama3 import LLAMA3
from shareai_cli.llama.tools.mistral import MISTRAL, MISTRAL_LIST
from shareai_cli.llama.tools.qwen_coder import QWEN_CODER
from tests.llama.tools.reading import Read, read
from tests.support.replies import Taken, finish

FAMILIES = {
    "Hermes": HERMES,
    "Qwen's coders": QWEN_CODER,
    "Llama 3": LLAMA3,
    "Mistral": MISTRAL,
    "Mistral, older": MISTRAL_LIST,
    "gpt-oss": HARMONY,
    "DeepSeek V3": DEEPSEEK_V3,
    "DeepSeek V3.1": DEEPSEEK_V31,
    "Gemma 4": GEMMA4,
    "FunctionGemma": FUNCTION_GEMMA,
}

ASCII = tuple((token, -100.0) for token in range(len(CONTROLS) + 128, len(CONTROLS) + 256))
BEFORE_BYTES = len(CONTROLS)
HOT = Sampling(temperature=30.0, top_k=0, top_p=1.0, min_p=0.0, logit_bias=ASCII)

SHORT = {"type": "string", "maxLength": 3}
PARAMETERS = {
    "type": "object",
    "properties": {
        "days": {"type": "integer", "minimum": 1},
        "units": {"type": "string", "enum": ["metric", "imperial"]},
        "exact": {"type": "boolean"},
    },
    "required": ["days", "units"],
}


def body(**fields: Any) -> ChatBody:
    tools = [
        {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}},
        {
            "type": "function",
            "function": {"name": "now", "parameters": {"properties": {}, "additionalProperties": False}},
        },
    ]
    messages = [{"role": "user", "content": "hi"}]
    wanted = {"model": "m", "messages": messages, "tools": tools, **fields}
    return decode_chat(json.dumps(wanted).encode())


def generate(engine: Engine, family: Family, wanted: ChatBody, seed: int, *, opened: bool = False) -> Read:
    """Return what the random model makes of a request, as its reader tells it."""
    grammar = reply_grammar(family, wanted, opened)
    sampling = structs.replace(HOT, seed=seed)
    request = GenerationRequest((tuple(engine.model.tokenize("Well: ")),), 450, sampling, grammar=grammar)
    taken = Taken()
    engine.add(Sequence(request, taken))
    finish(engine)
    assert taken.error is None
    assert taken.ended.reason == "stop", taken.text
    make = reader_of(family, wanted, opened)
    assert make is not None
    return read(make, taken.text, 5)


def unthinking(name: str) -> Family:
    """Return a family without thoughts: at random, there would be no end to them."""
    return structs.replace(FAMILIES[name], thinking=None)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_call_that_is_required_comes_and_keeps_to_its_schema(name: str, random_engine: Engine) -> None:
    """Of any of the tools, its required arguments always there, each of its type."""
    wanted = body(tool_choice="required", parallel_tool_calls=False)
    called = set()
    for seed in range(8):
        text, _, calls = generate(random_engine, unthinking(name), wanted, seed)
        [(function, written)] = calls
        called.add(function)
        arguments = json.loads(written)
        assert text == ""
        if function == "weather":
            assert isinstance(arguments["days"], int)
            assert arguments["units"] in ("metric", "imperial")
            assert arguments.get("exact", True) in (True, False)
        else:
            assert arguments == {}
    assert called == {"weather", "now"}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_tool_that_is_named_is_called_once(name: str, random_engine: Engine) -> None:
    """And no other."""
    choice = {"type": "function", "function": {"name": "now"}}
    for seed in range(3):
        found = generate(random_engine, unthinking(name), body(tool_choice=choice), seed)
        assert [function for function, _ in found[2]] == ["now"]


def test_several_calls_may_come_unless_they_must_not(random_engine: Engine) -> None:
    """As many as the model makes."""
    counts = {
        len(generate(random_engine, HERMES, body(tool_choice="required"), seed)[2]) for seed in range(12)
    }
    assert max(counts) > 1
    assert min(counts) == 1


def test_an_answer_of_a_form_or_a_call(random_engine: Engine) -> None:
    """With tools and a form at once it is the model's choice, and either way it is kept to."""
    schema = {"properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}
    form = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}
    kinds = set()
    for seed in range(12):
        text, _, calls = generate(random_engine, HERMES, body(response_format=form), seed)
        kinds.add(bool(calls))
        assert calls or json.loads(text)["yes"] in (True, False)
    assert kinds == {True, False}
    with pytest.raises(MalformedRequest, match="together with tools"):
        reply_grammar(GEMMA4, body(response_format=form), False)


def test_thoughts_before_a_call_are_free(random_engine: Engine) -> None:
    """Up to their mark, whether the prompt began them or the reply; then the call comes."""
    family = structs.replace(HERMES, thinking=Thinking("<", ">"))
    wanted = body(tool_choice={"type": "function", "function": {"name": "now"}})
    thoughts = []
    for seed in range(6):
        _, thought, calls = generate(random_engine, family, wanted, seed, opened=True)
        assert [function for function, _ in calls] == ["now"]
        thoughts.append(thought)
    assert any(len(thought) > 20 for thought in thoughts)
    # They may be left out, but not where the prompt has begun them already.
    may, must = (reply_grammar(family, wanted, opened).splitlines()[0] for opened in (False, True))
    assert ")? " in may
    assert ")? " not in must


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.opening])
def test_an_answer_is_free_until_a_call_begins_which_is_then_a_proper_one(
    name: str, random_engine: Engine
) -> None:
    """Of a mark that comes as often as here there is nothing but a call of a tool behind it."""
    family = unthinking(name)
    marked = structs.replace(family, opening="@")
    free, called = 0, 0
    for seed in range(10):
        grammar = reply_grammar(marked, body(parallel_tool_calls=False), False)
        sampling = structs.replace(HOT, seed=seed, logit_bias=(*ASCII, (BEFORE_BYTES + ord("@"), 60.0)))
        request = GenerationRequest(
            (tuple(random_engine.model.tokenize("Well: ")),), 200, sampling, grammar=grammar
        )
        taken = Taken()
        random_engine.add(Sequence(request, taken))
        finish(random_engine)
        text, mark, call = taken.text.partition("@")
        make = reader_of(family, body(), False)
        assert make is not None
        if mark and taken.ended.reason == "stop":
            called += 1
            found = read(make, family.opening + call, 3)
            assert found[0] == ""
            assert found[2][0][0] in ("weather", "now")
            assert json.loads(found[2][0][1]) is not None
        free += len(text) > 3
    assert called
    assert free


def test_what_only_helps_is_left_out_where_it_cannot_be_made() -> None:
    """A schema that no grammar keeps does not stand against a call that need not come."""
    odd = [{"type": "function", "function": {"name": "odd", "parameters": {"properties": [1]}}}]
    assert '"object"' not in reply_grammar(HERMES, body(tools=odd), False)
    with pytest.raises(MalformedRequest):
        reply_grammar(HERMES, body(tools=odd, tool_choice="required"), False)
    assert reply_grammar(LLAMA3, body(tools=odd), False) == ""
    assert reply_grammar(HERMES, body(tool_choice="none"), False) == ""


def test_a_strict_tool_keeps_to_all_of_its_schema_or_is_refused() -> None:
    """What a grammar cannot keep is said, with its place; for other tools it is done as well as can be."""
    strict = {"name": "weather", "parameters": PARAMETERS, "strict": True}
    wanted = body(tools=[{"type": "function", "function": strict}], tool_choice="required")
    with pytest.raises(MalformedRequest, match="'minimum'") as caught:
        reply_grammar(HERMES, wanted, False)
    assert caught.value.param == "tools.weather.parameters"
