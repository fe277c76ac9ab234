"""Shows several answers side by side while they come, and whole at their end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import zip_longest
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from shareai_cli.cli.chat.answer import Answer
from shareai_cli.cli.chat.markdown import GrowingMarkdown, Line
from shareai_cli.cli.chat.screen import GAP, SPARE_ROWS, segments, waiting
from shareai_cli.cli.chat.text import harmless


class _Column:
    """One answer, as lines."""

    def __init__(self, answer: Answer, console: Console) -> None:
        self.answer = answer
        self.heading: Line = [Segment(harmless(answer.model), Style(bold=True))]
        self._text = GrowingMarkdown(console)
        self._finished: list[Line] = []
        answer.show_on(self._text.add)

    def lines(self, width: int, *, is_last: bool = False) -> list[Line]:
        """Return all lines of what has come."""
        self._finished += self._text.take_finished(width, is_last=is_last)
        return self._finished + self._text.growing_lines(width)


class ColumnsScreen:
    """Draws the ends of all answers while they grow; `print_whole` prints them once nothing more comes."""

    def __init__(self, console: Console, answers: Sequence[Answer]) -> None:
        self._console = console
        self._columns = [_Column(answer, console) for answer in answers]
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._drawn: list[Line] = []

    def __enter__(self) -> ColumnsScreen:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def draw(self) -> None:
        """See `Screen`."""
        width = _width(self._console, len(self._columns))
        height = max(1, self._console.height - SPARE_ROWS - 1)
        blocks = [
            [column.heading, *(column.lines(width)[-height:] or [waiting(column.answer)])]
            for column in self._columns
        ]
        rows = _side_by_side(blocks, width)
        if rows != self._drawn:
            self._drawn = rows
            self._live.update(segments(rows), refresh=True)

    def print_whole(self, footers: Sequence[Sequence[str]]) -> None:
        """Print every column from its beginning to its end, with some lines below."""
        width = _width(self._console, len(self._columns))
        texts = [column.lines(width, is_last=True) for column in self._columns]
        tallest = max(map(len, texts))
        blocks = []
        for column, text, footer in zip(self._columns, texts, footers, strict=True):
            padding: list[Line] = [[]] * (tallest - len(text) + 1)
            notes = [line for note in footer for line in _folded(self._console, note, width)]
            blocks.append([column.heading, *text, *padding, *notes])
        self._console.print(segments(_side_by_side(blocks, width)), end="")
        sys.stdout.flush()


def _width(console: Console, columns: int) -> int:
    """Return the cells that each column has."""
    return (console.width - len(GAP) * (columns - 1)) // columns


def _folded(console: Console, text: str, width: int) -> list[Line]:
    options = console.options.update(width=width, height=None)
    return console.render_lines(Text(harmless(text), style="dim"), options, pad=False)


def _side_by_side(blocks: Sequence[Sequence[Line]], width: int) -> list[Line]:
    """Return blocks of lines as one, each line cut or filled to its column's width."""
    rows = []
    for cells in zip_longest(*blocks, fillvalue=[]):
        row: Line = []
        for number, cell in enumerate(cells):
            if number:
                row.append(Segment(GAP, Style(dim=True)))
            row += Segment.adjust_line_length(list(cell), width)
        rows.append(row)
    return rows
