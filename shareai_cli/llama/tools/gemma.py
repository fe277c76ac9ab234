"""Gemma: `call:name{key:value}` between marks, texts in marks of their own in place of quotes.

References: https://ai.google.dev/gemma/docs/functiongemma/formatting-and-best-practices, and the template of
Gemma 4.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from shareai_cli.llama.bodies.chat import Tool
from shareai_cli.llama.gbnf import JSON, Dialect, Rules, quoted
from shareai_cli.llama.tools.family import Family, Read, Thinking, Wanted, repeated, ways
from shareai_cli.llama.tools.pieces import Arguments, CallBegins, Content
from shareai_cli.llama.tools.source import Reading, Source

DEEPEST = 32
"""Levels of a call's arguments."""

_call = re.compile(r"\s*call:([\w.:/-]+)\s*(?=\{)")
_bare = re.compile(r"[^\s,:{}\[\]]+")


class _Values:
    """Reads one value after the other; `ValueError` for what is none."""

    def __init__(self, text: str, place: int, quote: str) -> None:
        self._text = text
        self._place = place
        self._quote = quote

    def value(self, depth: int = 0) -> Any:
        """Return the value that comes next."""
        if depth > DEEPEST:
            raise ValueError("nested too deeply")
        if self._passes(self._quote):
            return self._rest_of_text()
        if self._passes("{"):
            return dict(self._items("}", lambda: self._pair(depth)))
        if self._passes("["):
            return list(self._items("]", lambda: self.value(depth + 1)))
        word = self._word()
        try:
            return msgspec.json.decode(word)
        except msgspec.DecodeError:
            return word

    def _pair(self, depth: int) -> tuple[str, Any]:
        key = self._rest_of_text() if self._passes(self._quote) else self._word().strip('"')
        if not self._passes(":"):
            raise ValueError("a key without a value")
        return key, self.value(depth + 1)

    def _items(self, end: str, read: Any) -> Any:
        found: list[Any] = []
        while not self._passes(end):
            if found and not self._passes(","):
                raise ValueError("values without a comma between them")
            found.append(read())
        return found

    def _rest_of_text(self) -> str:
        text, mark, _ = self._text[self._place :].partition(self._quote)
        if not mark:
            raise ValueError("a text without an end")
        self._place += len(text) + len(mark)
        return text

    def _word(self) -> str:
        self._skip_blank()
        found = _bare.match(self._text, self._place)
        if found is None:
            raise ValueError("no value")
        self._place = found.end()
        return found[0]

    def _passes(self, mark: str) -> bool:
        self._skip_blank()
        if not self._text.startswith(mark, self._place):
            return False
        self._place += len(mark)
        return True

    def _skip_blank(self) -> None:
        while self._text[self._place : self._place + 1].isspace():
            self._place += 1


def _read(begin: str, end: str, quote: str, source: Source, _tools: Sequence[Tool]) -> Reading[None]:
    """Read text and calls; a call comes as a whole, as its arguments are no JSON yet."""
    while (yield from source.pour(Content, begin)):
        body, mark = yield from source.take(end)
        head = _call.match(body)
        try:
            values = _Values(body, head.end(), quote).value() if head is not None else None
        except ValueError:
            values = None
        if head is None or values is None:
            yield Content(f"{begin}{body}{mark}")
            continue
        yield CallBegins(head[1])
        yield Arguments(msgspec.json.encode(values).decode())
        yield from source.skip_blank()


def _calls(begin: str, end: str, rules: Rules, wanted: Wanted) -> str:
    call = ways(rules, wanted, lambda name: f"call:{name}", end)
    return repeated(call, quoted(begin), wanted.several)


def _literal(quote: str, value: Any) -> str:
    return quoted(_written(quote, value))


def _written(quote: str, value: Any) -> str:
    if isinstance(value, str):
        return f"{quote}{value}{quote}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_written(quote, one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_written(quote, one) for one in value) + "]"
    return msgspec.json.encode(value).decode()


def _family(begin: str, end: str, quote: str, thinking: Thinking | None = None) -> Family:
    character = f'[^<] | "<" [^<{quote[1]}]'
    dialect = Dialect(
        basic={
            **JSON.basic,
            "space": '""',
            "char": character,
            "string": f"{quoted(quote)} char* {quoted(quote)}",
            "key": '[a-zA-Z_] [a-zA-Z0-9_]* ":"',
        },
        literal=partial(_literal, quote),
        key=lambda name: quoted(f"{name}:"),
    )
    read: Read = partial(_read, begin, end, quote)
    return Family(
        read,
        partial(_calls, begin, end),
        begin,
        marks=(begin, end, quote),
        thinking=thinking,
        dialect=dialect,
    )


FUNCTION_GEMMA = _family("<start_function_call>", "<end_function_call>", "<escape>")
GEMMA4 = _family("<|tool_call>", "<tool_call|>", '<|"|>', Thinking("<|channel>thought", "<channel|>"))
