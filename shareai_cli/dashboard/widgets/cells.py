"""Cells of tables: numbers to the right, states in their colours beside their symbols."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

_NUMBERS = frozenset(
    {"COST", "REQUESTS", "NOT OK", "TOKENS", "$/M", "FIRST", "IN ALL", "UNPRICED", "KEPT", "BYTES", "SPENT",
     "OF", "A DAY", "HELD", "KEYS", "ID", "SO FAR"}
)  # fmt: skip
"""Columns that are set right."""

_COLOURS = {"✕": "red", "▲": "yellow", "●": "green"}


def cells_of(headings: Sequence[str], cells: Sequence[str]) -> list[Text]:
    """Return a row's cells under their headings."""
    return [
        Text(
            cell,
            style=_COLOURS.get(cell[:1], "") if heading == "STATE" else "",
            justify="right" if heading in _NUMBERS else "left",
        )
        for heading, cell in zip(headings, cells, strict=True)
    ]
