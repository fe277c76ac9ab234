"""The first target of a route fails in each way that there is, then all but the last, then all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from shareai_cli.drill.case import Blocked, Skipped, expect, expect_answer, told
from shareai_cli.drill.failover.route import (
    MOST_TRIED,
    DrilledRoute,
    attempts_of,
    check_others,
    in_words,
    tried,
)
from shareai_cli.drill.outcome import Asked, failing
from shareai_cli.drill.session import Session
from shareai_cli.drill_types import Fault, FaultKind
from shareai_cli.types import Attempt, Outcome

PATIENCE: Final = 3.0
"""Seconds that the cut of a silent target may take beyond its limit."""


class Meeting(Struct, frozen=True):
    """A fault in words, and how an attempt ends that meets it."""

    words: str
    outcome: str
    status: int = 0
    """0 where it has none."""

    def is_in(self, attempt: Attempt) -> bool:
        """Tell whether an attempt met it."""
        return attempt.outcome == self.outcome and (not self.status or attempt.status == self.status)


FAULTS: Final[Mapping[FaultKind, Meeting]] = MappingProxyType(
    {
        "refused": Meeting("connection refused", "refused"),
        "error": Meeting("HTTP 500", "status", 500),
        "rate-limited": Meeting("HTTP 429 with Retry-After", "status", 429),
        "unauthorized": Meeting("HTTP 401", "status", 401),
        "stalled": Meeting("stalled before the first byte", "timeout"),
        "error-event": Meeting("an error in a 200", "malformed", 200),
        "cut": Meeting("cut off in the middle", "truncated", 200),
    }
)


async def all_fail(drilled: DrilledRoute, session: Session) -> str:
    """Every target is tried, in its order; then there is a 503 that says when to come back."""
    async with session.scenario(drilled.name, faults=[Fault("error", drilled.targets)]) as scene:
        meant = drilled.targets if drilled.is_listed else await scene.order(drilled.name)
        drilled.tried = meant
        asked = await scene.ask(drilled.name, streamed=True, costs=False)
    is_so = asked.status == 503 and asked.retry_after is not None
    expect(is_so, "503 with Retry-After", told(asked), asked)
    order = tried(asked)
    is_each = len(order) >= min(len(meant), MOST_TRIED) and {*order} <= {*meant}
    expect(is_each, "every target is tried", in_words(asked), asked)
    if drilled.is_ordered:
        in_order = order == meant[: len(order)]
        expect(in_order, f"targets are tried in their order: {', '.join(meant)}", in_words(asked), asked)
    drilled.tried = order
    return f"{len(order)} targets were tried"


async def first_fails(kind: FaultKind, streamed: bool, drilled: DrilledRoute, session: Session) -> str:
    """Whoever is asked first fails, and the next one answers."""
    order, meeting = drilled.order, FAULTS[kind]
    async with session.scenario(drilled.name, faults=[Fault(kind)]) as scene:
        asked = await scene.ask(drilled.name, streamed=streamed)
    attempts = attempts_of(asked)
    expect(attempts, f"an attempt that meets: {meeting.words}", "no attempt", asked)
    first = attempts[0].target
    if drilled.is_ordered:
        expect(first == order[0], f"{order[0]} is asked first", in_words(asked), asked)
    has_met = all(meeting.is_in(one) for one in attempts if one.target == first)
    expect(has_met, f"attempts that meet: {meeting.words}", in_words(asked), asked)
    _check_taken_over(drilled, (first, *_takers(order, first, kind)), asked)
    note = f"{asked.target} answered; the failover took {failing(attempts) * 1000:.0f} ms"
    if kind == "stalled":
        most = session.options.deadlines.silence + PATIENCE
        late = f"{failing(attempts):.1f} s"
        expect(failing(attempts) < most * len(attempts), f"given up within {most:.1f} s", late, asked)
        note += _caveat(drilled, first, streamed=streamed)
    return note


async def stream_is_cut(drilled: DrilledRoute, session: Session) -> str:
    """A stream whose content had flowed is not begun anew: it ends with an error event."""
    async with session.scenario(drilled.name, faults=[Fault("cut")]) as scene:
        asked = await scene.ask(drilled.name, streamed=True, costs=False)
    expected = "the content so far, then an error event and no [DONE]"
    is_so = asked.status == 200 and asked.text and asked.error and not asked.is_whole
    expect(is_so, expected, f"{told(asked)} with {len(asked.text)} characters", asked)
    is_alone = len(attempts_of(asked)) == 1
    expect(is_alone, "no other target is asked once content has flowed", in_words(asked), asked)
    outcome = asked.row.outcome if asked.row is not None else None
    expect(outcome is Outcome.INCOMPLETE, "a row that says incomplete", f"one that says {outcome}", asked)
    return "ended with an error event, and was not begun anew"


async def all_but_last_fail(drilled: DrilledRoute, session: Session) -> str:
    """Whoever comes last answers."""
    last = drilled.order[-1]
    if not drilled.is_ordered:
        drilled.check_size(MOST_TRIED)
    async with session.scenario(drilled.name, faults=[Fault("error", drilled.others(last))]) as scene:
        asked = await scene.ask(drilled.name, streamed=True)
    if asked.status != 200 and last in tried(asked):
        raise Blocked(f"{last} does not answer by itself: {told(asked)}.")
    expect_answer(asked)
    expect(asked.target == last, f"{last} answers", told(asked), asked)
    return f"{asked.target} answered, the attempt {len(attempts_of(asked))}"


def _takers(order: Sequence[str], first: str, kind: FaultKind) -> Sequence[str]:
    """Return who can take the place of the first; raises `Skipped` where nobody can.

    A key that is refused for one model is refused for all of its provider's.
    """
    others = [one for one in order if one != first]
    if kind != "unauthorized":
        return others
    provider = first.partition("/")[0]
    others = [one for one in others if one.partition("/")[0] != provider]
    if not others:
        raise Skipped(f"All of its targets are {provider}'s, whose key is refused for each of them.")
    return others


def _check_taken_over(drilled: DrilledRoute, expected: Sequence[str], asked: Asked) -> None:
    """See that the next target answered, or one behind it where that one failed by itself."""
    first, *others = expected
    check_others(others, asked)
    expect_answer(asked)
    expect(asked.target != first, "another target answers", f"{first} did", asked)
    if drilled.is_ordered:
        order = tried(asked)
        expect(list(order) == [first, *others][: len(order)], f"{others[0]} is next", in_words(asked), asked)


def _caveat(drilled: DrilledRoute, target: str, *, streamed: bool) -> str:
    """Say in a line of its own how long a silent target is given where no drill hurries."""
    seconds = drilled.patience(target, streamed=streamed)
    if not seconds:
        return ""
    what = "the first byte of a stream" if streamed else "a whole reply"
    return f"\nThe limit was the drill's own: for {what}, {target} is given {seconds:g} s otherwise."
