"""A form that opens over a screen: lines to fill in, and what cannot be is said below them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from msgspec import Struct
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Label, Static

from shareai_cli.dashboard.words import plain
from shareai_cli.errors import ShareAIError

Made = TypeVar("Made")


class Field(Struct, frozen=True):
    """A line of a form."""

    name: str
    hint: str
    """What stands there as long as it is empty."""


class FormScreen(ModalScreen[Made | None], Generic[Made]):
    """Has `make` make something of what was filled in, and is done when that succeeds."""

    DEFAULT_CSS = """
    FormScreen { align: center middle; }
    FormScreen VerticalScroll { width: 76; max-width: 100%; height: auto; max-height: 90%;
        background: $surface; border: round $primary; padding: 0 1; }
    FormScreen Horizontal { height: 1; }
    FormScreen Label { width: 12; }
    FormScreen Input { width: 1fr; }
    FormScreen VerticalScroll Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Close"),
        Binding("tab", "app.focus_next", "Next line"),
    ]

    def __init__(
        self, title: str, fields: Sequence[Field], make: Callable[[Mapping[str, str]], Awaitable[Made]]
    ) -> None:
        super().__init__()
        self._title = title
        self._fields = fields
        self._make = make
        self._is_making = False

    def compose(self) -> ComposeResult:
        """Draw the lines."""
        with VerticalScroll(can_focus=False):
            yield Static(Text(f"{self._title}\n", style="bold"))
            for one in self._fields:
                with Horizontal():
                    yield Label(one.name)
                    yield Input(placeholder=one.hint, id=_id(one), compact=True)
            yield Static(id="problem")
            yield Static(Text("\nTab: next line    Enter: make it    Esc: leave it", style="dim"))
        yield Footer()

    @on(Input.Submitted)
    def _submitted(self) -> None:
        if not self._is_making:
            self._is_making = True
            filled = {one.name: self.query_one(f"#{_id(one)}", Input).value for one in self._fields}
            self.run_worker(self._try(filled))

    async def _try(self, filled: Mapping[str, str]) -> None:
        try:
            made = await self._make(filled)
        except ShareAIError as error:
            self.query_one("#problem", Static).update(Text(f"\n✕ {plain(str(error))}", style="bold red"))
        else:
            self.dismiss(made)
        finally:
            self._is_making = False


def _id(field: Field) -> str:
    return f"field-{field.name.replace(' ', '-')}"
