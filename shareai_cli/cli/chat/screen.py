"""Shows an answer as it comes: drawn as Markdown on a terminal, as plain text elsewhere."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol

from shareai_cli.cli.chat.answer import Answer
from shareai_cli.cli.chat.text import harmless
from shareai_cli.types import Clock

if TYPE_CHECKING:
    from rich.console import Console
    from rich.segment import SegmentLines

    from shareai_cli.cli.chat.markdown import Line

STYLES: Final = {
    "markdown.code": "cyan",
    "markdown.code_block": "cyan",
    "markdown.h1": "bold underline",
    "markdown.h2": "bold",
    "markdown.h3": "bold",
    "markdown.h4": "italic",
}
"""Instead of rich's, which paint a black ground behind code, on light terminals too."""

INTERVAL: Final = 0.08
IDLE_SHARE: Final = 4.0
"""Seconds between two drawings: at least this, and this many times as long as one takes."""

SPARE_ROWS: Final = 2
"""Rows of the terminal that a drawing leaves free, so that it never scrolls by itself."""

LEAST_COLUMN: Final = 36
GAP: Final = " │ "
"""Cells of the narrowest column, and what stands between two."""


def least_width(columns: int) -> int:
    """Return the cells that answers side by side need; in fewer they stand one below the other."""
    return columns * LEAST_COLUMN + (columns - 1) * len(GAP)


def make_console() -> Console:
    """Return the console that draws on standard output."""
    from rich.console import Console
    from rich.theme import Theme

    return Console(file=sys.stdout, highlight=False, theme=Theme(STYLES))


class Screen(Protocol):
    """Shows one answer, or several; entered before they are asked for."""

    def __enter__(self) -> Screen: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def draw(self) -> None:
        """Bring what is shown up to date; called several times a second."""


async def keep_drawing(screen: Screen, clock: Clock = time.monotonic) -> None:
    """Draw until cancelled; a drawing that takes long comes more seldom."""
    while True:
        began = clock()
        screen.draw()
        await asyncio.sleep(max(INTERVAL, IDLE_SHARE * (clock() - began)))


class PlainScreen:
    """Writes an answer's text as it comes, and nothing else."""

    def __init__(self) -> None:
        self._ends_line = True

    def __enter__(self) -> PlainScreen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._ends_line:
            sys.stdout.write("\n")
        sys.stdout.flush()

    def add(self, text: str) -> None:
        """Take in the next piece."""
        if text := harmless(text):
            self._ends_line = text.endswith("\n")
            sys.stdout.write(text)
            sys.stdout.flush()

    def draw(self) -> None:
        """See `Screen`: what came is there already."""


class MarkdownScreen:
    """Prints each block of an answer once it is finished, so that it scrolls as any text does.

    The last one is drawn below, as much of its end as the terminal has room for.
    """

    def __init__(self, console: Console, answer: Answer) -> None:
        from rich.live import Live

        from shareai_cli.cli.chat.markdown import GrowingMarkdown

        self._console = console
        self._answer = answer
        self._text = GrowingMarkdown(console)
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._drawn: list[Line] = []

    def __enter__(self) -> MarkdownScreen:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)
        self._print(self._text.take_finished(self._console.width, is_last=True))
        sys.stdout.flush()

    def add(self, text: str) -> None:
        """Take in the next piece."""
        self._text.add(text)

    def draw(self) -> None:
        """See `Screen`."""
        width, height = self._console.size
        finished = self._text.take_finished(width)
        growing = self._text.growing_lines(width)[-max(1, height - SPARE_ROWS) :]
        if not growing and not finished:
            growing = [waiting(self._answer)]
        if finished or growing != self._drawn:
            self._drawn = growing
            self._live.update(segments(growing), refresh=True)
            self._print(finished)  # above what grows

    def _print(self, lines: list[Line]) -> None:
        if lines:
            self._console.print(segments(lines), end="")


if sys.platform == "win32":

    def silent_keys() -> AbstractContextManager[None]:
        """Do nothing: this terminal echoes only what is read."""
        return nullcontext()

else:
    import termios

    @contextmanager
    def silent_keys() -> Iterator[None]:
        """Keep what is typed meanwhile from being echoed into what is drawn; Ctrl-C works, the rest waits."""
        try:
            before = termios.tcgetattr(sys.stdin)
        except (OSError, ValueError, termios.error):
            yield  # nobody types
            return
        silent = before[:]
        silent[3] &= ~termios.ECHO
        termios.tcsetattr(sys.stdin, termios.TCSANOW, silent)
        try:
            yield
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


def segments(lines: list[Line]) -> SegmentLines:
    """Return lines as what rich prints."""
    from rich.segment import SegmentLines

    return SegmentLines(lines, new_lines=True)


def waiting(answer: Answer) -> Line:
    """Return the line that is shown until there is something to show."""
    from rich.segment import Segment
    from rich.style import Style

    what, seconds = "thinking" if answer.is_thinking else "...", int(answer.elapsed())
    return [Segment(f"{what} {seconds} s" if seconds else what, Style(dim=True))]
