"""What is written in a turn of the loop goes out at its end, in order, after what has to be on record."""

from __future__ import annotations

import asyncio

from shareai_cli.wire.turn import AT_ONCE, Turn


class Line(asyncio.Transport):
    """A transport that notes what is written to it."""

    def __init__(self, log: list[object]) -> None:
        super().__init__()
        self._log = log
        self.closing = False

    def write(self, data: object) -> None:
        self._log.append(data)

    def is_closing(self) -> bool:
        return self.closing


async def test_writes_wait_for_the_end_of_the_turn_and_for_the_record() -> None:
    """Those to several transports keep their order; the record comes first, once for all of them."""
    log: list[object] = []
    turn = Turn(before=lambda: log.append("recorded"))
    one, other = Line(log), Line(log)
    turn.write(one, b"a")
    turn.write(other, b"b")
    turn.write(one, b"c")
    assert log == []
    await asyncio.sleep(0)
    assert log == ["recorded", b"a", b"b", b"c"]
    turn.write(one, b"d")
    await asyncio.sleep(0)
    assert log[4:] == ["recorded", b"d"]


async def test_the_end_can_be_asked_for_without_a_write() -> None:
    """As by what only has to be recorded; asked for twice, it comes once."""
    log: list[object] = []
    turn = Turn(before=lambda: log.append("recorded"))
    turn.schedule()
    turn.schedule()
    await asyncio.sleep(0)
    assert log == ["recorded"]


async def test_much_is_not_held_back() -> None:
    """Beyond a bound it goes out at once, the record still first, so that who does not take it is known."""
    log: list[object] = []
    turn = Turn(before=lambda: log.append("recorded"))
    line = Line(log)
    turn.write(line, b"a")
    turn.write(line, b"x" * AT_ONCE)
    assert log == ["recorded", b"a", b"x" * AT_ONCE]
    await asyncio.sleep(0)
    assert b"a" in log[:2]
    assert len([entry for entry in log if entry != "recorded"]) == 2


async def test_a_transport_that_closes_gets_nothing_more() -> None:
    """It would only complain; the others get theirs."""
    log: list[object] = []
    turn = Turn()
    one, other = Line(log), Line(log)
    turn.write(one, b"a")
    turn.write(other, b"b")
    one.closing = True
    turn.end()
    assert log == [b"b"]
