"""What opens over a screen for a moment: where to jump, and the help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from shareai_cli.dashboard.screens.base import DashboardScreen


class JumpScreen(ModalScreen[str | None]):
    """Waits for a screen's letter."""

    DEFAULT_CSS = """
    JumpScreen { align: center middle; }
    JumpScreen #letters { width: 60; max-width: 100%; height: auto; max-height: 100%; background: $surface;
        border: round $primary; padding: 0 1; }
    """

    def __init__(self, screens: Sequence[type[DashboardScreen]]) -> None:
        super().__init__()
        self._screens = screens

    def compose(self) -> ComposeResult:
        """Draw the letters."""
        lines = [f"{one.LETTER}  {one.NAME}" for one in self._screens]
        yield Static(Text("Jump to\n" + "\n".join(lines)), id="letters")

    def on_key(self, event: events.Key) -> None:
        """Jump; any other key closes this."""
        event.stop()
        found = [one.NAME for one in self._screens if event.character == one.LETTER]
        self.dismiss(found[0] if found else None)


class HelpScreen(ModalScreen[None]):
    """The keys, those of the screen below first."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen VerticalScroll { width: 72; max-width: 100%; height: auto; max-height: 90%;
        background: $surface; border: round $primary; padding: 0 1; }
    HelpScreen VerticalScroll Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "dismiss", "Close")]

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        super().__init__()
        self._title = title
        self._lines = lines

    def compose(self) -> ComposeResult:
        """Draw the keys."""
        text = Text(f"{self._title}\n\n", style="bold")
        text.append("\n".join(self._lines), style="not bold")
        with VerticalScroll():
            yield Static(text)
