"""What takes longer than a second says how far it is, on a terminal and nowhere else."""

from __future__ import annotations

import io
import threading
import time

import pytest

from shareai_cli.cli.progress import Progress
from tests.support.clock import FakeClock
from tests.support.waiting import until


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_the_rate_and_the_time_left_are_told() -> None:
    """As soon as anything is done; before that, how long it has taken."""
    clock = FakeClock()
    with Progress("Asking", 100, "keys", stream=io.StringIO(), clock=clock) as progress:
        clock.forward(4)
        assert progress.line() == "Asking: 0 of 100 keys, 4 s"
        progress.advance(10)
        assert progress.line() == "Asking: 10 of 100 keys, 2.5/s, 36 s left"
        progress.reach(50, "alpha")
        clock.forward(96)
        assert progress.line() == "Asking (alpha): 50 of 100 keys, 0.5/s, 1 min 40 s left"
        progress.reach(100)
        assert progress.line() == "Asking: 100 of 100 keys, 1 min 40 s"


def test_a_total_may_become_known_later() -> None:
    """The size of what is there is seen only when it is opened."""
    clock = FakeClock()
    with Progress("Taking in", unit="KiB", stream=io.StringIO(), clock=clock) as progress:
        clock.forward(2)
        progress.reach(3000, total=9000)
        assert progress.line() == "Taking in: 3,000 of 9,000 KiB, 1,500/s, 4 s left"


def test_without_a_total_the_time_is_told() -> None:
    """Nobody knows how much there is to do."""
    clock = FakeClock()
    with Progress("Adding up", stream=io.StringIO(), clock=clock) as progress:
        clock.forward(3700)
        assert progress.line() == "Adding up ... 1 h 01 min"


async def test_it_goes_away_at_the_end() -> None:
    """Nothing of it is left on the line, and no thread either."""
    screen = Screen()
    with Progress("Asking \x1b[31m", 10, stream=screen) as progress:
        progress.advance(5)
        await until(lambda: "5 of 10" in screen.getvalue())
    assert screen.getvalue().endswith("\r\x1b[K")
    assert "\x1b[31m" not in screen.getvalue()
    assert "progress" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(("stream", "term"), [(io.StringIO(), "xterm"), (Screen(), "dumb")])
def test_nothing_is_shown_where_nothing_can_be_animated(
    stream: io.StringIO, term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file, a pipe, a terminal that cannot go back on its line."""
    monkeypatch.setenv("TERM", term)
    threads = threading.active_count()
    with Progress("Asking", stream=stream):
        assert threading.active_count() == threads
    assert stream.getvalue() == ""


def test_what_is_done_within_a_second_needs_no_word() -> None:
    """And it is not held up."""
    screen = Screen()
    began = time.monotonic()
    with Progress("Asking", stream=screen):
        pass
    assert time.monotonic() - began < 0.9
    assert screen.getvalue() == ""
