"""Markdown that is still growing, as lines for a terminal.

Blocks (paragraphs, lists, tables...) that something follows do not change any more: they are rendered once
and handed out for good. Only the last one is rendered again and again, so the work of a redraw is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.segment import Segment
from rich.syntax import Syntax
from rich.text import Text

from shareai_cli.cli.chat.text import harmless

Line = list[Segment]

MOST_DRAWN: Final = 16_384
"""Characters at the end of the last block that are rendered while it grows; all of it once it is finished."""

CODE_THEME: Final = "ansi_dark"
"""The terminal's own colours, which can be read on light and dark ground alike."""


class _Code(CodeBlock):
    """Code as it is to be copied: without a margin."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        if self.lexer_name == "text":
            yield Text(code, style="markdown.code_block")
        else:
            yield Syntax(code, self.lexer_name, theme=self.theme, word_wrap=True)


class _Heading(Heading):
    LEVEL_ALIGN: ClassVar[dict[str, JustifyMethod]] = {}
    """Every level begins at the left."""


class _Document(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements, "fence": _Code, "code_block": _Code, "heading_open": _Heading,
    }  # fmt: skip


class GrowingMarkdown:
    """One text; `width` is in terminal cells, and may change on the way."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # Tags are text: a model that writes <T> means to be read.
        self._parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
        self._growing = ""
        self._pieces: list[str] = []
        self._is_first = True
        """Whether nothing was handed out so far."""

    def add(self, text: str) -> None:
        """Take in the next piece."""
        self._pieces.append(text)

    def take_finished(self, width: int, *, is_last: bool = False) -> list[Line]:
        """Return the lines of the blocks finished since the last call; at the end those of all the rest."""
        self._growing += harmless("".join(self._pieces))
        self._pieces.clear()
        end = len(self._growing) if is_last else self._start_of_last_block()
        finished, self._growing = self._growing[:end], self._growing[end:]
        lines = self._lines(finished, width)
        self._is_first = self._is_first and not lines
        return lines

    def growing_lines(self, width: int) -> list[Line]:
        """Return the lines of the last block, as `take_finished` left it."""
        if len(self._growing) <= MOST_DRAWN:
            return self._lines(self._growing, width)
        return self._rendered(Text(self._growing[-MOST_DRAWN:]), width)

    def _start_of_last_block(self) -> int:
        """Return where in the growing text its last block begins."""
        if "\n" not in self._growing:
            return 0
        starts = [token.map[0] for token in self._parse(self._growing) if token.level == 0 and token.map]
        lines = self._growing.split("\n")
        return sum(len(line) + 1 for line in lines[: max(starts, default=0)])

    def _parse(self, text: str) -> list[Token]:
        return self._parser.parse(text)

    def _lines(self, text: str, width: int) -> list[Line]:
        """Return the lines of whole blocks, an empty one before each but the very first."""
        lines: list[Line] = []
        for block in _blocks(self._parse(text)):
            document = _Document("", code_theme=CODE_THEME, hyperlinks=False)
            document.parsed = block
            try:
                rendered = self._rendered(document, width)
            except Exception:  # what rich cannot lay out is shown as it was written
                return self._rendered(Text(text.strip()), width)
            if rendered and (lines or not self._is_first):
                lines.append([])
            lines += rendered
        return lines

    def _rendered(self, what: RenderableType, width: int) -> list[Line]:
        """Return the lines of something, without empty ones around it."""
        options = self._console.options.update(width=width, height=None)
        lines = [
            # Once more, as Markdown can name characters by their numbers.
            _trimmed([Segment(harmless(text), style) for text, style, _ in line])
            for line in self._console.render_lines(what, options, pad=False)
        ]
        filled = [number for number, line in enumerate(lines) if line]
        return lines[filled[0] : filled[-1] + 1] if filled else []


def _blocks(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield the tokens of each block that stands in no other."""
    block: list[Token] = []
    for token in _with_line_breaks(tokens):
        block.append(token)
        if token.level == 0 and token.nesting <= 0:
            yield block
            block = []


def _with_line_breaks(tokens: Iterable[Token]) -> Iterable[Token]:
    """Let lines end where the model ended them, as it hardly ever folds a paragraph."""
    for token in tokens:
        for child in token.children or ():
            if child.type == "softbreak":
                child.type, child.tag = "hardbreak", "br"
        yield token


def _trimmed(line: Line) -> Line:
    """Return a line without the spaces that fill it up, which nobody wants to copy."""
    while line and not line[-1].text.strip():
        line.pop()
    if line:
        text, style, _ = line[-1]
        line[-1] = Segment(text.rstrip(), style)
    return line
