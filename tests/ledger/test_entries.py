from __future__ import annotations

import pytest

from shareai_cli.ledger import RequestIds, parse_public_id, public_id
from tests.support.clock import FakeClock


def test_request_ids_only_grow_when_the_clock_goes_back() -> None:
    """Neither many requests in a millisecond nor a clock set back by an hour give a number twice."""
    clock = FakeClock(1_790_000_000.0)
    ids = RequestIds(clock)
    seen = [ids.next() for _ in range(5000)]
    clock.forward(-3600)
    seen += [ids.next() for _ in range(5000)]
    clock.forward(7200)
    seen += [ids.next() for _ in range(5000)]
    assert seen == sorted(set(seen))


def test_request_ids_begin_after_the_newest_of_a_former_process() -> None:
    """A process that starts with a clock set back gives no number that its ledger holds."""
    former = RequestIds(FakeClock(1_790_000_000.0)).next()
    ids = RequestIds(FakeClock(1_780_000_000.0), newest=former)
    assert ids.next() > former


@pytest.mark.parametrize("now", [0.0, -5.0, 1_790_000_000.0, 4_000_000_000.0, 1e15])
def test_request_ids_fit_into_63_bits(now: float) -> None:
    """Whatever a broken clock says, the database can hold the number."""
    assert 0 <= RequestIds(FakeClock(now)).next() < 1 << 63


def test_two_processes_begin_at_different_numbers() -> None:
    """Two ledgers' requests of one millisecond differ, but for one chance in a million."""
    assert len({RequestIds(FakeClock(1_790_000_000.0)).next() for _ in range(20)}) > 15


def test_public_ids_can_be_read_back() -> None:
    """What a header shows finds its request again."""
    for number in (0, 1, 3_765_564_220_728_346_867, (1 << 63) - 1):
        assert parse_public_id(public_id(number)) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "req_",
        "req_12",
        "3441f8b53b6f08f3",
        "req_3441f8b53b6f08fz",
        "req_+441f8b53b6f08f3",
        "req_3441f8b53b6f08f33",
        "req_3441f8b5_b6f08f3",
        "req_\uff13441f8b53b6f08f3",
        "x" * 5000,
    ],
)
def test_texts_that_are_no_public_ids(text: str) -> None:
    """Anything else is told apart, without an exception."""
    assert parse_public_id(text) is None
