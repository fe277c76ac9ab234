"""How things are written on a screen."""

from __future__ import annotations

import pytest

from shareai_cli.dashboard.screens.requests import matches
from shareai_cli.dashboard.state import LiveState
from shareai_cli.dashboard.words import age, bar, count, duration, money, overview, plain, share, sparkline
from shareai_cli.live import MOST_RECENT, Event, Minute
from tests.dashboard.scenes import BUSY, NOW_MS, SETTLED, settled


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb\tc", "\x9b31m", "\u202egnp.exe", "\ud800", "\u2066x"])
def test_foreign_text_steers_nothing(text: str) -> None:
    """Control sequences, lines, turned writing and lone surrogates become a visible character."""
    assert plain(text).isprintable()
    assert "�" in plain(text)
    assert plain("köln 模型 🙂") == "köln 模型 🙂"


def test_numbers_have_the_digits_that_matter() -> None:
    """And what is not known is no zero."""
    assert [duration(one) for one in (0, None, 400, 210_000, 1_900_000, 600_000_000)] == [
        "-", "-", "0.4 ms", "210 ms", "1.9 s", "10 min",
    ]  # fmt: skip
    amounts = (None, 0, 400, 1_200_000, 120_000_000, 3_120_000_000, 2_000_000_000_000)
    assert [money(one) for one in amounts] == [
        "unknown", "$0.00", "<$0.0001", "$0.0012", "$0.12", "$3.12", "$2,000",
    ]  # fmt: skip
    assert [count(one) for one in (0, 2.25, 2210, 904_120, 3_100_000)] == ["0", "2.2", "2210", "904k", "3.1M"]
    assert [share(1, 3), share(0, 5), share(1, 200), share(0, 0)] == ["33 %", "0 %", "0.5 %", "-"]
    assert [age(one) for one in (12, 600, 7200, 200_000)] == ["12 s", "10 min", "2 h", "2 d"]


def test_bars_are_as_wide_as_they_may_be() -> None:
    """Of neighbours a narrow line keeps the largest."""
    assert bar(0.5, 4) == "██  "
    assert [len(bar(one / 100, 7)) for one in range(101)] == [7] * 101
    assert sparkline([0, 1, 0, 8], 2) == "▁█"
    assert sparkline([], 5) == ""
    assert sparkline([0, 0], 2) == "  "


def test_the_overview_as_plain_text_says_all_of_it() -> None:
    """In lines that fit, without control sequences."""
    state = LiveState()
    state.apply(BUSY)
    lines = overview(state, NOW_MS, 100)
    text = "\n".join(lines)
    for wanted in (
        "12.4",
        "~$3.12",
        "43 %",
        "✕ ejected 42 s",
        "◌ cooling 17 s",
        "node/qwen3-8b",
        "was ejected",
    ):
        assert wanted in text
    assert all(len(line) <= 100 and line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("", 6),
        ("route:code", 1),
        ("key:ci", 2),
        ("key:ci target:groq", 1),
        ("status:503", 1),
        ("status:hit", 1),
        ("GROQ", 2),
        ("no_target", 1),
        ("other:thing", 0),
        ("status:50 route:code", 0),
    ],
)
def test_a_filter_wants_every_word(wanted: str, found: int) -> None:
    """In the field that is named, or in any."""
    assert sum(matches(one, wanted) for one in SETTLED) == found


def test_what_is_new_changes_what_it_tells_of_alone() -> None:
    """A whole event takes the place of all before; memory stays bounded."""
    state = LiveState()
    state.apply(BUSY)
    state.apply(Event(1_300, 0, settled=(settled(9),), missed=95, minutes=(Minute(NOW_MS, 99),)))
    assert (state.requests, state.in_flight, state.routes) == (1_300, 0, BUSY.routes)
    assert state.hour(NOW_MS)[-1].requests == 99
    assert state.passed == len(SETTLED) + 96
    assert len(state.hour(NOW_MS)) == 60
    for number in range(60):
        state.apply(
            Event(
                number,
                0,
                settled=tuple(settled(one) for one in range(30)),
                minutes=(Minute(NOW_MS + 60_000 * number),),
            )
        )
    assert len(state.recent) == MOST_RECENT
    assert len(state.minutes) == 60
    state.apply(Event(1, 0, is_whole=True))
    assert not state.routes
    assert not state.recent
