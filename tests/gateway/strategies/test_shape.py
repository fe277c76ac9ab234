"""What is read of a request: its length, what it needs, which conversation it belongs to."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shareai_cli.gateway.body import decode_fields
from shareai_cli.gateway.strategies.shape import (
    JSON_SCHEMA,
    TOKENS_PER_MEDIUM,
    TOOLS,
    VISION,
    Shape,
    conversation_of,
    rounded,
    shape_of,
)

QUESTION = [{"role": "user", "content": "hi"}]
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}}


def shape(**fields: Any) -> Shape:
    return shape_of(decode_fields(json.dumps({"messages": QUESTION, **fields}).encode()))


def conversation(messages: list[Any], caller: int = 1, **fields: Any) -> bytes:
    return conversation_of(decode_fields(json.dumps({"messages": messages, **fields}).encode()), caller)


@pytest.mark.parametrize(
    ("fields", "needs"),
    [
        ({}, 0),
        ({"tools": None}, 0),
        ({"tools": []}, 0),
        ({"tools": [{"type": "function"}]}, TOOLS),
        ({"response_format": None}, 0),
        ({"response_format": {"type": "json_object"}}, 0),
        ({"response_format": {"type": "json_schema"}}, JSON_SCHEMA),
        ({"response_format": 7}, 0),
        ({"messages": [{"role": "user", "content": [PICTURE]}]}, VISION),
        ({"messages": [{"role": "user", "content": 'of "type": "image_url"'}]}, 0),
    ],
)
def test_what_a_request_needs(fields: dict[str, Any], needs: int) -> None:
    """By its fields; a text that speaks of pictures is none."""
    assert shape(**fields).needs == needs


@pytest.mark.parametrize(
    ("fields", "longest"),
    [
        ({}, None),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 9, "max_tokens": 7}, 9),
        ({"max_tokens": None}, None),
        ({"max_tokens": "7"}, None),
        ({"max_tokens": -1}, None),
        ({"max_tokens": 10**30}, None),
        ({"max_tokens": True}, None),
    ],
)
def test_how_long_its_answer_may_be(fields: dict[str, Any], longest: int | None) -> None:
    """As it says; what is no number of tokens is the upstream's to refuse."""
    assert shape(**fields).longest == longest


def test_a_picture_is_not_taken_for_text() -> None:
    """However many bytes it has."""
    found = shape(messages=[{"role": "user", "content": [PICTURE, PICTURE]}])
    assert found.prompt == pytest.approx(2 * TOKENS_PER_MEDIUM, abs=100)


def test_tools_are_part_of_the_prompt() -> None:
    """They are tokens as the messages are."""
    tools = [{"type": "function", "function": {"name": "x", "description": "word " * 800}}]
    assert shape(tools=tools).prompt > shape().prompt + 1_000


def test_no_text_takes_long_to_look_at() -> None:
    """A megabyte of words that almost look like files."""
    text = ("A" * 250 + " ") * 4_000
    began = time.process_time()
    shape(messages=[{"role": "user", "content": [{"type": "image_url"}, {"type": "text", "text": text}]}])
    assert time.process_time() - began < 0.5


@given(st.integers(0, 1 << 40))
def test_rounding_is_upward_and_by_an_eighth_at_most(tokens: int) -> None:
    """And what is rounded stays as it is."""
    assert tokens <= rounded(tokens) <= max(tokens, tokens * 9 // 8 + 1)
    assert rounded(rounded(tokens)) == rounded(tokens)


def test_a_conversation_is_known_by_all_up_to_its_first_question() -> None:
    """Later turns are of the same; another question, instruction or client makes another one."""
    system = {"role": "system", "content": "Be brief."}
    first = [system, *QUESTION]
    later = [*first, {"role": "assistant", "content": "Hello!"}, {"role": "user", "content": "And?"}]
    assert conversation(first) == conversation(later)
    others = [
        conversation(QUESTION),
        conversation([system, {"role": "user", "content": "ho"}]),
        conversation(first, caller=2),
        conversation([*first, *QUESTION], prompt_cache_key="x"),
    ]
    assert len({conversation(first), *others}) == 5


def test_messages_that_are_none_are_a_conversation_all_the_same() -> None:
    """The upstream refuses them."""
    assert conversation([1, 2]) == conversation([1, 2]) != conversation([1, 3])
