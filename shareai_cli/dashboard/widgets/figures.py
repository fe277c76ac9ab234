"""The overview's numbers, each with its course over the last hour."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult, RenderResult
from textual.containers import Grid
from textual.widget import Widget

from shareai_cli.dashboard.words import Figure, sparkline

COUNT = 8


class FigureTile(Widget):
    """One number."""

    DEFAULT_CSS = "FigureTile { height: 3; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }"

    def __init__(self) -> None:
        super().__init__()
        self._figure = Figure("", "")

    def show(self, figure: Figure) -> None:
        """Show a number; draws only where it has changed."""
        before = self._figure
        if any(getattr(figure, name) != getattr(before, name) for name in Figure.__slots__):
            self._figure = figure
            self.refresh()

    def render(self) -> RenderResult:
        """Draw name, value and course, a line each."""
        figure, width = self._figure, self.size.width
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"{figure.name}\n", style="dim")
        text.append(figure.value, style="bold")
        text.append(f"  {figure.note}\n")
        text.append(sparkline(figure.course, width), style="cyan")
        return text


class Figures(Grid):
    """All of them."""

    DEFAULT_CSS = "Figures { grid-size: 4; grid-rows: 3; height: 6; }"

    def compose(self) -> ComposeResult:
        """Make the tiles."""
        for _ in range(COUNT):
            yield FigureTile()

    def show(self, figures: Sequence[Figure]) -> None:
        """Show the numbers in their order."""
        for tile, figure in zip(self.query(FigureTile), figures, strict=False):
            tile.show(figure)
