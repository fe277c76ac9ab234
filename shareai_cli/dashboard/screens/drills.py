"""Drills: choose, see what it costs, start, watch; and what the drills before it had found."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import DataTable, Static
from textual.worker import Worker, WorkerError

from shareai_cli.dashboard.choosing import Choices
from shareai_cli.dashboard.drilling import (
    Choice,
    Expected,
    Finding,
    Past,
    history_of,
)
from shareai_cli.dashboard.running import RunningDrill
from shareai_cli.dashboard.screens.agree import AgreeScreen
from shareai_cli.dashboard.screens.base import DashboardScreen
from shareai_cli.dashboard.screens.drill_rows import (
    began_words,
    choice_row,
    cost_words,
    finding_row,
    findings_of,
    in_words,
    past_row,
    progress,
)
from shareai_cli.dashboard.screens.finding import FindingScreen
from shareai_cli.dashboard.state import Connection, LiveState
from shareai_cli.dashboard.widgets.rows import Rows
from shareai_cli.dashboard.words import plain, verdict_words
from shareai_cli.drill_types import DrillSubjects
from shareai_cli.errors import GatewayUnreachable, ShareAIError, UsageError

MOST_SHOWN = 50
"""Drills of before."""

DRAWN_EVERY = 0.2
"""Seconds between two looks at whether a drill has told something."""

WIDE = 100
"""Columns with which choices stay beside the cases of a drill."""


class DrillsScreen(DashboardScreen):
    """What is chosen to the left; to the right the drill under way, those of before, or one of them."""

    NAME = "Drills"
    LETTER = "d"
    ABOUT = "Prove that routes answer and fail over: choose, see the cost, start, compare."
    DEFAULT_CSS = """
    DrillsScreen #choices { width: 34%; min-width: 24; max-width: 56; overflow-x: hidden; }
    DrillsScreen.narrow.cases #choices { display: none; }
    DrillsScreen #found { border-left: solid $panel; }
    DrillsScreen #told { height: auto; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    DrillsScreen #expected { height: 1; padding: 0 1; color: $text-muted; }
    DrillsScreen .hidden { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "choose", "Choose"),
        Binding("a", "choose_all", "All/none", show=False),
        Binding("s", "start", "Start"),
        Binding("x", "stop", "Stop"),
        Binding("h", "history", "History", show=False),
        Binding("w", "watch", "Watch", show=False),
        Binding("escape", "history", "History", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._choices: Choices | None = None
        self._subjects: DrillSubjects | None = None
        self._history: Sequence[Past] = ()
        self._loaded: tuple[Connection, int] | None = None
        """As of which state of the connection the two above are."""
        self._under_way: RunningDrill | None = None
        self._worker: Worker[None] | None = None
        self._loading: Worker[None] | None = None
        self._shown: RunningDrill | Past | None = None
        """Whose cases are shown; the history where this is None."""
        self._expectation = ""
        self._is_new = False
        """Whether there is something that was not drawn."""
        self._is_gone = False

    def body(self) -> ComposeResult:
        """See `DashboardScreen`."""
        with Horizontal():
            yield Rows("CHOOSE", "WHAT", id="choices")
            with Vertical(id="found"):
                yield Static(id="told")
                yield Rows("BEGAN", "RESULT", "COST", "CHANGED", "CAUSE", id="history")
                yield Rows("RESULT", "TOOK", "BEFORE", "CASE", id="findings", classes="hidden")
        yield Static(id="expected")

    def on_mount(self) -> None:
        """Draw what a drill tells, a few times a second at most."""
        self.set_interval(DRAWN_EVERY, self._draw_news)

    def on_screen_resume(self) -> None:
        """Look again: others run drills, too."""
        self._loaded = None

    def on_resize(self, event: events.Resize) -> None:
        """Give cases all the room where there is little of it."""
        self.set_class(event.size.width < WIDE, "narrow")

    async def on_unmount(self) -> None:
        """End the drill, which otherwise stays in the gateway for some minutes."""
        self._is_gone = True
        if self._worker is not None:
            worker = self._worker
            worker.cancel()
            with suppress(WorkerError):
                await worker.wait()

    def show(self, state: LiveState) -> None:
        """See `DashboardScreen`."""
        link = self.dashboard.link
        if self._loaded != (link.connection, link.since_ms):
            self._loaded = (link.connection, link.since_ms)
            self._loading = self.run_worker(self._load, group="load", exclusive=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the keys that do something now."""
        is_under_way = self._worker is not None
        if action in ("stop", "start"):
            return is_under_way is (action == "stop")
        return action != "watch" or self._under_way is not None

    def action_choose(self) -> None:
        """Choose what the cursor is on, or leave it out."""
        key = self.query_one("#choices", Rows).current_key
        if self._choices is not None and key is not None:
            self._choices.turn(*key.split("\n", 1))
            self._plan()

    def action_choose_all(self) -> None:
        """Choose everything, or nothing."""
        if self._choices is not None:
            self._choices.turn_all()
            self._plan()

    def action_start(self) -> None:
        """Tell what it costs, and start once the person agrees."""
        try:
            choice, expected = self._planned()
        except ShareAIError as error:
            self.dashboard.tell(error)
            return

        def start(is_agreed: bool | None) -> None:
            if is_agreed and self._worker is None:
                self._start(choice, expected)

        self.app.push_screen(AgreeScreen("Start this drill?", [*in_words(expected)]), start)

    def action_stop(self) -> None:
        """End the drill that is under way."""
        if self._worker is not None:
            self._worker.cancel()

    def action_history(self) -> None:
        """Show the drills of before."""
        self._show_cases(None)
        self.query_one("#history", Rows).focus()

    def action_watch(self) -> None:
        """Show the drill that is under way, or was the last one."""
        if self._under_way is not None:
            self._show_cases(self._under_way)

    @on(DataTable.RowSelected, "#choices")
    def _chosen(self) -> None:
        self.action_choose()

    @on(DataTable.RowSelected, "#history")
    def _open_past(self) -> None:
        key = self.query_one("#history", Rows).current_key
        found = [one for one in self._history if one.record.id == key]
        if found:
            self._show_cases(found[0])

    @on(DataTable.RowSelected, "#findings")
    def _open_finding(self) -> None:
        shown, key = self._shown, self.query_one("#findings", Rows).current_key
        if shown is not None and key is not None:
            found = dict(findings_of(shown))[int(key)]
            self.app.push_screen(FindingScreen(found, shown.former.get(found.name)))

    def _planned(self) -> tuple[Choice, Expected]:
        tools = self.dashboard.tools
        if tools is None or self._choices is None or self._subjects is None:
            raise GatewayUnreachable(
                "No gateway runs that could be drilled.", hint="Start one: shareai serve"
            )
        choice = self._choices.choice()
        return choice, tools.drilling.expect(self._subjects, choice)

    def _start(self, choice: Choice, expected: Expected) -> None:
        former: dict[str, Finding] = {}
        for past in reversed(self._history):
            former |= {one.name: one for one in past.report.findings}
        self._under_way = running = RunningDrill(expected, former, self._note_news)
        self._worker = self.run_worker(self._drill(choice, running), group="drill", exclusive=True)
        self._show_cases(running)
        self.refresh_bindings()

    async def _drill(self, choice: Choice, running: RunningDrill) -> None:
        tools = self.dashboard.tools
        ending = "ended"
        try:
            if tools is not None:
                await tools.drilling.run(choice, running.expected.most_nano, running)
        except asyncio.CancelledError:
            ending = "stopped"
            raise
        except ShareAIError as error:
            ending = str(error)
            self.dashboard.tell(error)
        finally:
            self._worker = None
            if not self._is_gone:
                running.end(ending)
                self.refresh_bindings()
                self._loading = self.run_worker(self._load, group="load", exclusive=True)

    async def _load(self) -> None:
        """Ask what can be drilled, and for the drills of before."""
        tools, link = self.dashboard.tools, self.dashboard.link
        try:
            subjects = await link.ask_gateway(lambda gateway: gateway.admin.drill_subjects())
        except ShareAIError:
            subjects = None  # the line at the top says what is wrong
        if subjects is not None and tools is not None:
            self._choices = self._choices or Choices(tools.drilling.faults)
            self._choices.offer(subjects)
        self._subjects = subjects
        if link.connection in (Connection.LIVE, Connection.ABSENT):
            found = await self.ask(lambda admin: history_of(admin.drill_history(MOST_SHOWN)))
            self._history = found if found is not None else self._history
        self._plan()

    def _show_cases(self, shown: RunningDrill | Past | None) -> None:
        self._shown = shown
        history, findings = self.query_one("#history", Rows), self.query_one("#findings", Rows)
        history.set_class(shown is not None, "hidden")
        findings.set_class(shown is None, "hidden")
        self.set_class(shown is not None, "cases")
        self._draw()
        if shown is not None:
            findings.move_cursor(row=0)
            findings.focus()

    def _plan(self) -> None:
        """Tell what the choice comes to, and draw it all."""
        self._expectation = self._expected_words()
        self._draw()

    def _note_news(self) -> None:
        self._is_new = True

    def _draw_news(self) -> None:
        if self._is_new:
            self._draw()

    def _draw(self) -> None:
        self._is_new = len(self.query(Rows)) < 3
        if self._is_new:
            return  # what is in a screen comes later than the screen itself, and goes earlier
        if self._choices is not None:
            self.query_one("#choices", Rows).show([choice_row(one) for one in self._choices.marks()])
        self.query_one("#expected", Static).update(Text(self._expectation, no_wrap=True))
        self.query_one("#history", Rows).show([past_row(one) for one in self._history])
        shown = self._shown
        if shown is not None:
            former = shown.former
            rows = [finding_row(key, one, former.get(one.name)) for key, one in findings_of(shown)]
            self.query_one("#findings", Rows).show(rows)
        told = Text(self._told(), no_wrap=True, overflow="ellipsis")
        self.query_one("#told", Static).update(told)

    def _told(self) -> str:
        running, shown = self._under_way, self._shown
        if isinstance(shown, Past):
            one = shown.record
            return f"{verdict_words(one.verdict)}  {began_words(one.began_ms)}  {plain(one.id)}\nh: history"
        if shown is not None or (running is not None and not running.ending):
            return progress(running) if running is not None else ""
        if not self._history:
            return "No drill was run yet."
        return f"The last {len(self._history)} drills. Enter opens one"

    def _expected_words(self) -> str:
        if self._subjects is None:
            return "Without a gateway nothing can be drilled."
        try:
            _, expected = self._planned()
        except (UsageError, GatewayUnreachable) as error:
            return error.message
        return f"{expected.cases} cases, {expected.requests} requests, {cost_words(expected)}. s starts"
