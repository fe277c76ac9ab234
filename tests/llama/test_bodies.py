from __future__ import annotations

import json
from typing import Any

import pytest

from shareai_cli.errors import MalformedRequest
from shareai_cli.llama.bodies.chat import decode_chat

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("temperature", 2.5, "temperature"),
        ("temperature", "hot", "temperature"),
        ("temperature", True, "temperature"),
        ("top_p", -0.1, "top_p"),
        ("top_k", -1, "top_k"),
        ("frequency_penalty", 3, "frequency_penalty"),
        ("max_tokens", 0, "max_tokens"),
        ("max_tokens", 1.5, "max_tokens"),
        ("max_completion_tokens", -5, "max_completion_tokens"),
        ("stop", [""], "stop[0]"),
        ("stop", ["x"] * 17, "stop"),
        ("stop", 7, "stop"),
        ("seed", "x", "seed"),
        ("n", 0, "n"),
        ("top_logprobs", 3, "top_logprobs"),
        ("top_logprobs", 21, "top_logprobs"),
        ("logit_bias", {"1": 101}, "logit_bias[...]"),
        ("logit_bias", {"one": 5}, "logit_bias"),
        ("logit_bias", {"-1": 5}, "logit_bias"),
        ("logit_bias", {str(token): 1 for token in range(2000)}, "logit_bias"),
        ("stop_token_ids", [-1], "stop_token_ids[0]"),
        ("typical_p", 2, "typical_p"),
        ("repeat_penalty", 0, "repeat_penalty"),
        ("repetition_penalty", 1000, "repetition_penalty"),
        ("response_format", {"type": "xml"}, "response_format.type"),
        ("response_format", {"type": "json_schema"}, "response_format.json_schema"),
        ("response_format", {"type": "json_schema", "json_schema": {}}, "response_format.json_schema.name"),
        ("tools", [{"type": "retrieval"}], "tools[0].type"),
        ("tools", [{"type": "function", "function": {}}], "tools[0].function.name"),
        ("tool_choice", "required", "tool_choice"),
        ("tool_choice", "sometimes", "tool_choice"),
        ("tool_choice", {"type": "function", "function": {"name": "none"}}, "tool_choice"),
        ("tool_choice", {"type": "function"}, "tool_choice.function"),
        ("tools", [{"type": "function", "function": {"name": 'a"b'}}], "tools[0].function.name"),
        ("tools", [{"type": "function", "function": {"name": "x" * 300}}], "tools[0].function.name"),
        ("messages", [], "messages"),
        ("messages", "hi", "messages"),
        ("messages", [{"content": "hi"}], "messages[0].role"),
        ("messages", [{"role": "king", "content": "hi"}], "messages[0].role"),
        ("messages", [{"role": "user", "content": 5}], "messages[0].content"),
        ("stream", "yes", "stream"),
        ("stream_options", {"include_usage": 1}, "stream_options.include_usage"),
    ],
)
def test_a_bad_field_is_named(field: str, value: object, named: str) -> None:
    """Every wrong or unsupported field is a 400 that names it."""
    with pytest.raises(MalformedRequest) as caught:
        decode_chat(json.dumps({**BODY, field: value}).encode()).sampling()
    assert caught.value.param == named
    assert named in caught.value.message


def test_an_image_is_refused_and_text_parts_are_not() -> None:
    """Local models read text; a part of another type is named by its place."""
    parts = [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": "x"}}]
    with pytest.raises(MalformedRequest) as caught:
        decode_chat(json.dumps({**BODY, "messages": [{"role": "user", "content": parts}]}).encode())
    assert caught.value.param == "messages[0].content[1]"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"null",
        b'{"model": NaN}',
        b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "\xff"}',
        b'{"model": "m", "messages": ' + b"[" * 100_000,
        b'{"model": "m", "tools": ' + b'{"a":' * 100_000,
        b'{"model": "m", "messages": [], "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_chat_completion_is_a_400(body: bytes) -> None:
    """Broken JSON of any kind is the client's mistake and never ends otherwise."""
    with pytest.raises(MalformedRequest):
        decode_chat(body)


def test_unknown_fields_and_nulls_pass() -> None:
    """Clients send fields that are newer than this server, and nulls for what they leave open."""
    nothing = dict.fromkeys(["temperature", "stop", "tools", "max_tokens", "seed", "response_format", "n"])
    chat = decode_chat(json.dumps({**BODY, **nothing, "brand_new": {"a": [1]}}).encode())
    assert chat.stops == ()
    assert chat.limit is None


def test_seeds_of_any_size_fit_and_are_kept() -> None:
    """A seed makes the same sampling each time; none makes another one each time."""
    same = [decode_chat(json.dumps({**BODY, "seed": -(2**62) + 7}).encode()).sampling() for _ in range(2)]
    assert same[0] == same[1]
    assert 0 <= same[0].seed < 2**32
    seeds = {decode_chat(json.dumps(BODY).encode()).sampling().seed for _ in range(8)}
    assert len(seeds) > 1
