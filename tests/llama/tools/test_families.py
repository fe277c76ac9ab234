from __future__ import annotations

import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shareai_cli.llama.tools.deepseek import DEEPSEEK_V3, DEEPSEEK_V31
from shareai_cli.llama.tools.family import Family
from shareai_cli.llama.tools.gemma import FUNCTION_GEMMA, GEMMA4
from shareai_cli.llama.tools.harmony import HARMONY
from shareai_cli.llama.tools.hermes import HERMES
from shareai_cli.llama.tools.llama3 import LLAMA3
from shareai_cli.llama.tools.mistral import MISTRAL, MISTRAL_LIST
from shareai_cli.llama.tools.pieces import Arguments, CallBegins, Content
from shareai_cli.llama.tools.qwen_coder import QWEN_CODER
from tests.llama.tools.reading import Read, read, reader

ROME = ("weather", {"city": "Rome, {<it>}", "days": 2})
NOW: tuple[str, dict[str, object]] = ("now", {})

REPLIES: dict[str, tuple[Family, str, str, list[tuple[str, dict[str, object]]]]] = {
    "Hermes": (
        HERMES,
        'Let me see.\n<tool_call>\n{"name": "weather", "arguments": {"city": "Rome, {<it>}", "days": 2}}\n'
        '</tool_call>\n<tool_call>\n{"arguments": {}, "name": "now"}\n</tool_call>',
        "Let me see.",
        [ROME, NOW],
    ),
    "Qwen's coders": (
        QWEN_CODER,
        "Let me see.\n<tool_call>\n<function=weather>\n<parameter=city>\nRome, {<it>}\n</parameter>\n"
        "<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>\n"
        "<tool_call>\n<function=now>\n</function>\n</tool_call>",
        "Let me see.",
        [ROME, NOW],
    ),
    "Llama 3": (
        LLAMA3,
        '{"name": "weather", "parameters": {"city": "Rome, {<it>}", "days": 2}}',
        "",
        [ROME],
    ),
    "Llama 3 with a tag": (
        LLAMA3,
        '<|python_tag|>{"type": "function", "name": "weather", "parameters": '
        '{"city": "Rome, {<it>}", "days": 2}}; {"name": "now", "parameters": {}}',
        "",
        [ROME, NOW],
    ),
    "Mistral, older": (
        MISTRAL_LIST,
        'Let me see. [TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Rome, {<it>}", "days": 2}, '
        '"id": "abcdefghi"}, {"name": "now", "arguments": {}}]',
        "Let me see.",
        [ROME, NOW],
    ),
    "Mistral": (
        MISTRAL,
        'Let me see.[TOOL_CALLS]weather[ARGS]{"city": "Rome, {<it>}", "days": 2}'
        "[TOOL_CALLS]now[CALL_ID]abcdefghi[ARGS]{}",
        "Let me see.",
        [ROME, NOW],
    ),
    "gpt-oss": (
        HARMONY,
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>"
        "Let me see.<|end|><|start|>assistant<|channel|>commentary to=functions.weather "
        '<|constrain|>json<|message|>{"city": "Rome, {<it>}", "days": 2}<|call|>',
        "Let me see.",
        [ROME],
    ),
    "DeepSeek V3": (
        DEEPSEEK_V3,
        "Let me see.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n"  # noqa: RUF001
        '{"city": "Rome, {<it>}", "days": 2}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function'  # noqa: RUF001
        "<｜tool▁sep｜>now\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",  # noqa: RUF001
        "Let me see.",
        [ROME, NOW],
    ),
    "DeepSeek V3.1": (
        DEEPSEEK_V31,
        "Let me see.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>"  # noqa: RUF001
        '{"city": "Rome, {<it>}", "days": 2}<｜tool▁call▁end｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{}'  # noqa: RUF001
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",  # noqa: RUF001
        "Let me see.",
        [ROME, NOW],
    ),
    "Gemma 4": (
        GEMMA4,
        'Let me see.<|tool_call>call:weather{city:<|"|>Rome, {<it>}<|"|>,days:2}<tool_call|>'
        "<|tool_call>call:now{}<tool_call|>",
        "Let me see.",
        [ROME, NOW],
    ),
    "FunctionGemma": (
        FUNCTION_GEMMA,
        "<start_function_call>call:weather{city:<escape>Rome, {<it>}<escape>,days:2}<end_function_call>",
        "",
        [ROME],
    ),
}


def decoded(found: Read) -> list[tuple[str, object]]:
    return [(name, json.loads(arguments)) for name, arguments in found[2]]


@pytest.mark.parametrize("name", REPLIES)
@given(size=st.integers(1, 40))
def test_calls_are_read_wherever_a_token_ends(name: str, size: int) -> None:
    """Text, names and arguments come out the same for every cut, and no mark is in them."""
    family, reply, text, calls = REPLIES[name]
    found = read(partial(reader, family), reply, size)
    assert decoded(found) == calls
    assert found[0].strip() == text


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_that_is_cut_off_anywhere_is_read_as_far_as_it_goes(name: str) -> None:
    """A limit may end a reply within a mark, a name or a text: what has begun is there, nothing is raised."""
    family, reply, _, calls = REPLIES[name]
    for end in range(len(reply)):
        _, _, found = read(partial(reader, family), reply[:end], 7)
        assert [call for call, _ in found] == [call for call, _ in calls][: len(found)]


@pytest.mark.parametrize("name", REPLIES)
def test_text_alone_stays_text(name: str) -> None:
    """As it is, however it is cut."""
    family = REPLIES[name][0]
    plain = "A list: [1, 2], a < b, and {that} was `it`.\n\nYes.\n"
    reply = f"<|channel|>final<|message|>{plain}" if family is HARMONY else plain
    for size in (1, 3, 100):
        assert read(partial(reader, family), reply, size) == (plain, "", [])


@pytest.mark.parametrize(
    ("family", "broken"),
    [
        (HERMES, "<tool_call>{oops</tool_call>"),
        (HERMES, '<tool_call>{"name": 5, "arguments": {}}</tool_call>'),
        (LLAMA3, '{"name": "no tool", "parameters": {"a": 1}}'),
        (LLAMA3, '{"answer": 42}'),
        (MISTRAL_LIST, "[TOOL_CALLS][oops"),
        (MISTRAL, "[TOOL_CALLS] nothing else"),
        (GEMMA4, "<|tool_call>call:weather{city:<tool_call|>"),
        (GEMMA4, f"<|tool_call>call:weather{'{a:' * 90}<tool_call|>"),
    ],
)
def test_what_is_no_proper_call_stays_text(family: Family, broken: str) -> None:
    """A model that writes broken calls is quoted, not hidden."""
    for size in (1, 5, 200):
        text, _, calls = read(partial(reader, family), broken, size)
        assert calls == []
        assert text.split() == broken.split()


def test_arguments_flow_before_their_call_is_complete() -> None:
    """A client sees them grow, as a long text may be among them."""
    one = reader(HERMES)
    assert one.feed('<tool_call>\n{"name": "weather", "arguments": ') == []
    assert one.feed('{"city": "Ro') == [CallBegins("weather"), Arguments('{"city": "Ro')]
    assert one.feed("me") == [Arguments("me")]
    assert one.feed('"}}\n</tool') == [Arguments('"}')]
    assert one.feed("_call>") == []
    assert one.finish() == []


def test_text_flows_but_for_what_may_become_a_mark() -> None:
    """The beginning of a mark is held back, and given back where it was none."""
    one = reader(HERMES)
    assert one.feed("a <tool") == [Content("a")]
    assert one.feed("box>") == [Content(" <toolbox>")]


def test_arguments_that_are_a_text_of_json_are_that_json() -> None:
    """Some models quote them once more."""
    quoted = '<tool_call>{"name": "now", "arguments": "{\\"a\\": 1}"}</tool_call>'
    assert read(partial(reader, HERMES), quoted, 9)[2] == [("now", '{"a": 1}')]


def test_a_coders_argument_is_of_the_type_that_its_schema_names() -> None:
    """A text that looks like a number stays a text where a text is wanted."""
    reply = "<function=weather>\n<parameter=city>\n12\n</parameter>\n<parameter=days>\n12\n</parameter>\n"
    assert decoded(read(partial(reader, QWEN_CODER), reply, 11)) == [("weather", {"city": "12", "days": 12})]


def test_values_of_gemma_nest() -> None:
    """Lists, objects, numbers, bare words, and texts with anything in them."""
    reply = '<|tool_call>call:now{a:[1,{b:<|"|>x,}]<|"|>}],c:true,d:-1.5,e:word,f:[]}<tool_call|>'
    assert decoded(read(partial(reader, GEMMA4), reply, 4)) == [
        ("now", {"a": [1, {"b": "x,}]"}], "c": True, "d": -1.5, "e": "word", "f": []})
    ]
