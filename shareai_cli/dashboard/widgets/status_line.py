"""The line at the top: which screen this is, and how things stand with the gateway."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from shareai_cli.dashboard.link import Link
from shareai_cli.dashboard.state import Connection


class StatusLine(Static):
    """Says in words and with a symbol whether what is shown is live."""

    DEFAULT_CSS = """
    StatusLine { height: 1; background: $panel; color: $foreground; padding: 0 1; }
    StatusLine.warning { background: $warning; color: $text; }
    """

    def show(self, title: str, link: Link) -> None:
        """Show how things stand."""
        self.set_class(link.connection not in (Connection.LIVE, Connection.SEEKING), "warning")
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"ShareAI {title}  ", style="bold")
        line.append(link.standing)
        self.update(line)
