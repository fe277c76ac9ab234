"""A line to type into whose cursor stands still: what does not change is not drawn again."""

from __future__ import annotations

from textual.widgets import Input


class Line(Input):
    """As `Input`, without blinking."""

    def __init__(self, value: str = "", *, placeholder: str = "") -> None:
        super().__init__(value, placeholder=placeholder, compact=True)
        self.set_reactive(Input.cursor_blink, False)
