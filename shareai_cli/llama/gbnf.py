"""Rules of llama.cpp's GBNF, gathered and written out. Reference: grammars/README.md of llama.cpp."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct


class Dialect(Struct, frozen=True):
    """How values are written: JSON, or what a family of models writes in its place.

    `basic` has the rules space, char, string, integer, number, boolean, null, value, key, object and array.
    """

    basic: Mapping[str, str]
    literal: Callable[[Any], str]
    """The expression of one value."""
    key: Callable[[str], str]
    """The expression of an object's key, with what stands between it and its value."""


def quoted(text: str) -> str:
    """Return the expression of a text as it stands."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one.isprintable() else f"\\U{ord(one):08X}" for one in escaped) + '"'


def _json_literal(value: Any) -> str:
    return quoted(json.dumps(value, ensure_ascii=False))


JSON = Dialect(
    basic={
        "space": r'(" " | "\n" [ \t]{0,20})?',
        "char": r'[^"\\\x7F\x00-\x1F] | [\\] (["\\bfnrt] | "u" [0-9a-fA-F]{4})',
        "string": r'"\"" char* "\""',
        "integer": r'"-"? ("0" | [1-9] [0-9]{0,15})',
        "number": r'integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?',
        "boolean": '"true" | "false"',
        "null": '"null"',
        "value": "object | array | string | number | boolean | null",
        "key": 'string ":" space',
        "member": "key value",
        "object": '"{" space (member ("," space member)* space)? "}"',
        "array": '"[" space (value ("," space value)* space)? "]"',
    },
    literal=_json_literal,
    key=lambda name: f'{_json_literal(name)} ":" space',
)


class Rules:
    """The rules of one grammar, each with a number for a name."""

    def __init__(self, dialect: Dialect = JSON) -> None:
        self.dialect = dialect
        self.repeated = 0
        """How many repetitions are prescribed in all of them; llama.cpp makes a rule for each."""
        self._bodies: dict[str, str] = {}
        self._until: dict[tuple[str, str, bool], str] = {}

    def __len__(self) -> int:
        return len(self._bodies)

    def add(self, body: str) -> str:
        """Return the name of a new rule."""
        name = f"r{len(self._bodies)}"
        self._bodies[name] = body
        return name

    def define(self, name: str, body: str) -> None:
        """Give a rule its body later than its name, as it may be a part of itself."""
        self._bodies[name] = body

    def one_of(self, *expressions: str) -> str:
        """Return the name of a rule for any of some expressions."""
        return self.add(" | ".join(expressions))

    def until(self, mark: str, then: str = "", *, may_end: bool = False) -> str:
        """Return the name of a rule for any text up to the first `mark` in it, the mark, and `then`.

        It may also end before any mark, where `may_end` says so. The first character of the mark must not
        come a second time in it. One rule stands for each length of the mark that has come, so that there is
        one way only to read a text.
        """
        known = (mark, then, may_end)
        if known not in self._until:
            self._until[known] = self._add_until(*known)
        return self._until[known]

    def written(self, root: str) -> str:
        """Return the grammar of an expression."""
        bodies = {"root": root, **self._bodies, **self.dialect.basic}
        return "\n".join(f"{name} ::= {body}" for name, body in bodies.items())

    def _add_until(self, mark: str, then: str, may_end: bool) -> str:
        names = [self.add("") for _ in mark]
        first = mark[0]
        for place, character in enumerate(mark):
            after = names[place + 1] if place + 1 < len(mark) else then
            ways = [f"{quoted(character)} {after}"]
            if place:
                ways.append(f"{quoted(first)} {names[1]}")
            others = f"[^{_in_class(character)}{_in_class(first) if place else ''}]"
            ways.append(f"{others} {names[0]}")
            if may_end:
                ways.append('""')
            self.define(names[place], " | ".join(ways))
        return names[0]


def _in_class(character: str) -> str:
    return f"\\U{ord(character):08X}"
