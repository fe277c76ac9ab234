"""One case of a drill: what it found, and every attempt of its requests as a bar over its time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from shareai_cli.dashboard.drilling import Finding, PastRequest
from shareai_cli.dashboard.screens.request import waterfall
from shareai_cli.dashboard.words import duration, money, plain, verdict_words


class FindingScreen(ModalScreen[None]):
    """Opens over the list; Escape closes it."""

    DEFAULT_CSS = """
    FindingScreen { align: center middle; }
    FindingScreen VerticalScroll { width: 92%; height: 86%; background: $surface;
        border: round $primary; padding: 0 1; }
    FindingScreen Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter", "dismiss", "Close")]

    def __init__(self, finding: Finding, former: Finding | None) -> None:
        super().__init__()
        self._finding = finding
        self._former = former

    def compose(self) -> ComposeResult:
        """Make the frame."""
        with VerticalScroll():
            yield Static(id="finding")
        yield Footer()

    def on_resize(self) -> None:
        """Draw it as wide as there is room."""
        width = max(10, self.query_one(VerticalScroll).size.width - 2)
        lines = describe(self._finding, self._former, width)
        self.query_one("#finding", Static).update(Text("\n").join(lines))


def describe(finding: Finding, former: Finding | None, width: int) -> Iterator[Text]:
    """Yield the lines of a case."""
    head = f"{finding.check}  {finding.subject}: {finding.case}"
    yield Text(plain(head), style="bold")
    yield Text(f"{verdict_words(finding.verdict)}, {duration(round(finding.seconds * 1e6))}")
    yield Text()
    before = f"{verdict_words(former.verdict)}, {_failover(former)}" if former is not None else "not run"
    for name, value in (
        ("expected", finding.expected),
        ("happened", finding.happened),
        ("look at", finding.look_at),
        ("found", finding.note),
        ("now", _failover(finding)),
        ("before", before),
    ):
        if value:
            yield Text(f"{name:<10} {plain(value)}")
    for number, one in enumerate(finding.requests, 1):
        yield Text()
        yield Text(_head(number, one), style="bold")
        if one.error:
            yield Text(plain(one.error))
        if not one.attempts:
            yield Text("No target was asked.")
        yield from waterfall([each.as_attempt() for each in one.attempts], round(one.seconds * 1e6), width)


def _failover(finding: Finding) -> str:
    if finding.failover_seconds is None:
        return f"the case took {duration(round(finding.seconds * 1e6))}"
    return f"the failover took {duration(round(finding.failover_seconds * 1e6))}"


def _head(number: int, one: PastRequest) -> str:
    form = "streamed" if one.streamed else "whole"
    answer = f"HTTP {one.status} of {one.target}" if one.target else f"HTTP {one.status or '-'}"
    cost = money(one.cost_nano_usd)
    return f"REQUEST {number}  {plain(one.model)}, {form}: {plain(answer)}, {cost}  {plain(one.id or '')}"
