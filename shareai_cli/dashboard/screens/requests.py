"""Requests: those that end just now, filtered; Enter opens one."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Input, Static

from shareai_cli.dashboard.screens.base import DashboardScreen
from shareai_cli.dashboard.screens.request import RequestScreen
from shareai_cli.dashboard.state import LiveState
from shareai_cli.dashboard.widgets.rows import Row, Rows
from shareai_cli.dashboard.words import count, duration, plain, time_of_day
from shareai_cli.live import Settled
from shareai_cli.types import Outcome

MOST_SHOWN = 200

_FIELDS: dict[str, Callable[[Settled], str]] = {
    "route": lambda one: one.route,
    "target": lambda one: " ".join((one.target, *one.attempts)),
    "key": lambda one: one.key,
    "status": lambda one: f"{one.status} {one.outcome.value}",
    "id": lambda one: one.id,
    "error": lambda one: one.error,
}


class RequestsScreen(DashboardScreen):
    """The newest requests, the newest on top; holds still while the cursor is further down."""

    NAME = "Requests"
    LETTER = "r"
    ABOUT = "Requests as they end. Filter by words, or route: target: key: status: error: id:"
    DEFAULT_CSS = """
    RequestsScreen Input { display: none; }
    RequestsScreen Input.shown { display: block; }
    RequestsScreen #told { height: 1; padding: 0 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("escape", "clear", "No filter", show=False),
        Binding("n", "follow", "Newest"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._wanted = ""
        self._shown: list[Settled] = []

    def body(self) -> ComposeResult:
        """See `DashboardScreen`."""
        yield Input(
            placeholder="words, or route:chat target:openai key:ci status:503", id="filter", compact=True
        )
        yield Rows(
            "TIME", "STATUS", "ROUTE", "TARGET", "FIRST", "IN ALL", "TOKENS", "KEY", "WHAT", id="requests"
        )
        yield Static(id="told")

    def show(self, state: LiveState) -> None:
        """See `DashboardScreen`."""
        table = self.query_one("#requests", Rows)
        is_held = table.cursor_row > 0
        if not is_held:
            found = [one for one in reversed(state.recent) if matches(one, self._wanted)][:MOST_SHOWN]
            if found != self._shown:
                self._shown = found
                table.show([request_row(one) for one in found])
        filtered = f", filter: {self._wanted}" if self._wanted else ""
        held = "held; n shows the newest" if is_held else "the newest on top"
        told = f"{len(self._shown)} of the last {len(state.recent)} requests, {held}{filtered}"
        self.query_one("#told", Static).update(Text(told, no_wrap=True))

    def action_filter(self) -> None:
        """Ask for what is wanted."""
        box = self.query_one("#filter", Input)
        box.add_class("shown")
        box.focus()

    def action_clear(self) -> None:
        """Show all requests again."""
        box = self.query_one("#filter", Input)
        box.value = ""
        box.remove_class("shown")
        self._filter("")

    def action_follow(self) -> None:
        """Show the newest again."""
        self.query_one("#requests", Rows).move_cursor(row=0)
        self.show(self.dashboard.state)

    @on(Input.Changed, "#filter")
    def _typed(self, event: Input.Changed) -> None:
        self._filter(event.value)

    @on(Input.Submitted, "#filter")
    def _submitted(self) -> None:
        if not self._wanted:
            self.action_clear()
        self.query_one("#requests", Rows).focus()

    @on(DataTable.RowSelected, "#requests")
    def _open(self) -> None:
        key = self.query_one("#requests", Rows).current_key
        if key is not None:
            self.app.push_screen(RequestScreen(key))

    def _filter(self, wanted: str) -> None:
        self._wanted = wanted.strip()
        self.action_follow()


def matches(one: Settled, wanted: str) -> bool:
    """Tell whether a request has every word that is wanted, in the field that is named before its colon."""
    for word in wanted.lower().split():
        field, colon, value = word.partition(":")
        looked_at = [_FIELDS[field]] if colon and field in _FIELDS else [*_FIELDS.values()]
        value = value if colon and field in _FIELDS else word
        if not any(value in look(one).lower() for look in looked_at):
            return False
    return True


def request_row(one: Settled) -> Row:
    """Return a request's row."""
    good = one.outcome in (Outcome.OK, Outcome.HIT, Outcome.JOINED)
    what = [] if one.outcome is Outcome.OK else [plain(one.error) or one.outcome.value]
    if len(one.attempts) > 1:
        what.append(f"tried {' → '.join(map(plain, one.attempts))}")
    return (
        one.id,
        (
            time_of_day(one.time_ms),
            Text(f"{'✓' if good else '✕'} {one.status or '-'}", style="green" if good else "bold red"),
            plain(one.route),
            plain(one.target),
            Text(duration(one.first_token_us), justify="right"),
            Text(duration(one.total_us), justify="right"),
            Text(count(one.tokens) if one.tokens else "-", justify="right"),
            plain(one.key),
            ", ".join(what),
        ),
    )
