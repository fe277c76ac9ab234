"""What opens over a screen and tells something: everything that is known of one thing, or a key just made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from shareai_cli.client import NewKey
from shareai_cli.dashboard.words import plain


class FactsScreen(ModalScreen[None]):
    """Names and values in two columns."""

    DEFAULT_CSS = """
    FactsScreen { align: center middle; }
    FactsScreen VerticalScroll { width: 92%; height: auto; max-height: 86%; background: $surface;
        border: round $primary; padding: 0 1; }
    FactsScreen VerticalScroll Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter", "dismiss", "Close")]

    def __init__(self, facts: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        self._facts = facts

    def compose(self) -> ComposeResult:
        """Draw them."""
        text = Text()
        for name, value in self._facts:
            text.append(f"{name:<12}", style="bold")
            text.append(f" {plain(value)}\n")
        text.rstrip()
        with VerticalScroll():
            yield Static(text, id="key")
        yield Footer()


class NewKeyScreen(ModalScreen[None]):
    """Shows a key the one time that it can be seen."""

    DEFAULT_CSS = """
    NewKeyScreen { align: center middle; }
    NewKeyScreen #key { width: 76; max-width: 100%; height: auto; background: $surface;
        border: round $success; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "copy", "Copy"),
        Binding("escape", "dismiss", "Close"),
    ]

    def __init__(self, made: NewKey) -> None:
        super().__init__()
        self._made = made

    def compose(self) -> ComposeResult:
        """Draw the key."""
        text = Text(f"The key {plain(self._made.info.name)}, which is shown this once:\n\n")
        text.append(self._made.key, style="bold")
        text.append("\n\nc copies it, where the terminal allows that (OSC 52). Esc closes this for good.")
        yield Static(text, id="key")
        yield Footer()

    def action_copy(self) -> None:
        """Have the terminal take the key into its clipboard."""
        self.app.copy_to_clipboard(self._made.key)
        self.notify("Copied, where the terminal allows it.")
