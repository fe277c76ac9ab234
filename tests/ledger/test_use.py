"""What was used since a time: the same numbers whether out of sums of hours, out of rows, or by hand."""

from __future__ import annotations

from collections import defaultdict

import pytest

from shareai_cli.errors import LedgerUnavailable
from shareai_cli.ledger import Closed, UseQuestion, UseSum
from shareai_cli.ledger.entries import first_number
from shareai_cli.ledger.sums import HOUR_MS
from shareai_cli.ledger.use import past_use
from shareai_cli.paths import Paths
from shareai_cli.types import Outcome, Subject, Usage
from tests.ledger.making import NOW_MS, closed, open_ledger

OUTCOMES = (Outcome.OK, Outcome.REFUSED, Outcome.HIT, Outcome.JOINED, Outcome.CANCELLED)
START_MS = NOW_MS // HOUR_MS * HOUR_MS
SUBJECTS = (
    Subject("organization"),
    Subject("team", "dev"),
    Subject("key", "ci", (1, 2)),
    Subject("route", "chat"),
    Subject("target", "alpha/m"),
)


def rows() -> list[Closed]:
    """Return requests of five hours, of every kind of outcome, key, team, route and target."""
    made = []
    for number in range(200):
        time_ms = START_MS + number * 90_000
        outcome = OUTCOMES[number % 5]
        asked = outcome in (Outcome.OK, Outcome.CANCELLED)
        target = ("alpha/m", "beta/m")[number % 3 == 0]
        made.append(
            closed(
                first_number(time_ms) + number,
                time_ms=time_ms,
                caller_key=number % 4,
                team=("dev", "ops")[number % 7 < 3],
                route=("chat", "fast")[number % 11 < 4],
                target=target,
                price_as="alpha",
                outcome=outcome,
                attempts=closed(0).attempts if asked else (),
                usage=Usage(number, 1, 2, 3, 4) if asked else None,
            )
        )
    return made


def expected(subject: Subject, since_ms: int, slot_ms: int | None) -> dict[int, tuple[int, int, int]]:
    """Add up by hand."""
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for one in rows():
        is_of = {
            "organization": True,
            "team": one.team == subject.name,
            "key": one.caller_key in subject.keys,
            "route": one.route == subject.name,
            "target": one.target == subject.name,
        }[subject.scope]
        if not is_of or one.time_ms < since_ms:
            continue
        uncounted = {Outcome.REFUSED} | (
            {Outcome.HIT, Outcome.JOINED} if subject.scope == "target" else set()
        )
        tokens = one.usage.prompt + 1 + 2 + 3 + 4 if one.usage is not None else 0
        here = sums[one.time_ms // slot_ms * slot_ms if slot_ms else 0]
        here[0] += one.outcome not in uncounted
        here[1] += tokens
        here[2] += tokens  # each costs a nano-dollar
    return {begin: (a, b, c) for begin, (a, b, c) in sums.items()}


@pytest.fixture
async def filled(paths: Paths) -> Paths:
    ledger = open_ledger(paths)
    for row in rows():
        ledger.closed(row)
    ledger.close()
    return paths


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda one: one.scope)
@pytest.mark.parametrize(
    ("since_ms", "slot_ms"),
    [
        (START_MS, None),
        (START_MS + 2 * HOUR_MS, HOUR_MS),
        (START_MS - 30 * HOUR_MS, HOUR_MS),
        (START_MS + HOUR_MS + 60_000, 60_000),
        (START_MS + 4 * HOUR_MS + 500, 100),
        (0, None),
        (START_MS + 90 * HOUR_MS, None),
    ],
)
def test_sums_are_those_of_the_rows(
    filled: Paths, subject: Subject, since_ms: int, slot_ms: int | None
) -> None:
    """For each subject: of whole hours, of minutes, of parts of a second, of everything, of nothing."""
    question = UseQuestion(subject, since_ms, slot_ms)
    past = past_use(filled.database, [question], list)
    found = {one.begins_ms if slot_ms else 0: one for one in past.sums[question]}
    wanted = expected(subject, since_ms, slot_ms)
    assert {begin: (one.requests, one.tokens, one.cost_nano) for begin, one in found.items()} == wanted


def test_who_has_no_rows_has_used_nothing(filled: Paths) -> None:
    """Names that the accounts do not know, and a key without a number."""
    unknown = [Subject("team", "x"), Subject("route", "x"), Subject("target", "x"), Subject("key", "x")]
    questions = [UseQuestion(one, 0) for one in unknown]
    past = past_use(filled.database, questions, list)
    assert all(not any(isinstance(one, UseSum) for one in past.sums[question]) for question in questions)


def test_requests_that_ended_meanwhile_are_named_where_they_are_in_the_sums(filled: Paths) -> None:
    """However many are asked for."""
    there = [one.request for one in rows()]
    past = past_use(filled.database, [], lambda: [*there, *range(1_000)])
    assert past.counted == set(there)
    assert past.targets == {"": "", "alpha/m": "alpha", "beta/m": "alpha"}


def test_accounts_that_are_not_there(paths: Paths) -> None:
    """An error that says so."""
    with pytest.raises(LedgerUnavailable):
        past_use(paths.database, [], list)
