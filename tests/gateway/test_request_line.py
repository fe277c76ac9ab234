"""Each request has one short line, and a terminal that stands still holds up nothing."""

from __future__ import annotations

import io
import threading

import pytest

from shareai_cli.gateway.request_line import WAITING, RequestLines, line
from shareai_cli.ledger import Closed
from shareai_cli.types import Attempt, Outcome, Usage

ATTEMPT = Attempt("p1/m1", "", "ok", 200, 1)


def closed(**fields: object) -> Closed:
    known: dict[str, object] = {
        "request": 1, "time_ms": 0, "caller_key": 1, "team": "default", "route": "chat", "target": "p1/m1",
        "price_as": "", "model": "m1", "provider_key": "", "status": 200, "streamed": False,
        "outcome": Outcome.OK, "error": "", "attempts": (ATTEMPT,), "usage": Usage(7, 2, 0, 3, 1),
        "prompt_bytes": 1, "completion_bytes": 1, "first_token_us": 0, "total_us": 12_345, "fingerprint": b"",
    }  # fmt: skip
    return Closed(**(known | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "200  chat -> p1/m1  12.3 ms  9+4 tokens"),
        ({"total_us": 123_456}, "200  chat -> p1/m1  123 ms  9+4 tokens"),
        ({"total_us": 12_345_678, "usage": None}, "200  chat -> p1/m1  12.3 s"),
        ({"route": "p1/m1", "attempts": (ATTEMPT, ATTEMPT)}, "200  p1/m1  12.3 ms  9+4 tokens  2 attempts"),
        (
            {"status": 404, "route": "", "target": "", "attempts": (), "usage": None,
             "outcome": Outcome.REFUSED, "error": "model_not_found"},
            "404  -  12.3 ms  refused: model_not_found",
        ),
        (
            {"status": 422, "usage": None, "outcome": Outcome.REJECTED},
            "422  chat -> p1/m1  12.3 ms  rejected",
        ),
        ({"outcome": Outcome.CANCELLED, "usage": None}, "200  chat -> p1/m1  12.3 ms  cancelled"),
        ({"route": "a\x1b[2Jb\nc", "target": "", "usage": None}, "200  a?[2Jb?c  12.3 ms"),
    ],
)  # fmt: skip
def test_a_line_tells_what_became_of_a_request(fields: dict[str, object], expected: str) -> None:
    """Time, status, where it went, how long, tokens, and what went wrong; never a control character."""
    assert line(closed(**fields), "12:00:00") == f"12:00:00  {expected}"


class StandingStill(io.StringIO):
    """A terminal that takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.goes_on = threading.Event()

    def write(self, text: str) -> int:
        self.asked.set()
        assert self.goes_on.wait(20)
        return super().write(text)


def test_a_terminal_that_stands_still_costs_lines_and_nothing_else() -> None:
    """So many wait; the others are counted, and the count is said once it goes on."""
    terminal = StandingStill()
    lines = RequestLines(terminal)
    lines.start()
    lines.add(closed())
    assert terminal.asked.wait(20)
    for _ in range(WAITING + 5):
        lines.add(closed())
    terminal.goes_on.set()
    lines.close()
    written = terminal.getvalue().splitlines()
    assert len(written) == 1 + WAITING + 1
    assert written[-1] == "(5 requests were too fast for this terminal)"


class FullDisk(io.StringIO):
    """A log that the disk refuses, until there is room again."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = threading.Event()
        self.has_room = False

    def write(self, text: str) -> int:
        if not self.has_room:
            self.refused.set()
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_a_log_that_cannot_be_written_costs_its_lines_and_no_more() -> None:
    """With room again the next lines are written; one that is gone for ever is no failure either."""
    log = FullDisk()
    lines = RequestLines(log)
    lines.start()
    lines.add(closed(route="lost", target="", usage=None))
    assert log.refused.wait(20)
    log.has_room = True
    lines.add(closed(route="kept", target="", usage=None))
    lines.close()
    assert [one.split("  ")[2] for one in log.getvalue().splitlines()] == ["kept"]
    log.close()
    lines = RequestLines(log)
    lines.start()
    lines.add(closed())
    lines.close()
