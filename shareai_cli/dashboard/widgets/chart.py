"""A course over time as bars or as lines, drawn by plotext."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from rich.text import Text
from textual.app import RenderResult
from textual_plotext import PlotextPlot

from shareai_cli.dashboard.words import plain

MARKERS: Final = ("●", "▲", "■", "◆", "○")
"""One for each line: they are told apart without their colours."""

LEAST_WIDTH: Final = 24
LEAST_HEIGHT: Final = 5

LONGEST_NAME: Final = 28
_TICK_WIDTH: Final = 9

Line = tuple[str, Sequence[float]]


class Chart(PlotextPlot):
    """Draws what `show` was told; on too small a place it draws nothing."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as every widget calls it
        super().__init__(id=id)
        self._slots: Sequence[str] = ()
        self._lines: Sequence[Line] = ()
        self._written: Callable[[float], str] = str
        self._as_bars = True

    def show(
        self, slots: Sequence[str], lines: Sequence[Line], written: Callable[[float], str], *, as_bars: bool
    ) -> None:
        """Show numbers for each slot: of bars the first line alone; `written` writes a number."""
        before = (self._slots, self._lines, self._as_bars)
        self._slots, self._lines, self._written, self._as_bars = slots, lines, written, as_bars
        if before != (slots, lines, as_bars):
            self.refresh()

    def render(self) -> RenderResult:
        """Draw it."""
        width, height = self.size
        if width < LEAST_WIDTH or height < LEAST_HEIGHT or not self._slots:
            return Text("")
        plot = self.plt
        plot.clear_figure()
        places = [float(place) for place in range(1, len(self._slots) + 1)]
        shown = self._lines[:1] if self._as_bars else self._lines[: len(MARKERS)]
        highest = max((number for _, numbers in shown for number in numbers), default=0) or 1
        marks = [self._written(one) for one in (0, highest / 2, highest)]
        columns = width - max(map(len, marks)) - len("┤│")
        step = max(1, (columns - 1) // len(places))
        plot.xlim(0.5, 0.5 + max((columns - 1) / step, len(places)))  # whole columns: bars are of one width
        plot.ylim(0, highest)
        plot.yticks([0, highest / 2, highest], marks)
        every = -(-_TICK_WIDTH // step)
        plot.xticks(places[::every], list(self._slots[::every]))
        for (name, numbers), marker in zip(shown, MARKERS, strict=False):
            if self._as_bars:
                plot.bar(places, numbers, width=max(0.01, (step - 2) / step), reset_ticks=False)
            else:
                plot.plot(places, numbers, marker=marker, label=plain(name)[:LONGEST_NAME])
        return super().render()
