"""Costs: what was spent on what, over time, on which prompts, and how long budgets last."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, get_args

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import ContentSwitcher, DataTable, Static

from shareai_cli.client import Admin
from shareai_cli.dashboard import export
from shareai_cli.dashboard.export import View
from shareai_cli.dashboard.screens.base import DashboardScreen
from shareai_cli.dashboard.screens.request import RequestScreen
from shareai_cli.dashboard.screens.saving import ExportScreen
from shareai_cli.dashboard.spending import (
    BUDGET_HEADINGS,
    GROUP_HEADINGS,
    GROUPINGS,
    MEASURES,
    MOST_GROUPS,
    MOST_PROMPTS,
    PROMPT_HEADINGS,
    WINDOWS,
    Measure,
    Spending,
    amount,
    budget_cells,
    group_cells,
    look_up,
    prompt_cells,
    soonest,
    summary,
    totals,
    values,
)
from shareai_cli.dashboard.state import Connection, LiveState
from shareai_cli.dashboard.widgets.cells import cells_of
from shareai_cli.dashboard.widgets.choices import Choices
from shareai_cli.dashboard.widgets.rows import Row, Rows
from shareai_cli.dashboard.words import plain
from shareai_cli.errors import ShareAIError
from shareai_cli.types import Grouping, PromptUse

if TYPE_CHECKING:
    from shareai_cli.dashboard.widgets.chart import Chart

VIEWS: tuple[View, ...] = get_args(View)


class CostsScreen(DashboardScreen):
    """Sums over the accounts, looked up anew every few seconds."""

    NAME = "Costs"
    LETTER = "c"
    ABOUT = "What was spent: by model, route, provider, team, key... over time, by prompt, and of budgets."
    DEFAULT_CSS = """
    CostsScreen #summary, CostsScreen #budget { height: 1; padding: 0 1; }
    CostsScreen #budget { color: $text-muted; }
    CostsScreen Chart { height: 1fr; min-height: 6; max-height: 18; margin: 0 1; }
    CostsScreen ContentSwitcher { height: 1fr; min-height: 4; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "view('groups')", "Sums"),
        Binding("2", "view('prompts')", "Prompts"),
        Binding("3", "view('budgets')", "Budgets"),
        Binding("b", "next_grouping(1)", "By"),
        Binding("B", "next_grouping(-1)", "By, backwards", show=False),
        Binding("d", "over('day')", "Day", show=False),
        Binding("w", "over('week')", "Week", show=False),
        Binding("m", "over('month')", "Month", show=False),
        Binding("s", "next_measure", "Show"),
        Binding("c", "turn_chart", "Bars/lines"),
        Binding("e", "export", "Export"),
        Binding("r", "look_up", "Look up again", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._by: Grouping = "model"
        self._window = WINDOWS["day"]
        self._measure: Measure = "cost"
        self._view: View = "groups"
        self._as_bars = True
        self._spending: Spending | None = None
        self._prompts: tuple[PromptUse, ...] | None = None
        self._asked_ms = 0
        self._asked_while = Connection.SEEKING

    def body(self) -> ComposeResult:
        """See `DashboardScreen`."""
        from shareai_cli.dashboard.widgets.chart import Chart

        yield Choices(id="choices")
        yield Static(id="summary")
        yield Chart(id="chart")
        with ContentSwitcher(initial="groups"):
            yield Rows(*GROUP_HEADINGS, id="groups")
            yield Rows(*PROMPT_HEADINGS, id="prompts")
            yield Rows(*BUDGET_HEADINGS, id="budgets")
        yield Static(id="budget")

    def show(self, state: LiveState) -> None:
        """See `DashboardScreen`."""
        connection, now_ms = self.dashboard.link.connection, self.dashboard.now_ms()
        if connection not in (Connection.LIVE, Connection.ABSENT):
            return
        if connection is not self._asked_while or now_ms - self._asked_ms >= self._window.refresh_ms:
            self._look_up()

    # -- what is chosen

    def action_view(self, view: View) -> None:
        """Show sums, prompts or budgets."""
        self._view = view
        self.query_one(ContentSwitcher).current = view
        self.query_one("#chart").display = view == "groups"
        self.query_one(f"#{view}", Rows).focus()
        if view == "prompts":
            self._look_up_prompts()
        self._draw()

    def action_next_grouping(self, step: int) -> None:
        """Add up by something else."""
        self.action_by(GROUPINGS[(GROUPINGS.index(self._by) + step) % len(GROUPINGS)])

    def action_by(self, grouping: Grouping) -> None:
        """Add up by this."""
        self._by = grouping
        if self._view != "groups":
            self.action_view("groups")
        self._look_up()

    def action_over(self, window: str) -> None:
        """Add up over this time."""
        self._window = WINDOWS[window]
        self._look_up()
        if self._view == "prompts":
            self._look_up_prompts()

    def action_next_measure(self) -> None:
        """Draw costs, tokens or requests."""
        self.action_measure(MEASURES[(MEASURES.index(self._measure) + 1) % len(MEASURES)])

    def action_measure(self, measure: Measure) -> None:
        """Draw this."""
        self._measure = measure
        self._draw()

    def action_turn_chart(self) -> None:
        """Draw bars of everything, or a line for each group."""
        self._as_bars = not self._as_bars
        self._draw()

    def action_look_up(self) -> None:
        """Ask for everything again."""
        self._look_up()
        if self._view == "prompts":
            self._look_up_prompts()

    # -- what is asked for

    def _look_up(self) -> None:
        link = self.dashboard.link
        self._asked_while, self._asked_ms = link.connection, self.dashboard.now_ms()
        self._draw_choices()
        wanted = partial(look_up, by=self._by, window=self._window, now_ms=self._asked_ms)
        self.run_worker(self._take_in(wanted), group="sums", exclusive=True)

    async def _take_in(self, wanted: partial[Spending]) -> None:
        try:
            self._spending = await self.dashboard.link.ask(wanted)
        except ShareAIError as error:
            self._tell(str(error))
            return
        self._draw()

    def _look_up_prompts(self) -> None:
        self._prompts = None
        self._tell("Reading every request of that time...")
        since_ms = self._window.since_ms(self.dashboard.now_ms())
        self.run_worker(self._take_in_prompts(since_ms), group="prompts", exclusive=True)

    async def _take_in_prompts(self, since_ms: int) -> None:
        def wanted(admin: Admin) -> tuple[PromptUse, ...]:
            return tuple(admin.dearest_prompts(since_ms, MOST_PROMPTS))

        try:
            self._prompts = await self.dashboard.link.ask(wanted)
        except ShareAIError as error:
            self._tell(str(error))
            return
        self._draw()

    # -- what is drawn

    def _tell(self, text: str) -> None:
        self.query_one("#summary", Static).update(Text(plain(text), no_wrap=True, overflow="ellipsis"))

    def _draw_choices(self) -> None:
        self.query_one(Choices).show(
            ("By", GROUPINGS, self._by, "by"), ("over", tuple(WINDOWS), self._window.name, "over")
        )

    def _draw(self) -> None:
        self._draw_choices()
        spending = self._spending
        if spending is None:
            return
        if self._view != "prompts" or self._prompts is not None:
            self._tell(f"{self._drawn()}  {summary(spending)}")
        if self._view == "groups":
            self._draw_chart(spending)
        self.query_one(f"#{self._view}", Rows).show([*self._rows(spending)])
        now = soonest(spending, self.dashboard.now_ms())
        self.query_one("#budget", Static).update(Text(now, no_wrap=True, overflow="ellipsis"))

    def _rows(self, spending: Spending) -> Iterator[Row]:
        """Yield the rows of the table that is shown."""
        if self._view == "groups":
            total = spending.report.total
            for group in spending.report.rows[:MOST_GROUPS]:
                yield group.name, cells_of(GROUP_HEADINGS, group_cells(group, total, self._measure))
        elif self._view == "prompts":
            for prompt in self._prompts or ():
                yield prompt.latest, cells_of(PROMPT_HEADINGS, prompt_cells(prompt))
        else:
            now_ms = self.dashboard.now_ms()
            for one in spending.budgets:
                yield f"{one.subject}\n{one.limit}", cells_of(BUDGET_HEADINGS, budget_cells(one, now_ms))

    def _draw_chart(self, spending: Spending) -> None:
        chart: Chart = self.query_one("#chart")  # type: ignore[assignment]
        series, measure = spending.series, self._measure
        lines = [
            ("others" if line.is_rest else line.name or "-", values(line, measure)) for line in series.lines
        ]
        slots = [slot[-5:] for slot in series.slots]
        drawn = [("", totals(series, measure))] if self._as_bars else lines
        chart.show(slots, drawn, partial(amount, measure=measure), as_bars=self._as_bars)

    def _drawn(self) -> str:
        return f"{self._measure} {'in all' if self._as_bars else f'by {self._by}'}:"

    # -- what is done

    @on(DataTable.RowSelected, "#prompts")
    def _open(self) -> None:
        latest = self.query_one("#prompts", Rows).current_key
        if latest is not None:
            self.app.push_screen(RequestScreen(latest))

    def action_export(self) -> None:
        """Write what is shown into a file."""
        spending, prompts, view = self._spending, self._prompts or (), self._view
        if spending is None:
            self.notify("Nothing is shown yet.", severity="warning")
            return

        def write(path: Path) -> None:
            export.write(path, view, spending, prompts)

        def told(path: Path | None) -> None:
            if path is not None:
                self.notify(f"Written: {plain(str(path))}", markup=False, timeout=10)

        self.app.push_screen(ExportScreen(export.free_path(Path.cwd(), view, spending), write), told)
