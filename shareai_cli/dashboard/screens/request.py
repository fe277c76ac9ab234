"""One request: every attempt as a bar over its time, and what the accounts have of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from shareai_cli.dashboard.link import Link
from shareai_cli.dashboard.words import date_and_time, duration, money, outcome_words, plain
from shareai_cli.errors import ShareAIError
from shareai_cli.types import Attempt, CostBasis, RequestRow

_EXACT = {
    CostBasis.EXACT: "exact: counted by the upstream, at a known price",
    CostBasis.ESTIMATED: "an estimate",
    CostBasis.UNKNOWN: "not known: no price, or no tokens, are known",
    CostBasis.NONE: "nothing was sent, or nothing was billed",
}


class RequestScreen(ModalScreen[None]):
    """Opens over the list; Escape closes it."""

    DEFAULT_CSS = """
    RequestScreen { align: center middle; }
    RequestScreen VerticalScroll { width: 92%; height: 86%; background: $surface;
        border: round $primary; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter", "dismiss", "Close"),
    ]

    def __init__(self, request: str) -> None:
        super().__init__()
        self._request = request

    def compose(self) -> ComposeResult:
        """Make the frame."""
        with VerticalScroll():
            yield Static("Asking the accounts...", id="request")
        yield Footer()

    async def on_mount(self) -> None:
        """Ask for the request."""
        self.run_worker(self._load(), exclusive=True)

    async def _load(self) -> None:
        from shareai_cli.dashboard.app import Dashboard

        assert isinstance(self.app, Dashboard)  # noqa: S101 - there is no other program with this screen
        shown = self.query_one("#request", Static)
        try:
            row = await _ask(self.app.link, self._request)
        except ShareAIError as error:
            shown.update(Text(plain(str(error))))
            return
        width = max(10, self.query_one(VerticalScroll).size.width - 2)
        shown.update(Text("\n").join(describe(row, width)))


async def _ask(link: Link, request: str) -> RequestRow:
    return await link.ask(lambda admin: admin.request(request))


def describe(row: RequestRow, width: int) -> Iterator[Text]:
    """Yield the lines of a request."""
    yield Text(f"{row.id}   {outcome_words(row.outcome)}   HTTP {row.status or '-'}", style="bold")
    yield Text()
    usage = row.usage
    about = " (estimated)" if row.estimated_tokens else ""
    given = usage.prompt + usage.cached + usage.cache_write
    for name, value in (
        ("came", f"{date_and_time(row.time_ms)}, key {row.key or '-'}, team {row.team or '-'}"),
        ("asked for", f"{row.route or '-'}{', streamed' if row.streamed else ''}"),
        ("answered by", row.target or "nobody"),
        ("first token", duration(row.first_token_us)),
        ("in all", duration(row.total_us)),
        ("prompt", f"{given} tokens{about}, {usage.cached} of them cached; {row.prompt_bytes} bytes"),
        ("answer", f"{usage.completion + usage.reasoning} tokens{about}, {usage.reasoning} of them thinking"),
        ("cost", f"{money(row.cost_nano)}  ({_EXACT[row.basis]})"),
        ("error", row.error),
    ):
        if value:
            yield Text(f"{name:<12} {plain(value)}")
    yield Text()
    yield Text("ATTEMPTS", style="bold")
    if not row.attempts:
        yield Text("None: nobody was asked.")
    yield from waterfall(row.attempts, row.total_us, width)


def waterfall(attempts: Sequence[Attempt], total_us: int, width: int) -> Iterator[Text]:
    """Yield two lines for each attempt: what it was, and when, on a scale of the whole request."""
    whole = max(total_us, sum(one.duration_us for one in attempts), 1)
    room = max(10, width - 1)
    began = 0
    for number, one in enumerate(attempts, 1):
        good = one.outcome == "ok"
        status = f", HTTP {one.status}" if one.status else ""
        key = f", key {one.key}" if one.key else ""
        what = f"{number}. {plain(one.target)}  {'✓' if good else '✕'} {plain(one.outcome)}{status}{key}"
        yield Text(f"{what}  {duration(one.duration_us)}")
        start = min(room - 1, round(began / whole * room))
        length = max(1, min(room - start, round(one.duration_us / whole * room)))
        yield Text("·" * start + ("█" if good else "▒") * length, style="green" if good else "red")
        began += one.duration_us
