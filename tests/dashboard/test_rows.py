"""What is drawn in the moment in which something changes."""

from __future__ import annotations

from textual.app import App, ComposeResult

from shareai_cli.dashboard.app import SCREENS_IN_ORDER
from shareai_cli.dashboard.widgets.rows import Rows


class Table(App[None]):
    def compose(self) -> ComposeResult:
        yield Rows("", "NAME")


async def test_a_row_that_is_drawn_at_once_is_not_cut_off() -> None:
    """Columns are as wide as what is in them by then, wider or narrower; other rows, changed cells."""
    app = Table()
    async with app.run_test(size=(40, 8)) as pilot:
        rows = app.query_one(Rows)
        rows.show([("a", ("1", "one")), ("b", ("2", "two"))])
        await pilot.pause()
        rows.show([("b", ("1", "two")), ("a", ("out", "one"))])
        assert rows.render_line(2).text.split() == ["out", "one"]
        await pilot.pause()
        rows.show([("b", ("1", "somebody else")), ("a", ("2", "one"))])
        assert rows.render_line(1).text.split() == ["1", "somebody", "else"]
        await pilot.pause()
        assert rows.render_line(1).text.startswith(" 1  somebody else")


def test_a_screen_that_is_not_made_yet_shows_nothing() -> None:
    """What is new may come in the moment in which a person turns to it."""
    for screen in SCREENS_IN_ORDER:
        screen().update_all()
