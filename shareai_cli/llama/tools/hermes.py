"""Hermes and Qwen: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, once for each call.

Reference: https://github.com/NousResearch/Hermes-Function-Calling
"""

from __future__ import annotations

from collections.abc import Sequence

from shareai_cli.llama.bodies.chat import Tool
from shareai_cli.llama.gbnf import Rules, quoted
from shareai_cli.llama.tools.family import Family, Wanted, object_call, repeated, ways
from shareai_cli.llama.tools.pieces import Content
from shareai_cli.llama.tools.source import Reading, Source

OPEN = "<tool_call>"
CLOSE = "</tool_call>"


def read(source: Source, _tools: Sequence[Tool]) -> Reading[None]:
    """Read text and calls; what is no proper call stays text."""
    while (yield from source.pour(Content, OPEN)):
        if (yield from object_call(source, CLOSE)):
            yield from source.skip_blank()
        else:
            yield Content(OPEN)


def calls(rules: Rules, wanted: Wanted) -> str:
    """Return the expression of calls."""
    return repeated(ways(rules, wanted, _head, f"}}\n{CLOSE}"), quoted(f"\n{OPEN}"), wanted.several)


def _head(name: str) -> str:
    return f'\n{{"name": "{name}", "arguments": '


HERMES = Family(read, calls, OPEN, marks=(OPEN, CLOSE))
