"""What opens over a screen where a person is asked into which file something is to be written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Static

from shareai_cli.dashboard.words import plain
from shareai_cli.errors import ShareAIError, UsageError


class ExportScreen(ModalScreen[Path]):
    """Asks for a file's path, and has `write` write it; stays open with the reason where it cannot be."""

    DEFAULT_CSS = """
    ExportScreen { align: center middle; }
    ExportScreen Vertical { width: 76; max-width: 100%; height: auto; background: $surface;
        border: round $primary; padding: 0 1; }
    ExportScreen Vertical Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Close")]

    def __init__(self, suggested: Path, write: Callable[[Path], None]) -> None:
        super().__init__()
        self._suggested = suggested
        self._write = write

    def compose(self) -> ComposeResult:
        """Draw the line to type in."""
        with Vertical():
            yield Static(Text("Write what is shown to a new file, .csv or .json, that only you can read:"))
            yield Input(str(self._suggested), id="path", compact=True)
            yield Static(id="problem")
        yield Footer()

    @on(Input.Submitted, "#path")
    def _submitted(self, event: Input.Submitted) -> None:
        try:
            path = Path(event.value.strip()).expanduser()
            if not event.value.strip() or path.suffix.lower() not in (".csv", ".json"):
                raise UsageError("The file's name should end in .csv or .json.")
            self._write(path)
        except RuntimeError:
            self._show("There is no such home folder.")
        except ShareAIError as error:
            self._show(str(error))
        else:
            self.dismiss(path.absolute())

    def _show(self, problem: str) -> None:
        self.query_one("#problem", Static).update(Text(f"✕ {plain(problem)}", style="bold red"))
