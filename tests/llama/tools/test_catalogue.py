from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shareai_cli.llama.template import CHATML
from shareai_cli.llama.tools.catalogue import family_of
from shareai_cli.llama.tools.deepseek import DEEPSEEK_V3, DEEPSEEK_V31
from shareai_cli.llama.tools.family import Family, Read, Thinking, thoughtful
from shareai_cli.llama.tools.gemma import FUNCTION_GEMMA, GEMMA4
from shareai_cli.llama.tools.harmony import HARMONY
from shareai_cli.llama.tools.hermes import HERMES
from shareai_cli.llama.tools.llama3 import LLAMA3
from shareai_cli.llama.tools.mistral import MISTRAL, MISTRAL_LIST
from shareai_cli.llama.tools.qwen_coder import QWEN_CODER
from shareai_cli.llama.tools.source import ReplyReader
from tests.llama.tools.reading import TOOLS, read


@pytest.mark.parametrize(
    ("template", "family"),
    [
        (CHATML, HERMES),
        ("{% if tools %}{{ tools }}{% endif %}", HERMES),
        ("<|im_start|>{{ tools }}<tool_call></tool_call><think></think>", HERMES),
        ("<tool_call>\n<function={{ name }}>\n<parameter=", QWEN_CODER),
        ("<|start_header_id|>ipython<|end_header_id|>{{ tools }}<|python_tag|>", LLAMA3),
        ("[AVAILABLE_TOOLS]{{ tools }}[/AVAILABLE_TOOLS][TOOL_CALLS]", MISTRAL_LIST),
        ("[AVAILABLE_TOOLS]{{ tools }}[TOOL_CALLS]name[ARGS]", MISTRAL),
        ("<|start|>assistant<|channel|>analysis<|message|>", HARMONY),
        ("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>\n```json", DEEPSEEK_V3),  # noqa: RUF001
        ("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜></think>", DEEPSEEK_V31),  # noqa: RUF001
        ("<|tool_call>call:<tool_call|>", GEMMA4),
        ("<start_function_call>call:", FUNCTION_GEMMA),
    ],
)
def test_a_template_tells_its_family(template: str, family: Family) -> None:
    """By the marks that it writes around earlier calls; without any, Hermes' form is asked for."""
    assert family_of(template).read is family.read
    assert family_of(template).calls is family.calls


@pytest.mark.parametrize(
    ("template", "begin"),
    [
        ("<think></think>", "<think>"),
        ("[TOOL_CALLS][THINK][/THINK]", "[THINK]"),
        ("<|tool_call><|channel>thought", "<|channel>thought"),
    ],
)
def test_a_template_tells_how_thoughts_are_marked(template: str, begin: str) -> None:
    """Beside the family of its calls."""
    found = family_of(template).thinking
    assert found is not None
    assert found.begin == begin
    assert family_of(CHATML).thinking is None


THINK = Thinking("<think>", "</think>")


def thinking_reader(read_rest: Read = HERMES.read, *, opened: bool = False) -> ReplyReader:
    return ReplyReader(lambda source: thoughtful(THINK, opened, source, read_rest(source, TOOLS)))


@given(size=st.integers(1, 30))
def test_thoughts_are_told_from_the_answer_and_its_calls(size: int) -> None:
    """The blank lines around them are no part of either; a call within thoughts is a thought."""
    call = '<tool_call>{"name": "now", "arguments": {}}</tool_call>'
    reply = f"<think>\nIt is <b>late</b>.\n\n{call}\n</think>\n\nLet me see.\n{call}"
    thought = f"It is <b>late</b>.\n\n{call}"
    assert read(thinking_reader, reply, size) == ("Let me see.", thought, [("now", "{}")])


@given(size=st.integers(1, 30))
def test_thoughts_that_the_prompt_began_go_on(size: int) -> None:
    """Some templates write the mark themselves."""
    make = partial(thinking_reader, opened=True)
    assert read(make, "Hm.\n</think>\nYes.", size) == ("Yes.", "Hm.", [])
    assert read(make, "Hm, that never", size) == ("", "Hm, that never", [])


def test_an_answer_without_thoughts_is_an_answer() -> None:
    """Where a model may think and does not."""
    for size in (1, 4, 50):
        assert read(thinking_reader, "<thin ice>", size) == ("<thin ice>", "", [])
