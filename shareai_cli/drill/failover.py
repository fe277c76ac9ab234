"""The check `failover`: targets of a route are made to fail, and another one has to answer in their place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from shareai_cli.drill.case import Blocked, Case, Run, Skipped, expect, expect_answer, expect_row, told
from shareai_cli.drill.outcome import Asked, failing
from shareai_cli.drill.session import Scene, Session
from shareai_cli.drill_types import DrillRoute, DrillSubjects, Fault, FaultKind
from shareai_cli.types import Attempt, Outcome


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

FORMS: Final = ((" (whole)", False), (" (streamed)", True))

MOST_TO_EJECT: Final = 12
"""Requests within which a target that fails has to be ejected."""

MOST_TRIED: Final = 10
"""Targets of a route that are tried for one request for sure: the gateway bounds its attempts."""

EJECTED: Final = ("ejected", "probing")

RETURNS_WITHIN: Final = 10.0
"""Seconds after its ejection in which a target has to be probed and tried."""

PATIENCE: Final = 3.0
"""Seconds that the cut of a silent target may take beyond its limit."""


def cases(subjects: DrillSubjects) -> Iterator[Case]:
    """Yield the cases of each route, in the order in which they have to be run."""
    for route in subjects.routes:
        drilled = _Route(route)
        second, last = route.targets[1:2], route.targets[-1:]
        is_alone = len(route.targets) < 2
        yield _case(drilled, "every target fails", partial(_all_fail, drilled))
        for kind, meeting in FAULTS.items():
            for form, streamed in FORMS:
                is_cut = kind == "cut" and streamed
                run = partial(_cut if is_cut else _first_fails, drilled, kind, streamed)
                yield _case(
                    drilled, f"first: {meeting.words}{form}", run, () if is_cut or is_alone else second
                )
        yield _case(
            drilled, "all but the last fail", partial(_all_but_last, drilled), () if is_alone else last
        )
        if not is_alone:
            yield _case(drilled, "rests as told by Retry-After", partial(_rests, drilled), second * 3)
            yield _case(drilled, "comes back after its probe", partial(_comes_back, drilled), second * 4)


class _Route:
    """A route that is drilled, and the targets of it that take a drill's request, as they are tried."""

    def __init__(self, route: DrillRoute) -> None:
        self.name = route.name
        self.targets = route.targets
        self.is_plain = route.is_plain
        self.is_ordered = route.is_plain and route.strategy == "priority"
        self.tried: tuple[str, ...] | None = route.targets if route.is_plain else None

    @property
    def order(self) -> tuple[str, ...]:
        """The targets that take a request; `Skipped` where there is but one, `Blocked` where nobody knows."""
        if len(self.targets) < 2:
            raise Skipped(f"'{self.name}' has one target: nothing can take its place.")
        if self.tried is None:
            raise Blocked("It is not known which targets take such a request: see 'every target fails'.")
        if len(self.tried) < 2:
            raise Skipped(f"Only {''.join(self.tried)} takes such a request: nothing can take its place.")
        return self.tried


def _case(drilled: _Route, name: str, run: Run, answers: Sequence[str] = ()) -> Case:
    return Case("failover", drilled.name, name, run, tuple(answers))


async def _all_fail(drilled: _Route, session: Session) -> str:
    if not drilled.is_plain:
        drilled.tried = await session.explained(drilled.name)
    meant = drilled.tried or ()
    async with session.scenario(drilled.name, faults=[Fault("error", drilled.targets)]) as scene:
        asked = await scene.ask(drilled.name, streamed=True)
    expected = "503 with Retry-After"
    expect(asked.status == 503 and asked.retry_after is not None, expected, told(asked), asked)
    attempts = _attempts(asked)
    order = tuple(dict.fromkeys(one.target for one in attempts))
    expect({*meant[:MOST_TRIED]} <= {*order}, "every target is tried", _names(attempts), asked)
    if drilled.is_ordered:
        in_order = order == meant[: len(order)]
        expect(in_order, "targets are tried in their order", _names(attempts), asked)
    else:
        drilled.tried = order
    return f"{len(order)} targets were tried"


async def _first_fails(drilled: _Route, kind: FaultKind, streamed: bool, session: Session) -> str:
    order = drilled.order
    meeting = FAULTS[kind]
    async with session.scenario(drilled.name, faults=[Fault(kind)]) as scene:
        asked = await scene.ask(drilled.name, streamed=streamed)
    attempts = _attempts(asked)
    expect(attempts, f"an attempt that meets: {meeting.words}", "no attempt", asked)
    first = attempts[0].target
    _check_met([one for one in attempts if one.target == first], meeting, asked)
    _check_taken_over(drilled, order, first, asked, attempts)
    if kind == "stalled":
        most = session.options.deadlines.silence + PATIENCE
        late = f"{failing(attempts):.1f} s"
        expect(failing(attempts) < most * len(attempts), f"given up within {most:.1f} s", late, asked)
    return f"{asked.target} answered; the failover took {failing(attempts) * 1000:.0f} ms"


async def _cut(drilled: _Route, kind: FaultKind, streamed: bool, session: Session) -> str:
    """A stream whose content had flowed is not begun anew: it ends with an error event."""
    async with session.scenario(drilled.name, faults=[Fault(kind)]) as scene:
        asked = await scene.ask(drilled.name, streamed=streamed)
    expected = "the content so far, then an error event and no [DONE]"
    is_so = asked.status == 200 and asked.text and asked.error and not asked.is_whole
    expect(is_so, expected, f"{told(asked)} with {len(asked.text)} characters", asked)
    attempts = _attempts(asked)
    expect(len(attempts) == 1, "no other target is asked once content has flowed", _names(attempts), asked)
    outcome = asked.row.outcome if asked.row is not None else None
    expect(outcome is Outcome.INCOMPLETE, "a row that says incomplete", f"one that says {outcome}", asked)
    return "ended with an error event, and was not begun anew"


async def _all_but_last(drilled: _Route, session: Session) -> str:
    *others, last = drilled.order
    async with session.scenario(drilled.name, faults=[Fault("error", tuple(others))]) as scene:
        asked = await scene.ask(drilled.name, streamed=True)
    attempts = _attempts(asked)
    if asked.status != 200 and any(one.target == last for one in attempts):
        raise Blocked(f"{last} does not answer by itself: {told(asked)}.")
    expect_answer(asked)
    expect(asked.target == last, f"{last} answers", told(asked), asked)
    return f"{asked.target} answered, the attempt {len(attempts)}"


async def _rests(drilled: _Route, session: Session) -> str:
    """A target that is rate limited is left alone as long as it says, and no longer."""
    first = drilled.order[0]
    if not drilled.is_ordered:
        raise Skipped("Its strategy may ask another target first anyway.")
    async with session.scenario(drilled.name, faults=[Fault("rate-limited", (first,))]) as scene:
        asked = await _answered(scene, drilled, first)
        expect(_tried(asked, first), f"{first} is asked, and answers 429", _names(_attempts(asked)), asked)
        again = await _answered(scene, drilled, first)
        expect(not _tried(again, first), f"{first} is left alone", _names(_attempts(again)), again)
        wait = max((one.seconds for one in (await scene.troubles()).values()), default=0.0)
        expect(wait <= 60, "rested for the second that it asked for", f"for {wait:.0f} s", again)
        await asyncio.sleep(wait + 0.05)
        later = await _answered(scene, drilled, first)
        expect(_tried(later, first), f"{first} is asked again", _names(_attempts(later)), later)
    return f"{first} rested, and was asked again"


async def _comes_back(drilled: _Route, session: Session) -> str:
    """A target that failed thrice is ejected, probed, tried with one request, and serves again."""
    first = drilled.order[0]
    if not drilled.is_ordered:
        raise Skipped("Its strategy may ask another target first anyway.")
    async with session.scenario(drilled.name, faults=[Fault("error", (first,), times=3)]) as scene:
        for _ in range(MOST_TO_EJECT):
            asked = await _answered(scene, drilled, first)
            if await _state(scene, first) in EJECTED:
                break
        state = await _state(scene, first)
        expect(state in EJECTED, f"{first} is ejected after its failures", state or "it serves", asked)
        asked = await _answered(scene, drilled, first)
        expect(not _tried(asked, first), f"{first} is left alone", _names(_attempts(asked)), asked)
        began = time.monotonic()
        while await _state(scene, first) in EJECTED:
            is_late = time.monotonic() - began > session.options.deadlines.ejection + RETURNS_WITHIN
            expect(not is_late, f"{first} is tried again", f"it is still {state}", look_at="shareai status")
            await asyncio.sleep(0.05)
        asked = await scene.ask(drilled.name, streamed=True, anew=True)
        if asked.target != first and _tried(asked, first):
            raise Blocked(f"{first} does not answer by itself: {_names(_attempts(asked))}.")
        expect_answer(asked)
        expect(asked.target == first, f"{first} answers again", told(asked), asked)
        state = await _state(scene, first)
        expect(not state, f"{first} serves", f"it is {state}", asked)
    return f"{first} answered again {time.monotonic() - began:.1f} s later"


async def _answered(scene: Scene, drilled: _Route, faulty: str) -> Asked:
    """Ask, and see that another target than the failing one answers, as far as one does by itself."""
    asked = await scene.ask(drilled.name, streamed=True, anew=True)
    _check_others(drilled.order, faulty, asked, _attempts(asked))
    expect_answer(asked)
    return asked


async def _state(scene: Scene, target: str) -> str:
    found = (await scene.troubles()).get(target)
    return found.state if found is not None else ""


def _check_met(attempts: Sequence[Attempt], meeting: Meeting, asked: Asked) -> None:
    other = [one for one in attempts if not meeting.is_in(one)]
    expect(not other, f"attempts that meet: {meeting.words}", _names(attempts), asked)


def _check_taken_over(
    drilled: _Route, order: Sequence[str], first: str, asked: Asked, attempts: Sequence[Attempt]
) -> None:
    """See that the next target answered, or one behind it where that one failed by itself."""
    _check_others(order, first, asked, attempts)
    expect_answer(asked)
    expect(asked.target != first, "another target answers", f"{first} did", asked)
    if drilled.is_ordered:
        tried = tuple(dict.fromkeys(one.target for one in attempts))
        expect(tried == order[: len(tried)], f"{order[1]} is next", _names(attempts), asked)


def _check_others(order: Sequence[str], faulty: str, asked: Asked, attempts: Sequence[Attempt]) -> None:
    """Raise `Blocked` where every other target was tried and failed without a fault of the drill's."""
    others = {target for target in order if target != faulty}
    if asked.status != 200 and others <= {one.target for one in attempts}:
        raise Blocked(f"No other target answers by itself: {_names(attempts)}.")


def _attempts(asked: Asked) -> Sequence[Attempt]:
    expect_row(asked)
    return asked.row.attempts if asked.row is not None else ()


def _tried(asked: Asked, target: str) -> bool:
    return any(one.target == target for one in _attempts(asked))


def _names(attempts: Sequence[Attempt]) -> str:
    """Tell attempts in a few words."""
    return ", ".join(f"{one.target} {one.status or one.outcome}" for one in attempts) or "no attempts"
