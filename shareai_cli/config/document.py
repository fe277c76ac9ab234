"""What is done to tables and lists of a TOML document whose comments and order are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tomlkit
from tomlkit.items import Array, InlineTable, Item

from shareai_cli.config.reading import shown
from shareai_cli.errors import UsageError
from shareai_cli.nearest import nearest

Document = tomlkit.TOMLDocument


def section_of(document: Document, name: str) -> Any:
    """Return a table of the document, made where there is none."""
    if name not in document:
        document[name] = tomlkit.table(is_super_table=name != "local")
    return document[name]


def new_entry(section: object) -> Any:
    """Return an empty table of the kind that the section takes."""
    return tomlkit.inline_table() if isinstance(section, InlineTable) else tomlkit.table()


def inner_table(table: Any, key: str, *, is_last: bool) -> Any:
    """Return a table inside another one, made where there is none; one that is not the last has no values."""
    if key not in table:
        inline = isinstance(table, InlineTable)
        table[key] = tomlkit.inline_table() if inline else tomlkit.table(is_super_table=not is_last)
    return table[key]


def prune(document: Document, path: Sequence[str]) -> None:
    """Take out the tables along a path that are empty, from the last on, unless a comment is in them."""
    for length in range(len(path), 0, -1):
        *before, last = path[:length]
        outer: Any = document
        for key in before:
            outer = outer[key]
        table = outer[last]
        if table or "#" in tomlkit.dumps(table) or (isinstance(table, Item) and table.trivia.comment):
            return
        del outer[last]


def put(table: Any, key: str, value: object) -> None:
    """Set a key, or take it out where the value is None."""
    if value is not None:
        table[key] = value
    elif key in table:
        del table[key]


def extend(table: Any, key: str, texts: Sequence[str]) -> None:
    """Add texts to a list of a table's, each once."""
    array = array_of(table, key)
    for text in texts:
        if text not in array:
            array.append(text)


def array_of(table: Any, key: str) -> Array:
    """Return a list of a table's, made where there is none; the check before has refused what is none."""
    if key not in table:
        table[key] = tomlkit.array()
    array = table[key]
    if not isinstance(array, Array):
        raise TypeError
    return array


def remove(document: Document, section: str, name: str, noun: str) -> None:
    """Take a named entry out of a section; raises `UsageError` where there is none."""
    table: Mapping[str, object] = document.get(section, {})
    if name not in table:
        raise unknown(noun, name, table)
    del document[section][name]


def unknown(noun: str, name: str, known: Mapping[str, object]) -> UsageError:
    """Return the error that names the nearest known name."""
    near = nearest(name, known)
    return UsageError(
        f"There is no {noun} {shown(name)} in the configuration.",
        hint=f"Did you mean {near}?" if near else f"shareai {noun} list",
    )
