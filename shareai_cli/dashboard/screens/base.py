"""What every screen has: the line at the top, the keys at the bottom, and `show` for what is new."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import Footer

from shareai_cli.client import Admin
from shareai_cli.dashboard.state import Connection, LiveState
from shareai_cli.dashboard.widgets.status_line import StatusLine
from shareai_cli.errors import ShareAIError

if TYPE_CHECKING:
    from shareai_cli.dashboard.app import Dashboard

Answer = TypeVar("Answer")


class DashboardScreen(Screen[None]):
    """One of the screens between which a person jumps."""

    DEFAULT_CSS = """
    DashboardScreen #body { height: 1fr; }
    DashboardScreen.stale #body { opacity: 50%; }
    DashboardScreen DataTable { height: 1fr; }
    DashboardScreen .heading { height: 1; color: $text-muted; padding: 0 1; text-style: bold; }
    """

    AUTO_FOCUS = "Rows"

    NAME: ClassVar[str]
    LETTER: ClassVar[str]
    """What jumps to it, after `g`."""
    ABOUT: ClassVar[str]

    @property
    def dashboard(self) -> Dashboard:
        """The program that this is a screen of."""
        from shareai_cli.dashboard.app import Dashboard

        return cast(Dashboard, self.app)

    def compose(self) -> ComposeResult:
        """Make the frame, and what is in it."""
        yield StatusLine()
        with Vertical(id="body"):
            yield from self.body()
        yield Footer()

    def body(self) -> ComposeResult:
        """Make what is between the two lines."""
        yield from ()

    def on_screen_resume(self) -> None:
        """Show what has become new while another screen was shown."""
        self.update_all()
        self.refresh_bindings()

    def update_all(self) -> None:
        """Show how things stand now."""
        if not self.query(StatusLine):
            return  # it is being taken down, or not yet put up
        link = self.dashboard.link
        self.query_one(StatusLine).show(self.NAME, link)
        self.set_class(link.connection in (Connection.LOST, Connection.REFUSED), "stale")
        self.show(self.dashboard.state)

    def show(self, state: LiveState) -> None:
        """Show what is known now; called when something is new, a few times a second at most."""

    async def ask(self, call: Callable[[Admin], Answer]) -> Answer | None:
        """Ask the gateway or the accounts; None where there is no answer, which the person is told."""
        try:
            return await self.dashboard.link.ask(call)
        except ShareAIError as error:
            self.dashboard.tell(error)
            return None
