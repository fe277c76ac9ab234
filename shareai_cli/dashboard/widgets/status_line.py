"""The line at the top: which screen this is, and how things stand with the gateway."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from shareai_cli.dashboard.link import Connection, Link
from shareai_cli.dashboard.words import plain, time_of_day


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
        line.append(plain(_standing(link)))
        self.update(line)


def _standing(link: Link) -> str:
    match link.connection:
        case Connection.LIVE:
            return f"● live  {link.address}"
        case Connection.SEEKING:
            return f"… {link.problem or f'looking for {link.address}'}"
        case Connection.ABSENT:
            return f"○ No gateway runs: this is what the accounts hold. {link.problem}"
        case Connection.REFUSED:
            return f"✕ {link.problem}"
        case Connection.LOST:
            since = time_of_day(link.since_ms)
            return f"◌ Lost at {since}: these are the last values; trying again. {link.problem}"
