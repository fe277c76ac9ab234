"""A table whose rows are shown anew as a whole, and drawn anew only where they have changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from rich.text import Text
from textual.widgets import DataTable

Row = tuple[str, Sequence[Text | str]]
"""A row's key, which is there once, and its cells. Plain strings are text, and never markup."""


class Rows(DataTable[Text]):
    """A table with a cursor that stays on its row; where it `follows`, on the first one too."""

    def __init__(self, *columns: str, follows: bool = False, **options: Any) -> None:
        super().__init__(cursor_type="row", zebra_stripes=False, cell_padding=1, **options)
        self._headings = columns
        self._follows = follows
        self._shown: list[Row] = []

    @property
    def current_key(self) -> str | None:
        """The key of the row on which the cursor is."""
        at = self.cursor_row
        return self._shown[at][0] if 0 <= at < len(self._shown) else None

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows in this order."""
        if not self.columns:
            for name in self._headings:
                self.add_column(Text(name), key=name)
        if [key for key, _ in rows] != [key for key, _ in self._shown]:
            self._replace(rows)
            self._fit(rows)
        elif self._change(rows):
            self._fit(rows)
        self._shown = list(rows)

    def _change(self, rows: Sequence[Row]) -> bool:
        """Change the cells that are otherwise; returns whether any was."""
        has_changed = False
        for (key, cells), (_, former) in zip(rows, self._shown, strict=True):
            for name, cell, before in zip(self._headings, cells, former, strict=True):
                if cell != before:
                    has_changed = True
                    self.update_cell(key, name, _text(cell), update_width=True)
        return has_changed

    def _fit(self, rows: Sequence[Row]) -> None:
        """Make columns as wide as what is in them before it is drawn: a row that was drawn is kept so."""
        widths = [cell_len(name) for name in self._headings]
        for _, cells in rows:
            widths = [max(width, _width(cell)) for width, cell in zip(widths, cells, strict=True)]
        for column, width in zip(self.columns.values(), widths, strict=True):
            column.content_width = width

    def _replace(self, rows: Sequence[Row]) -> None:
        current, top = self.current_key, self.scroll_offset.y
        if self._follows and self.cursor_row == 0:
            current = None
        self.clear()
        for key, cells in rows:
            self.add_row(*map(_text, cells), key=key)
        at = next((place for place, (key, _) in enumerate(rows) if key == current), 0)
        if rows:
            self.move_cursor(row=at, animate=False, scroll=False)
            self.scroll_to(y=top, animate=False)


def _width(cell: Text | str) -> int:
    return cell.cell_len if isinstance(cell, Text) else cell_len(cell)


def _text(cell: Text | str) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)
