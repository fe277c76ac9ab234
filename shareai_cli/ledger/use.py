"""What was used since a time, for those who limit it: requests that were not refused, tokens, money.

Whole hours come out of the hourly sums, anything finer out of the rows themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from msgspec import Struct

from shareai_cli.ledger.codes import OUTCOMES
from shareai_cli.ledger.database import connect_reader, understood
from shareai_cli.ledger.entries import first_number
from shareai_cli.ledger.sums import DIMENSIONS, HOUR_MS
from shareai_cli.types import LimitScope, Outcome, Subject

LATEST_START_MS: Final = 60_000
"""How much earlier than its time a request's number may have been given: it may have had to wait."""

_MOST_IDS: Final = 500
_EVERYTHING: Final = HOUR_MS << 40

_REFUSED: Final = (Outcome.REFUSED,)
_NOT_ASKED: Final = (Outcome.REFUSED, Outcome.HIT, Outcome.JOINED)
"""Outcomes of requests that do not count: a reply that was kept is a request to everybody but its target."""

_HOURLY: Final[Mapping[LimitScope, int]] = {
    "organization": DIMENSIONS["route"],
    "team": DIMENSIONS["team"],
    "key": DIMENSIONS["key"],
    "route": DIMENSIONS["route"],
    "target": DIMENSIONS["target"],
}
"""By which sums of hours a scope goes."""

_TOKENS: Final = "prompt + cached + cache_write + completion + reasoning"


class UseQuestion(Struct, frozen=True):
    """A subject's use since a time, in slots of so many milliseconds, or in one sum."""

    subject: Subject
    since_ms: int
    slot_ms: int | None = None


class UseSum(Struct, frozen=True):
    """What was used in the slot that begins then."""

    begins_ms: int
    requests: int
    """Those that were not refused; of targets, those that it was asked."""
    tokens: int
    cost_nano: int
    """Where a cost is unknown, none."""


class PastUse(Struct, frozen=True):
    """The answers, all from one state of the accounts."""

    sums: Mapping[UseQuestion, Sequence[UseSum]]
    counted: Collection[int]
    """Of the requests that were said to end meanwhile, those that are in the sums."""
    targets: Mapping[str, str]
    """The targets' names, and their providers' among the prices."""


NO_PAST_USE: Final = PastUse({}, (), {})


def past_use(path: Path, questions: Collection[UseQuestion], ended: Callable[[], Collection[int]]) -> PastUse:
    """Look up what was used, on a connection of its own that only reads.

    `ended` returns the requests that have ended so far, as far as they may be in the sums and not be wanted
    there; it is called once the state is chosen, which holds none that ends later.

    Raises `LedgerUnavailable`.
    """
    with understood(path), closing(connect_reader(path)) as connection:
        connection.execute("BEGIN")  # one state of the accounts for all queries
        targets = dict(connection.execute("SELECT name, price_as FROM targets").fetchall())
        counted = _existing(connection, list(ended()))
        return PastUse({one: _sums(connection, one) for one in questions}, counted, targets)


def _existing(connection: sqlite3.Connection, requests: Sequence[int]) -> frozenset[int]:
    found: set[int] = set()
    for begin in range(0, len(requests), _MOST_IDS):
        some = requests[begin : begin + _MOST_IDS]
        marks = ", ".join("?" * len(some))
        rows = connection.execute(f"SELECT id FROM requests WHERE id IN ({marks})", some)  # noqa: S608
        found.update(row[0] for row in rows)
    return frozenset(found)


def _sums(connection: sqlite3.Connection, question: UseQuestion) -> list[UseSum]:
    subject, since_ms, slot_ms = question.subject, question.since_ms, question.slot_ms
    names = _names(connection, subject)
    if not names:
        return []
    step = slot_ms or _EVERYTHING
    if step % HOUR_MS == since_ms % HOUR_MS == 0:
        query = _over_hours(subject.scope, names)
        values = {"step": step // HOUR_MS, "since": since_ms // HOUR_MS}
    else:
        query = _over_rows(subject.scope, names)
        values = {"step": step, "since": since_ms, "first": first_number(since_ms - LATEST_START_MS)}
    return [UseSum(slot * step, *sums) for slot, *sums in connection.execute(query, values)]


def _names(connection: sqlite3.Connection, subject: Subject) -> Sequence[int]:
    """Return the numbers of a subject in the accounts; none where they do not know it."""
    if subject.scope == "organization":
        return (0,)
    if subject.scope == "key":
        return subject.keys
    table = "targets" if subject.scope == "target" else "names"
    rows = connection.execute(f"SELECT id FROM {table} WHERE name = ?", (subject.name,))  # noqa: S608
    return [row[0] for row in rows]


def _over_hours(scope: LimitScope, names: Sequence[int]) -> str:
    """Return the query of sums over whole hours; every request is once in the sums by route."""
    counted = "".join(f" - {outcome.value}" for outcome in _not_counted(scope))
    which = "" if scope == "organization" else f" AND name IN ({_list(names)})"
    return (
        f"SELECT hour / :step AS slot, sum(requests{counted}), sum({_TOKENS}), sum(cost_nano) "  # noqa: S608
        f"FROM hourly WHERE dimension = {_HOURLY[scope]} AND hour >= :since{which} GROUP BY slot"
    )


def _over_rows(scope: LimitScope, names: Sequence[int]) -> str:
    """Return the query of sums over rows."""
    refused = _list([OUTCOMES.index(outcome) for outcome in _not_counted(scope)])
    which = "" if scope == "organization" else f" AND {scope} IN ({_list(names)})"
    return (
        f"SELECT time_ms / :step AS slot, sum(outcome NOT IN ({refused})), sum({_TOKENS}), "  # noqa: S608
        "coalesce(sum(cost_nano), 0) FROM requests "
        f"WHERE id >= :first AND time_ms >= :since{which} GROUP BY slot"
    )


def _not_counted(scope: LimitScope) -> Sequence[Outcome]:
    return _NOT_ASKED if scope == "target" else _REFUSED


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, map(int, numbers)))
