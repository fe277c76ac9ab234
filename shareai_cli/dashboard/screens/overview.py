"""Overview: how much, how fast, how well, how dear; routes with their targets; what is new."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from shareai_cli.dashboard.screens.base import DashboardScreen
from shareai_cli.dashboard.state import LiveState
from shareai_cli.dashboard.widgets.figures import Figures
from shareai_cli.dashboard.widgets.rows import Row, Rows
from shareai_cli.dashboard.words import (
    duration,
    figures,
    plain,
    price,
    share,
    shares,
    state_words,
    time_of_day,
)

NEWS_SHOWN = 3
"""As many as there are lines for."""


class OverviewScreen(DashboardScreen):
    """Everything at a glance."""

    NAME = "Overview"
    LETTER = "o"
    ABOUT = "How much, how fast, how well and how dear; routes, and what is new."
    DEFAULT_CSS = """
    OverviewScreen #news { height: 4; padding: 0 1; border-top: solid $panel;
        text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def body(self) -> ComposeResult:
        """See `DashboardScreen`."""
        yield Figures()
        yield Rows("ROUTE", "TARGET", "STATE", "SHARE", "FAILED", "FIRST", "$/M", "WHY", id="targets")
        yield Static(id="news")

    def show(self, state: LiveState) -> None:
        """See `DashboardScreen`."""
        self.query_one(Figures).show(figures(state, self.dashboard.now_ms()))
        self.query_one("#targets", Rows).show([*target_rows(state)])
        news = self.query_one("#news", Static)
        shown = list(state.news)[-NEWS_SHOWN:]
        lines = [f"{time_of_day(one.time_ms)}  {plain(one.text)}" for one in shown]
        news.update(Text("\n".join(lines) or "Nothing has happened yet.", no_wrap=True, overflow="ellipsis"))


def target_rows(state: LiveState) -> Iterator[Row]:
    """Yield a row for each target of each route."""
    for route in state.routes:
        for place, (one, part) in enumerate(zip(route.targets, shares(route.targets), strict=True)):
            name = plain(route.name) or "(by name)"
            yield (
                f"{route.name}\n{one.target}",
                (
                    Text(name if not place else "", style="bold"),
                    plain(one.target),
                    state_text(one.state, one.seconds),
                    Text(part, justify="right"),
                    Text(share(one.failed, one.asked), justify="right"),
                    Text(duration(one.first_token_us), justify="right"),
                    Text(price(one.prompt_nano, one.completion_nano), justify="right"),
                    plain(one.reason),
                ),
            )


def state_text(state: str, seconds: float = 0.0) -> Text:
    """Return a state in symbol, word and colour."""
    style = {"serving": "green", "ejected": "red", "broken": "red", "missing": "red"}.get(state, "yellow")
    return Text(state_words(state, seconds), style=style)
