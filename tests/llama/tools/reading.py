"""Replies read at any cut, and what comes of them, put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from shareai_cli.llama.bodies.chat import FunctionDefinition, Tool
from shareai_cli.llama.tools.family import Family
from shareai_cli.llama.tools.pieces import Arguments, CallBegins, Content, Piece, Reasoning
from shareai_cli.llama.tools.source import ReplyReader

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 1},
        "units": {"type": "string", "enum": ["metric", "imperial"]},
    },
    "required": ["city", "days"],
}


def tool(name: str, parameters: dict[str, Any] | None = None, *, strict: bool | None = None) -> Tool:
    return Tool("function", FunctionDefinition(name, parameters=parameters, strict=strict))


TOOLS = [tool("weather", SCHEMA), tool("now")]

Read = tuple[str, str, list[tuple[str, str]]]
"""Text, reasoning, and calls with their arguments."""


def joined(pieces: Sequence[Piece]) -> Read:
    """Put pieces together as a client does."""
    text, reasoning, calls = "", "", list[tuple[str, str]]()
    for piece in pieces:
        if isinstance(piece, Content):
            text += piece.text
        elif isinstance(piece, Reasoning):
            reasoning += piece.text
        elif isinstance(piece, CallBegins):
            calls.append((piece.name, ""))
        elif isinstance(piece, Arguments):
            name, arguments = calls[-1]
            calls[-1] = (name, arguments + piece.text)
    return text, reasoning, calls


def read(make: Callable[[], ReplyReader], reply: str, size: int) -> Read:
    """Read a reply that comes in pieces of a size."""
    reader = make()
    pieces: list[Piece] = []
    for at in range(0, len(reply), size):
        pieces += reader.feed(reply[at : at + size])
    return joined([*pieces, *reader.finish()])


def reader(family: Family, tools: Sequence[Tool] = TOOLS) -> ReplyReader:
    return ReplyReader(lambda source: family.read(source, tools))
