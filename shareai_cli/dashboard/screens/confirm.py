"""What is asked before something is changed: yes or no, or a line of text."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Static

from shareai_cli.dashboard.widgets.line import Line
from shareai_cli.dashboard.words import plain


class ConfirmScreen(ModalScreen[bool]):
    """A question over a screen that only `y` answers with yes."""

    DEFAULT_CSS = """
    ConfirmScreen { align: center middle; }
    ConfirmScreen > Static { width: 64; max-width: 100%; height: auto; background: $surface;
        border: round $warning; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "Yes"),
        Binding("n,escape,q", "dismiss(False)", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """Draw the question."""
        text = Text(plain(self._question), style="bold")
        text.append("\n\ny  Yes\nn  No", style="not bold")
        yield Static(text)
        yield Footer()


class EntryScreen(ModalScreen[str | None]):
    """A line of text that is asked for; None where the person thinks better of it."""

    DEFAULT_CSS = """
    EntryScreen { align: center middle; }
    EntryScreen Vertical { width: 64; max-width: 100%; height: auto; background: $surface;
        border: round $primary; padding: 0 1; }
    EntryScreen > Vertical > Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Leave as it is")]

    def __init__(self, question: str, value: str = "") -> None:
        super().__init__()
        self._question = question
        self._value = value

    def compose(self) -> ComposeResult:
        """Draw the question and the line."""
        with Vertical():
            yield Static(Text(plain(self._question), style="bold"))
            yield Line(self._value)
        yield Footer()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())
