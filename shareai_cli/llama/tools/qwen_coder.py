"""Qwen's coders: `<function=name>` with a `<parameter=key>` for each argument, inside `<tool_call>`.

Reference: https://huggingface.co/Qwen/Qwen3-Coder-30B-A3B-Instruct (chat template)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from shareai_cli.llama.bodies.chat import FunctionDefinition, Tool
from shareai_cli.llama.gbnf import Rules, quoted
from shareai_cli.llama.tools.family import Family, Wanted, repeated, value_of
from shareai_cli.llama.tools.pieces import Arguments, CallBegins, Content
from shareai_cli.llama.tools.source import Reading, Source

OPEN, CLOSE = "<tool_call>", "</tool_call>"
FUNCTION, FUNCTION_END = "<function=", "</function>"
PARAMETER, PARAMETER_END = "<parameter=", "</parameter>"

_DEFINITIONS = ("$defs", "definitions")


def read(source: Source, tools: Sequence[Tool]) -> Reading[None]:
    """Read text and calls; an argument becomes JSON of the type that its schema names."""
    while mark := (yield from source.pour(Content, OPEN, FUNCTION)):
        if mark == OPEN and not (yield from source.met(FUNCTION)):
            yield Content(OPEN)
            continue
        name, ended = yield from source.take(">")
        if not ended:
            yield Content(f"{FUNCTION}{name}")
            return
        yield CallBegins(name.strip())
        function = next((tool.function for tool in tools if tool.function.name == name.strip()), None)
        yield from _arguments(source, _properties(function))
        yield from source.met(FUNCTION_END)
        yield from source.met(CLOSE)
        yield from source.skip_blank()


def _arguments(source: Source, properties: Mapping[str, Any]) -> Reading[None]:
    before = "{"
    while (yield from source.met(PARAMETER)):
        key, _ = yield from source.take(">")
        value, _ = yield from source.take(PARAMETER_END)
        written = _as_json(value.removeprefix("\n").removesuffix("\n"), properties.get(key))
        yield Arguments(f"{before}{json.dumps(key)}: {written}")
        before = ", "
    yield Arguments("{}" if before == "{" else "}")


def _as_json(text: str, schema: Any) -> str:
    if not _is_text(schema):
        try:
            msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            pass
        else:
            return text.strip()
    return json.dumps(text, ensure_ascii=False)


def _is_text(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "string"


def _properties(function: FunctionDefinition | None) -> Mapping[str, Any]:
    found = (function.parameters or {}).get("properties") if function is not None else None
    return found if isinstance(found, dict) else {}


def calls(rules: Rules, wanted: Wanted) -> str:
    """Return the expression of calls."""
    call = rules.one_of(*(_call(rules, tool, wanted) for tool in wanted.tools))
    return repeated(call, quoted(f"\n{OPEN}"), wanted.several)


def _call(rules: Rules, tool: Tool, wanted: Wanted) -> str:
    required = (tool.function.parameters or {}).get("required", [])
    parts = [quoted(f"\n{FUNCTION}{tool.function.name}>\n")]
    for key, schema in _properties(tool.function).items():
        value = _value(rules, tool, schema, wanted)
        part = f"{quoted(f'{PARAMETER}{key}>' + chr(10))} {value} {quoted(chr(10))}"
        is_required = isinstance(required, list) and key in required
        parts.append(part if is_required else f"({part})?")
    return " ".join([*parts, quoted(f"{FUNCTION_END}\n{CLOSE}")])


def _value(rules: Rules, tool: Tool, schema: Any, wanted: Wanted) -> str:
    """Return the expression of an argument and its end: a text as it stands, all else as JSON."""
    choices = schema.get("enum") if isinstance(schema, dict) else None
    if _is_text(schema) and not choices:
        return rules.until(f"\n{PARAMETER_END}")
    if _is_text(schema) and isinstance(choices, list):
        value = rules.one_of(*(quoted(str(one)) for one in choices))
    else:
        parameters = tool.function.parameters or {}
        definitions = {key: parameters[key] for key in _DEFINITIONS if key in parameters}
        root = {**definitions, **schema} if isinstance(schema, dict) else schema
        value = value_of(rules, tool, root, wanted)
    return f"{value} {quoted(chr(10) + PARAMETER_END)}"


QWEN_CODER = Family(read, calls, OPEN, marks=(OPEN, CLOSE))
