"""Llama 3: the whole reply is `{"name": ..., "parameters": {...}}`, perhaps behind `<|python_tag|>`.

Reference: https://www.llama.com/docs/model-cards-and-prompt-formats/llama3_1
"""

from __future__ import annotations

from collections.abc import Sequence

from shareai_cli.llama.bodies.chat import Tool
from shareai_cli.llama.gbnf import Rules
from shareai_cli.llama.tools.family import Family, Wanted, object_call, ways
from shareai_cli.llama.tools.pieces import Content
from shareai_cli.llama.tools.source import Reading, Source

TAG = "<|python_tag|>"


def read(source: Source, tools: Sequence[Tool]) -> Reading[None]:
    """Read calls, or text: an object that names no tool is an answer in JSON."""
    yield from source.met(TAG)
    names = [tool.function.name for tool in tools]
    while (yield from source.next_character()) == "{":
        if not (yield from object_call(source, names=names)):
            break
        yield from source.met(";", ",")
        yield from source.skip_blank()
    yield from source.pour(Content)


def calls(rules: Rules, wanted: Wanted) -> str:
    """Return the expression of the one call that such a reply is."""
    return ways(rules, wanted, _head, "}")


def _head(name: str) -> str:
    return f'{{"name": "{name}", "parameters": '


LLAMA3 = Family(read, calls, marks=(TAG,))
