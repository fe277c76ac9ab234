"""Which family's way of writing a model follows, by what its chat template has in it."""

from __future__ import annotations

from msgspec.structs import replace

from shareai_cli.llama.tools.deepseek import BEGIN, DEEPSEEK_V3, DEEPSEEK_V31
from shareai_cli.llama.tools.family import Family, Thinking
from shareai_cli.llama.tools.gemma import FUNCTION_GEMMA, GEMMA4
from shareai_cli.llama.tools.harmony import HARMONY
from shareai_cli.llama.tools.hermes import HERMES
from shareai_cli.llama.tools.llama3 import LLAMA3
from shareai_cli.llama.tools.mistral import MISTRAL, MISTRAL_LIST
from shareai_cli.llama.tools.qwen_coder import QWEN_CODER

_THINKING = (
    Thinking("<think>", "</think>"),
    Thinking("[THINK]", "[/THINK]"),
    Thinking("<seed:think>", "</seed:think>"),
)


def family_of(template: str) -> Family:
    """Return the family of a chat template; Hermes' where nothing tells another one."""
    family = _writer(template) or HERMES
    if family.thinking is not None:
        return family
    thinking = next((marks for marks in _THINKING if marks.end in template), None)
    return replace(family, thinking=thinking)


def writes_otherwise(template: str) -> bool:
    """Tell whether a template shows calls in a form that is none of those here, so that nothing reads it."""
    return "tool_calls" in template and _writer(template) is None


def _writer(template: str) -> Family | None:
    for marks, family in (
        (("<|channel|>", "<|message|>"), HARMONY),
        ((BEGIN, "```json"), DEEPSEEK_V3),
        ((BEGIN,), DEEPSEEK_V31),
        (("[TOOL_CALLS]", "[ARGS]"), MISTRAL),
        (("[TOOL_CALLS]",), MISTRAL_LIST),
        (("<|tool_call>",), GEMMA4),
        (("<start_function_call>",), FUNCTION_GEMMA),
        (("<tool_call>", "<function="), QWEN_CODER),
        (("<tool_call>",), HERMES),
        (("<|start_header_id|>", "tools"), LLAMA3),
        (("<|python_tag|>",), LLAMA3),
    ):
        if all(mark in template for mark in marks):
            return family
    return None
