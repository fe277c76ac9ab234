"""What numbers and templates of a GGUF mean: its quantisation, and the family that its chat template is of.

Quantisations are those of llama.cpp's `llama_ftype` (include/llama.h); families are told apart by the marks
that they write around messages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shareai_cli.types import Ability

_FILE_TYPES: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
        11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M",
        18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S",
        25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M",
        32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4", 39: "NVFP4", 40: "Q1_0", 41: "Q2_0",
    }
)  # fmt: skip

_FAMILIES: Final[tuple[tuple[str, bytes], ...]] = (
    ("harmony", b"<|channel|>"),
    ("chatml", b"<|im_start|>"),
    ("llama-4", b"<|header_start|>"),
    ("llama-3", b"<|start_header_id|>"),
    ("gemma", b"<start_of_turn>"),
    ("deepseek", "<\uff5cAssistant\uff5c>".encode()),
    ("mistral", b"[INST]"),
    ("command", b"<|START_OF_TURN_TOKEN|>"),
    ("granite", b"<|start_of_role|>"),
    ("phi", b"<|assistant|>"),
)
"""The first one whose mark is there counts."""

_REASONS = re.compile(rb"<think>|enable_thinking|reasoning_content|<\|channel\|>")
_NAMED = re.compile(
    r"(?<![A-Za-z0-9])(?:UD-)?(?:I?Q[1-9](?:_(?:K|NL|[0-9]|XXS|XS|XL|S|M|L))*|TQ[12]_0|B?F16|F32|MXFP4(?:_MOE)?)"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)


def quantization(file_type: int | None, name: str) -> str:
    """Return how a file's weights are kept, by its header, else by its name; empty where neither tells."""
    known = _FILE_TYPES.get(file_type) if file_type is not None else None
    return known or named_quantization(name)


def named_quantization(name: str) -> str:
    """Return the quantisation that a file's name tells, in capitals; of several the last; else empty."""
    found = _NAMED.findall(name)
    return found[-1].upper() if found else ""


def family(template: bytes) -> str:
    """Return which family a chat template is of: "own" for none that is known, empty where there is none."""
    if not template:
        return ""
    return next((name for name, mark in _FAMILIES if mark in template), "own")


def abilities(template: bytes) -> tuple[Ability, ...]:
    """Return what a chat template has words for."""
    found: list[Ability] = []
    if b"tools" in template:
        found.append("tools")
    if _REASONS.search(template):
        found.append("reasoning")
    return tuple(found)
