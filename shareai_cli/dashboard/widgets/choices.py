"""A line of things between which a person chooses, by keys or with the mouse."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style
from rich.text import Text
from textual.widgets import Static


class Choices(Static):
    """What is chosen stands in brackets; a click runs the screen's action with the name of what was hit."""

    DEFAULT_CSS = "Choices { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }"

    def show(self, *lines: tuple[str, Sequence[str], str, str]) -> None:
        """Show groups of choices: a word before them, their names, the one that is chosen, the action."""
        text = Text(no_wrap=True, overflow="ellipsis")
        for word, names, chosen, action in lines:
            text.append(f"{'  ' if text else ''}{word}", style="dim")
            for name in names:
                style = Style(bold=name == chosen, meta={"@click": f"screen.{action}('{name}')"})
                text.append(" ")
                text.append(f"[{name}]" if name == chosen else name, style=style)
        self.update(text)
