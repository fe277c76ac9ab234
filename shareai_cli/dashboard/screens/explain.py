"""Whom a request would be sent to: each target in its order, or why it is out. Nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Static

from shareai_cli.dashboard.link import Link
from shareai_cli.dashboard.widgets.line import Line
from shareai_cli.dashboard.widgets.rows import Row, Rows
from shareai_cli.dashboard.words import count, duration, money, plain
from shareai_cli.errors import ShareAIError
from shareai_cli.question import QUESTION, request_of
from shareai_cli.types import RouteExplanation


class ExplainScreen(ModalScreen[None]):
    """Opens over the routes; Escape closes it."""

    DEFAULT_CSS = """
    ExplainScreen { align: center middle; }
    ExplainScreen Vertical { width: 92%; height: 86%; background: $surface; border: round $primary;
        padding: 0 1; }
    ExplainScreen Rows { height: 1fr; }
    ExplainScreen Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Close")]

    def __init__(self, link: Link, route: str) -> None:
        super().__init__()
        self._link = link
        self._route = route

    def compose(self) -> ComposeResult:
        """Make the frame."""
        with Vertical():
            yield Line(placeholder="another question, or a request as JSON; Enter explains it")
            yield Static(id="told")
            yield Rows("", "TARGET", "COST", "CONTEXT", "BUSY", "FIRST", "TOKENS/S", "WHY", id="places")
        yield Footer()

    async def on_mount(self) -> None:
        """Explain the shortest of requests first."""
        self._explain(QUESTION)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self._explain(event.value or QUESTION)

    def _explain(self, text: str) -> None:
        self.run_worker(self._load(request_of(self._route, text)), exclusive=True)

    async def _load(self, body: bytes) -> None:
        told = self.query_one("#told", Static)
        try:
            found = await self._link.ask_gateway(lambda gateway: gateway.admin.explain_route(body))
        except ShareAIError as error:
            told.update(Text(plain(str(error))))
            return
        text = Text(described(found), style="bold")
        if limits := limits_asked(found):
            text.append(f"\n{limits}", style="not bold")
        told.update(text)
        self.query_one("#places", Rows).show([*place_rows(found)])


def described(found: RouteExplanation) -> str:
    """Say by what a route orders its targets, and what a request is taken for."""
    prefer = f", {found.prefer} first" if found.prefer is not None else ""
    private = ", private" if found.private else ""
    likely = "; with chance in it, the likeliest order" if found.strategy in ("weighted", "sticky") else ""
    hedged = f"; a second one is asked after {found.hedge_after:g} s" if found.hedge_after else ""
    what = f"{plain(found.model)}: {found.strategy}{prefer}{private}"
    return f"{what}; a prompt of ~{count(found.prompt_tokens)} tokens{likely}{hedged}"


def limits_asked(found: RouteExplanation) -> str:
    """Say which limits such a request has to pass, beside those of its key; empty where there are none."""
    asked = (
        f"{plain(one.subject)} {name} {plain(str(value))}"
        for one in found.limits
        for name, value in one.limits.items()
    )
    text = ", ".join(asked)
    return f"Limits: {text}" if text else ""


def place_rows(found: RouteExplanation) -> Iterator[Row]:
    """Yield a row for each target, those first that would be asked."""
    for one in found.targets:
        yield (
            one.target,
            (
                Text("out" if one.place is None else str(one.place), style="bold", justify="right"),
                plain(one.target),
                Text("-" if one.cost_nano is None else money(one.cost_nano), justify="right"),
                Text("-" if one.context is None else count(one.context), justify="right"),
                Text(str(one.in_flight), justify="right"),
                Text(duration(one.first_token_us), justify="right"),
                Text("-" if one.tokens_per_second is None else count(one.tokens_per_second), justify="right"),
                plain(one.reason),
            ),
        )
