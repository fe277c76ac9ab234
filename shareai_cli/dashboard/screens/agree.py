"""Asks whether something is to be done that costs or changes something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from shareai_cli.dashboard.words import plain


class AgreeScreen(ModalScreen[bool]):
    """True where the person agrees."""

    DEFAULT_CSS = """
    AgreeScreen { align: center middle; }
    AgreeScreen VerticalScroll { width: 72; max-width: 100%; height: auto; max-height: 90%;
        background: $surface; border: round $primary; padding: 0 1; }
    AgreeScreen > VerticalScroll > Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,y", "agree", "Yes", key_display="Enter"),
        Binding("escape,n", "refuse", "No", key_display="Escape"),
    ]

    def __init__(self, question: str, lines: Sequence[str]) -> None:
        super().__init__()
        self._question = question
        self._lines = lines

    def compose(self) -> ComposeResult:
        """Draw the question, and what there is to know before it is answered."""
        text = Text(f"{plain(self._question)}\n", style="bold")
        for line in self._lines:
            text.append(f"\n{plain(line)}", style="not bold")
        with VerticalScroll():
            yield Static(text)
        yield Footer()

    def action_agree(self) -> None:
        """Go on."""
        self.dismiss(True)

    def action_refuse(self) -> None:
        """Leave everything as it is."""
        self.dismiss(False)
