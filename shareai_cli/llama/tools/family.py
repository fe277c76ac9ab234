"""What a family of models has of its own: how it writes a call, and how it marks what it thinks."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from shareai_cli.errors import MalformedRequest
from shareai_cli.llama.bodies.chat import Tool
from shareai_cli.llama.gbnf import JSON, Dialect, Rules, quoted
from shareai_cli.llama.schema_grammar import MOST_RULES, schema_expression
from shareai_cli.llama.tools.pieces import Arguments, CallBegins, Reasoning
from shareai_cli.llama.tools.source import MOST_HELD, JsonScan, Reading, Source

Read = Callable[[Source, Sequence[Tool]], Reading[None]]
"""Reads a reply to a request that offers these tools."""


class Wanted(Struct, frozen=True):
    """Which calls a reply may hold."""

    tools: Sequence[Tool]
    several: bool
    demanded: bool
    """Whether one has to come: then a schema that cannot be kept is the client's mistake."""


Calls = Callable[[Rules, Wanted], str]
"""Returns the expression of the calls that are wanted."""


class Thinking(Struct, frozen=True):
    """The marks around what a model thinks before it answers."""

    begin: str
    end: str
    between: str = ""
    """What follows `end` before the answer."""


class Family(Struct, frozen=True):
    """One way to write replies."""

    read: Read
    calls: Calls
    opening: str = ""
    """The mark that stands before the first call, which `calls` leaves out; "" where none always does."""
    marks: tuple[str, ...] = ()
    """Tokens that the vocabulary may take for control tokens, and that `read` has to see."""
    thinking: Thinking | None = None
    answer: str = ""
    """What stands before an answer that calls nothing."""
    dialect: Dialect = JSON
    short_ids: bool = False
    """Whether the template takes ids of calls only if they are nine letters or digits."""


def thoughtful(thinking: Thinking, opened: bool, source: Source, then: Reading[None]) -> Reading[None]:
    """Read what a model thinks, which its prompt may have `opened`, and `then` the rest."""
    if opened or (yield from source.met(thinking.begin)):
        yield from source.skip_blank()
        yield from source.pour(Reasoning, thinking.end)
        yield from source.skip_blank()
    yield from then


def ways(rules: Rules, wanted: Wanted, before: Callable[[str], str], after: str = "") -> str:
    """Return the name of a rule for a call of any tool: what comes before its arguments, these, the rest."""
    ends = f" {quoted(after)}" if after else ""
    return rules.one_of(
        *(
            f"{quoted(before(tool.function.name))} {arguments_of(rules, tool, wanted)}{ends}"
            for tool in wanted.tools
        )
    )


def arguments_of(rules: Rules, tool: Tool, wanted: Wanted) -> str:
    """Return the expression of a tool's arguments; any object where it says nothing of them.

    So, too, where many tools have filled the grammar already, unless this one is `strict`.
    """
    function = tool.function
    is_strict = bool(function.strict) and wanted.demanded
    if not function.parameters or (len(rules) > MOST_RULES // 2 and not is_strict):
        return "object"
    return value_of(rules, tool, {**function.parameters, "type": "object"}, wanted, otherwise="object")


def value_of(rules: Rules, tool: Tool, schema: Any, wanted: Wanted, otherwise: str = "value") -> str:
    """Return the expression of a value in a tool's arguments, `otherwise` where that is all that can be."""
    function = tool.function
    is_strict = bool(function.strict) and wanted.demanded
    field = f"tools.{function.name[:64]}.parameters"
    try:
        return schema_expression(rules, schema, field=field, strict=is_strict)
    except MalformedRequest:
        if wanted.demanded:
            raise
        return otherwise


def repeated(expression: str, between: str, several: bool) -> str:
    """Return the expression of one call, or of one and more with something between them."""
    return f"{expression} ({between} {expression})*" if several else expression


# A call as an object of JSON ------------------------------------------------------------------------------

_head = re.compile(
    r'\s*\{\s*(?:"type"\s*:\s*"function"\s*,\s*)?"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,'
    r'\s*"(?:arguments|parameters)"\s*:\s*(?=\{)'
)


def object_call(source: Source, close: str = "", names: Sequence[str] | None = None) -> Reading[bool]:
    """Read `{"name": ..., "arguments": {...}}` and `close`; return whether it was there. Else all stays.

    The arguments are handed on as they come. `names` are those that make an object a call.
    """
    scan, seen = JsonScan(), 0
    while True:
        head = _head.match(source.text)
        if head is not None:
            return (yield from _flowing_call(source, head, close, names))
        seen += scan.feed(source.text[seen:])
        if scan.complete or source.ended or seen > MOST_HELD or (close and close in source.text):
            break
        yield None
    call = _whole_call(source.text[:seen])
    if call is None or (names is not None and call[0] not in names):
        return False
    source.text = source.text[seen:]
    yield CallBegins(call[0])
    yield Arguments(call[1])
    if close:
        yield from source.take(close)
    return True


def _flowing_call(
    source: Source, head: re.Match[str], close: str, names: Sequence[str] | None
) -> Reading[bool]:
    name = _decoded(head[1])
    if not isinstance(name, str) or (names is not None and name not in names):
        return False
    source.text = source.text[head.end() :]
    yield CallBegins(name)
    yield from source.pour_json()
    if close:
        yield from source.take(close)
    else:
        yield from _end_of_object(source)
    return True


def _end_of_object(source: Source) -> Reading[None]:
    """Pass what is left of an object whose arguments were read."""
    scan = JsonScan()
    scan.feed("{")
    while True:
        source.text = source.text[scan.feed(source.text) :]
        if scan.complete or source.ended:
            return
        yield None


def _whole_call(text: str) -> tuple[str, str] | None:
    """Return the name and the arguments of a call that is written in any other order, None for no call."""
    value = _decoded(text.strip())
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    arguments = value.get("arguments", value.get("parameters", {}))
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    return value["name"], arguments


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
