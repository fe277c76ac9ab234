"""What the gateway remembers of the last hour."""

from __future__ import annotations

import random

from shareai_cli.gateway.activity import CHUNK, MOST_PLACES, MOST_TOLD, Activity, Folded, TimeCounts
from shareai_cli.ledger import Closed
from shareai_cli.live import MOST_MINUTES, MOST_RECENT, Rates
from shareai_cli.types import Attempt, Outcome, Usage
from tests.support.clock import FakeClock

NOON = 1_790_000_040_000
"""The beginning of a minute."""


def ended(
    number: int = 1,
    *,
    outcome: Outcome = Outcome.OK,
    attempts: tuple[Attempt, ...] = (Attempt("p1/m", "", "ok", 200, 5_000),),
    first_token_us: int = 2_000,
    tokens: int = 10,
    route: str = "chat",
) -> Closed:
    """Return the entry of a request."""
    return Closed(
        number, NOON, 7, "default", route, attempts[-1].target if attempts else "", "", "m", "", 200, True,
        outcome, "", attempts, Usage(prompt=tokens), 100, 20, first_token_us, 6_000, b"",
    )  # fmt: skip


def test_nothing_is_known_before_it_is_folded_in() -> None:
    """The path only appends; `fold` returns what came since the last time, once."""
    activity = Activity(FakeClock(), lambda: NOON / 1000)
    activity.add(ended(1))
    activity.add(ended(2))
    assert not activity.recent
    assert [one.request for one in activity.fold(NOON).newest] == [1, 2]
    assert activity.fold(NOON) == Folded((), 0)
    assert [one.request for one in activity.recent] == [1, 2]


def test_few_are_let_wait() -> None:
    """A chunk is worked out as soon as it is full; the newest are told, and how many there were."""
    activity = Activity(FakeClock(), lambda: NOON / 1000)
    for number in range(CHUNK + 1):
        activity.add(ended(number))
    assert len(activity.recent) == CHUNK
    [minute] = activity.minutes()
    assert (minute.start_ms, minute.requests) == (NOON, CHUNK)
    folded = activity.fold(NOON)
    assert folded.count == CHUNK + 1
    assert [one.request for one in folded.newest] == list(range(CHUNK + 1))[-MOST_TOLD:]
    assert activity.minutes()[0].requests == CHUNK + 1


def test_a_minute_sums_what_ended_in_it() -> None:
    """Requests, errors, tokens and first tokens; another minute has its own."""
    activity = Activity(FakeClock(), lambda: NOON / 1000)
    for outcome in (Outcome.OK, Outcome.FAILED, Outcome.INCOMPLETE, Outcome.REFUSED, Outcome.CANCELLED):
        activity.add(ended(outcome=outcome))
    activity.fold(NOON)
    activity.add(ended(first_token_us=0))
    activity.fold(NOON + 60_000)
    first, second = activity.minutes()
    assert (first.start_ms, first.requests, first.errors, first.tokens) == (NOON, 5, 2, 50)
    assert first.first_p50_us is not None
    assert abs(first.first_p50_us - 2_000) <= 250
    assert (second.start_ms, second.requests, second.first_p50_us) == (NOON + 60_000, 1, None)
    assert activity.minutes(1) == (second,)


def test_an_hour_and_a_thousand_requests_are_remembered() -> None:
    """Whatever comes."""
    activity = Activity(FakeClock(), lambda: NOON / 1000)
    for minute in range(MOST_MINUTES + 5):
        for number in range(30):
            activity.add(ended(minute * 100 + number))
        activity.fold(NOON + minute * 60_000)
    assert len(activity.minutes()) == MOST_MINUTES
    assert len(activity.recent) == MOST_RECENT
    assert activity.recent[-1].request == (MOST_MINUTES + 4) * 100 + 29


def test_rates_are_those_of_the_last_seconds() -> None:
    """They fall to nothing when nothing comes any more."""
    clock = FakeClock()
    activity = Activity(clock, lambda: NOON / 1000)
    for _ in range(200):
        clock.forward(0.1)
        activity.add(ended(outcome=Outcome.FAILED))
        activity.add(ended())
        activity.fold(NOON)
    rates = activity.rates()
    assert 19 <= rates.requests <= 21
    assert 9 <= rates.errors <= 11
    assert 190 <= rates.tokens <= 210
    for _ in range(120):
        clock.forward(0.1)
        activity.fold(NOON)
    assert activity.rates() == Rates()


def test_every_attempt_counts_for_its_target_on_its_route() -> None:
    """Those that failed apart; what is older than an hour no more."""
    activity = Activity(FakeClock(), lambda: NOON / 1000)
    tried = (Attempt("p1/m", "", "refused", 0, 100), Attempt("p2/m", "", "ok", 200, 4_000))
    activity.add(ended(attempts=tried))
    activity.add(ended(attempts=tried, route="other"))
    activity.fold(NOON)
    activity.add(ended(attempts=tried))
    activity.fold(NOON + 60_000)
    visits = activity.visits(NOON + 60_000)
    assert {place: (one.asked, one.failed) for place, one in visits.items()} == {
        ("chat", "p1/m"): (2, 2),
        ("chat", "p2/m"): (2, 0),
        ("other", "p1/m"): (1, 1),
        ("other", "p2/m"): (1, 0),
    }
    later = activity.visits(NOON + MOST_MINUTES * 60_000 + 1)
    assert later["chat", "p1/m"].asked == 1
    assert ("other", "p1/m") not in later


def test_names_that_clients_choose_take_no_more_than_so_much_memory() -> None:
    """What is beyond is counted without a name."""
    activity = Activity(FakeClock(), lambda: NOON / 1000)
    for number in range(MOST_PLACES + 50):
        activity.add(ended(route=f"p1/{number}"))
    activity.fold(NOON)
    visits = activity.visits(NOON)
    assert len(visits) == MOST_PLACES + 1
    assert visits["", ""].asked == 50


def test_quantiles_are_within_an_eighth_of_the_truth() -> None:
    """For durations of every size."""
    chance = random.Random(4)
    for _ in range(200):
        durations = [int(10 ** chance.uniform(0, 9)) for _ in range(chance.randint(1, 60))]
        counts = TimeCounts()
        for one in durations:
            counts.add(one)
        for wanted in (0.5, 0.95):
            truth = sorted(durations)[max(0, -int(-wanted * len(durations) // 1) - 1)]
            found = counts.quantile(wanted)
            assert found is not None
            assert abs(found - truth) <= truth / 8
    assert TimeCounts().quantile(0.5) is None
