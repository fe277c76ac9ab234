"""What is drawn in the moment in which something changes."""

from __future__ import annotations

from textual.app import App, ComposeResult

from shareai_cli.dashboard.app import SCREENS_IN_ORDER
from shareai_cli.dashboard.widgets.rows import Rows


class Table(App[None]):
    def compose(self) -> ComposeResult:
        yield Rows("", "NAME")


async def test_the_cursor_stays_on_its_row() -> None:
    """Wherever that goes; where the table follows, a cursor on the first row stays there."""
    app = Table()
    async with app.run_test(size=(40, 8)) as pilot:
        follower = Rows("", "NAME", follows=True)
        await app.mount(follower)
        former = [(one, (one, "")) for one in ("a", "b", "c")]
        for rows, expected in ((app.query(Rows).first(), "a"), (follower, "new")):
            rows.show(former)
            await pilot.pause()
            rows.show([("new", ("new", "")), *former])
            assert rows.current_key == expected
            rows.move_cursor(row=2)
            rows.show([("newer", ("newer", "")), ("new", ("new", "")), *former])
            assert rows.current_key == "b"


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
