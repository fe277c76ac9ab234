"""Markdown that is still growing, as lines for a terminal.

Blocks (paragraphs, lists, tables...) that something follows do not change any more: they are rendered once
and handed out for good. Only the last one is rendered again and again, so the work of a redraw is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, RenderableType
from rich.markdown import Markdown
from rich.segment import Segment
from rich.text import Text

from shareai_cli.cli.chat.text import harmless

Line = list[Segment]

MOST_DRAWN: Final = 16_384
"""Characters at the end of the last block that are rendered while it grows; all of it once it is finished."""

CODE_THEME: Final = "ansi_dark"
"""The terminal's own colours, which can be read on light and dark ground alike."""


class GrowingMarkdown:
    """One text; `width` is in terminal cells, and may change on the way."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # Tags are text: a model that writes <T> means to be read.
        self._parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
        self._growing = ""
        self._pieces: list[str] = []
        self._has_blank_line = True
        """Whether what was handed out so far ends in a blank line, or is nothing."""

    def add(self, text: str) -> None:
        """Take in the next piece."""
        self._pieces.append(text)

    def take_finished(self, width: int, *, is_last: bool = False) -> list[Line]:
        """Return the lines of the blocks finished since the last call; at the end those of all the rest."""
        self._growing += harmless("".join(self._pieces))
        self._pieces.clear()
        end = len(self._growing) if is_last else self._start_of_last_block()
        finished, self._growing = self._growing[:end], self._growing[end:]
        lines = self._separated(self._lines(finished, width))
        if lines:
            self._has_blank_line = _is_blank(lines[-1])
        return lines

    def growing_lines(self, width: int) -> list[Line]:
        """Return the lines of the last block, as `take_finished` left it."""
        if len(self._growing) <= MOST_DRAWN:
            return self._separated(self._lines(self._growing, width))
        return self._rendered(Text(self._growing[-MOST_DRAWN:]), width)

    def _start_of_last_block(self) -> int:
        """Return where in the growing text its last block begins."""
        if "\n" not in self._growing:
            return 0
        starts = [token.map[0] for token in self._parse(self._growing) if token.level == 0 and token.map]
        if not starts:
            return 0
        lines = self._growing.split("\n")
        return sum(len(line) + 1 for line in lines[: max(starts)])

    def _parse(self, text: str) -> list[Token]:
        return self._parser.parse(text)

    def _lines(self, text: str, width: int) -> list[Line]:
        if not text.strip():
            return []
        document = Markdown("", code_theme=CODE_THEME, hyperlinks=False)
        document.parsed = list(_with_line_breaks(self._parse(text)))
        try:
            return self._rendered(document, width)
        except Exception:  # what rich cannot lay out is shown as it was written
            return self._rendered(Text(text.strip()), width)

    def _rendered(self, what: RenderableType, width: int) -> list[Line]:
        options = self._console.options.update(width=width, height=None)
        lines = self._console.render_lines(what, options, pad=False)
        # Again, as Markdown can name characters by their numbers.
        return [[Segment(harmless(text), style) for text, style, _ in line] for line in lines]

    def _separated(self, lines: list[Line]) -> list[Line]:
        return lines if self._has_blank_line or not lines else [[], *lines]


def _with_line_breaks(tokens: Iterable[Token]) -> Iterable[Token]:
    """Let lines end where the model ended them, as it hardly ever folds a paragraph."""
    for token in tokens:
        for child in token.children or ():
            if child.type == "softbreak":
                child.type, child.tag = "hardbreak", "br"
        yield token


def _is_blank(line: Line) -> bool:
    return not any(segment.text.strip() for segment in line)
