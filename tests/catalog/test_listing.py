"""What a provider's answer to `/models` tells, in whichever words it says it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shareai_cli.catalog.listing import UNKNOWN, ModelFacts, read_listing

WORDS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("type", "context_length", "context_window", "max_context_length", "max_model_len", "meta",
          "max_input_tokens", "architecture", "supported_parameters", "capabilities")  # fmt: skip


def read(**fields: Any) -> ModelFacts:
    found = read_listing(json.dumps({"data": [{"id": "m", **fields}]}).encode())
    assert found is not None
    return found["m"]


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({}, UNKNOWN),
        ({"object": "model", "created": 1, "owned_by": "openai"}, UNKNOWN),
        ({"context_window": 131072, "active": True}, ModelFacts(131072)),
        ({"max_model_len": 4096, "permission": []}, ModelFacts(4096)),
        ({"meta": {"n_vocab": 5, "n_ctx_train": 512}}, ModelFacts(512)),
        ({"context_length": 0}, UNKNOWN),
        ({"context_length": True}, UNKNOWN),
        ({"context_length": "8192"}, UNKNOWN),
        (
            {
                "context_length": 200_000,
                "architecture": {"input_modalities": ["text", "image"]},
                "supported_parameters": ["tools", "temperature", "reasoning"],
            },
            ModelFacts(200_000, ("tools", "vision", "reasoning")),
        ),
        ({"supported_parameters": ["temperature"]}, ModelFacts(None, ())),
        (
            {
                "max_context_length": 32768,
                "capabilities": {"completion_chat": True, "function_calling": True, "vision": False},
            },
            ModelFacts(32768, ("tools",)),
        ),
        (
            {
                "max_input_tokens": 200_000,
                "capabilities": {
                    "image_input": {"supported": True},
                    "thinking": {"supported": True, "types": {}},
                    "batch": {"supported": True},
                },
            },
            ModelFacts(200_000, ("vision", "reasoning")),
        ),
        ({"context_length": 512, "type": "embedding"}, ModelFacts(512, ("embeddings",))),
        ({"type": "vlm", "capabilities": ["tool_use"]}, ModelFacts(None, ("tools", "vision"))),
        (
            {"supports_tools": True, "supports_image_input": False, "context_length": 8},
            ModelFacts(8, ("tools",)),
        ),
    ],
)
def test_each_providers_words_are_understood(fields: dict[str, Any], facts: ModelFacts) -> None:
    """What is not said stays unknown: no ability is taken to be missing because nobody named it."""
    assert read(**fields) == facts


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(FIELDS), WORDS))
def test_whatever_a_provider_says_beside_the_ids_the_ids_count(fields: dict[str, Any]) -> None:
    """Odd facts are no facts, and no reason to lose the list."""
    facts = read(**fields)
    assert facts.context is None or facts.context > 0


@pytest.mark.parametrize(
    "body",
    [b"", b"[1]", b'{"data": 1}', b'{"data": [{"id": ""}]}', b'{"data": [{}]}', b"[" * 100_000, b"\xff"],
)
def test_what_is_no_list_of_models_is_none(body: bytes) -> None:
    """A page, an error, half a reply."""
    assert read_listing(body) is None


def test_a_bare_list_is_a_list_as_well() -> None:
    """Together's has nothing around it; it is bounded as any other."""
    assert read_listing(b'[{"id": "m", "context_length": 8192}]') == {"m": ModelFacts(8192)}
    assert read_listing(json.dumps([{"id": str(number)} for number in range(20_001)]).encode()) is None


def test_thousands_of_models_are_read_at_once() -> None:
    """It happens between two requests."""
    model = {"context_length": 8, "supported_parameters": ["tools"] * 20, "description": "x" * 500}
    body = json.dumps({"data": [{"id": f"m-{number}", **model} for number in range(2000)]}).encode()
    began = time.thread_time()
    found = read_listing(body)
    assert time.thread_time() - began < 0.5
    assert found is not None
    assert len(found) == 2000
