"""What commands print: data on stdout, all else on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TextIO

from shareai_cli.cli.program import as_called

_NUMBERS = frozenset("0123456789~-$")
"""What cells of numbers begin with; such columns are set right, and never broken."""

_LEAST_WIDTH = 7
"""What a column of text keeps of its width; a terminal too narrow for that breaks the lines itself."""

SCHEMA = 1
"""The version of every `--json` output; grows when a field changes its meaning or goes."""


def print_json(fields: Mapping[str, Any]) -> None:
    """Print one JSON object with the schema's version first; takes structs, dates and paths within."""
    import msgspec

    encoded = msgspec.json.encode({"schema": SCHEMA, **fields}, enc_hook=_text_of)
    sys.stdout.write(msgspec.json.format(encoded, indent=2).decode("utf-8") + "\n")


def print_line(text: str = "") -> None:
    """Print one line of data."""
    sys.stdout.write(f"{printable(text)}\n")


def note(text: str) -> None:
    """Tell the person something that is not data: on stderr, its commands as this program was called."""
    sys.stderr.write(f"{printable(as_called(text))}\n")


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns, numbers to the right: drawn by rich on a terminal, plain text elsewhere."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    columns = list(zip(headings, *cells, strict=True))
    are_numbers = [all(cell[:1] in _NUMBERS for cell in column[1:]) for column in columns]
    if is_styled(sys.stdout):
        _print_rich(columns, are_numbers)
        return
    widths = [max(map(len, column)) for column in columns]
    for row in (headings, *cells):
        line = "  ".join(
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(row, widths, are_numbers, strict=True)
        )
        sys.stdout.write(line.rstrip() + "\n")


def is_styled(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal that shows colours, and a person who wants them (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def printable(text: str) -> str:
    """Return a text without the control characters by which foreign text could steer a terminal."""
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)


def _text_of(value: object) -> str:
    """Write paths and the like as text; a file's name need not be UTF-8."""
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")


def _print_rich(columns: Sequence[Sequence[str]], are_numbers: Sequence[bool]) -> None:
    """Draw a table whose columns begin with their headings."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    least: list[int] = []
    for column, is_number in zip(columns, are_numbers, strict=True):
        justify: Literal["right", "left"] = "right" if is_number else "left"
        widest = max(map(cell_len, column))
        least.append(widest if is_number else min(widest, _LEAST_WIDTH))
        table.add_column(column[0], overflow="fold", no_wrap=is_number, justify=justify, min_width=least[-1])
    _, *rows = zip(*columns, strict=True)
    for row in rows:
        table.add_row(*map(Text, row))
    gaps = len(columns) - 1
    if sum(least) + 2 * gaps > console.width:
        table.padding = (0, 1, 0, 0)
        console.width = max(console.width, sum(least) + gaps)
    console.print(table)
