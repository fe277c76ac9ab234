"""Mistral: `[TOOL_CALLS][{"name": ..., "arguments": {...}}, ...]`, later `[TOOL_CALLS]name[ARGS]{...}` each.

Reference: https://docs.mistral.ai/cookbooks/concept-deep-dive-tokenization-tool_calling
"""

from __future__ import annotations

from collections.abc import Sequence

from shareai_cli.llama.bodies.chat import Tool
from shareai_cli.llama.gbnf import Rules, quoted
from shareai_cli.llama.tools.family import Family, Wanted, object_call, repeated, ways
from shareai_cli.llama.tools.pieces import CallBegins, Content
from shareai_cli.llama.tools.source import Reading, Source

CALLS = "[TOOL_CALLS]"
ARGUMENTS = "[ARGS]"
ID = "[CALL_ID]"


def read(source: Source, _tools: Sequence[Tool]) -> Reading[None]:
    """Read text and calls, of the older and of the later form."""
    while (yield from source.pour(Content, CALLS)):
        is_list = (yield from source.next_character()) == "["
        found = yield from (_list(source) if is_list else _named(source))
        if found:
            yield from source.skip_blank()
        else:
            yield Content(CALLS)


def _list(source: Source) -> Reading[bool]:
    yield from source.met("[")
    found = False
    while (yield from object_call(source)):
        found = True
        if not (yield from source.met(",")):
            yield from source.met("]")
            return True
    if not found:
        source.text = f"[{source.text}"
    return found


def _named(source: Source) -> Reading[bool]:
    name, mark = yield from source.take(ARGUMENTS, ID, "{")
    if mark == ID:
        _, mark = yield from source.take(ARGUMENTS)
    if mark == "{":
        source.text = mark + source.text
    if not mark or not name.strip() or (yield from source.next_character()) != "{":
        source.text = name + source.text
        return False
    yield CallBegins(name.strip())
    yield from source.pour_json()
    return True


def list_calls(rules: Rules, wanted: Wanted) -> str:
    """Return the expression of calls in the older form."""
    call = ways(rules, wanted, _head, "}")
    return f"{quoted('[')} {repeated(call, quoted(', '), wanted.several)} {quoted(']')}"


def named_calls(rules: Rules, wanted: Wanted) -> str:
    """Return the expression of calls in the later form."""
    call = ways(rules, wanted, lambda name: f"{name}{ARGUMENTS}")
    return repeated(call, quoted(CALLS), wanted.several)


def _head(name: str) -> str:
    return f'{{"name": "{name}", "arguments": '


MISTRAL = Family(read, named_calls, CALLS, marks=(CALLS, ARGUMENTS, ID), short_ids=True)
MISTRAL_LIST = Family(read, list_calls, CALLS, marks=(CALLS, ARGUMENTS, ID), short_ids=True)
