"""Targets that failed are left alone for a while, and serve again after it, whatever a route's strategy.

Who is left alone is not asked even where every other target fails, and who serves again is: so both can be
seen of a strategy that may ask anybody first. What is made to fail is answered at once, long before the
while is over.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from shareai_cli.drill.case import Blocked, expect, expect_answer, told
from shareai_cli.drill.failover.faults import FAULTS
from shareai_cli.drill.failover.route import DrilledRoute, attempts_of, check_others, in_words, tried
from shareai_cli.drill.outcome import Asked
from shareai_cli.drill.session import Scene, Session
from shareai_cli.drill_types import RETRY_AFTER, Fault

MOST_TO_EJECT: Final = 12
"""Requests within which a target that fails has to be ejected."""

MOST_UNORDERED: Final = 6
"""Targets that are all asked when they fail again and again: the gateway bounds its retries."""

EJECTED: Final = ("ejected", "probing")

RETURNS_WITHIN: Final = 10.0
"""Seconds after its ejection in which a target has to be probed and tried."""

LONGEST_REST: Final = 60.0


async def rests(drilled: DrilledRoute, session: Session) -> str:
    """A target that is rate limited is left alone as long as it says, and no longer."""
    if not drilled.is_constant:
        drilled.check_size(MOST_UNORDERED)
    faults = (Fault("rate-limited"), Fault("error", drilled.targets))
    async with session.scenario(drilled.name, faults=faults) as scene:
        until = time.monotonic() + RETRY_AFTER
        asked = await _failed(scene, drilled)
        first = tried(asked)[0]
        has_met = FAULTS["rate-limited"].is_in(attempts_of(asked)[0])
        expect(has_met, f"{first} is asked, and answers 429", in_words(asked), asked)
        resting = Fault("rate-limited", (first,))
        await _check_left_alone(scene, drilled, first, resting, until)
        wait = max((one.seconds for one in await scene.troubles() if one.target == first), default=0.0)
        expect(wait <= LONGEST_REST, f"rested for the {RETRY_AFTER} s that it asked for", f"for {wait:.0f} s")
        await asyncio.sleep(wait + 0.05)
        await scene.fail(resting, Fault("error", drilled.others(first)))
        later = await _failed(scene, drilled)
        expect(first in tried(later), f"{first} is asked again", in_words(later), later)
    return f"{first} rested, and was asked again"


async def comes_back(drilled: DrilledRoute, session: Session) -> str:
    """A target that fails again and again is ejected, probed, tried with one request, and serves again."""
    if not drilled.is_constant:
        drilled.check_size(MOST_UNORDERED)
    first = drilled.order[0]
    faults = Fault("error", (first,))
    async with session.scenario(drilled.name, faults=[faults]) as scene:
        until = await _eject(scene, first, session.options.deadlines.ejection)
        await _check_left_alone(scene, drilled, first, faults, until)
        began = time.monotonic()
        while (state := await _state(scene, first)) in EJECTED:
            is_late = time.monotonic() - began > session.options.deadlines.ejection + RETURNS_WITHIN
            expect(not is_late, f"{first} is tried again", f"it is still {state}", look_at="shareai status")
            await asyncio.sleep(0.05)
        await scene.fail(*(() if drilled.is_constant else [Fault("error", drilled.others(first))]))
        asked = await scene.ask(drilled.name, streamed=True, anew=True)
        if asked.target != first and first in tried(asked):
            raise Blocked(f"{first} does not answer by itself: {in_words(asked)}.")
        expect_answer(asked)
        expect(asked.target == first, f"{first} answers again", told(asked), asked)
        state = await _state(scene, first)
        expect(not state, f"{first} serves", f"it is {state}", asked)
    return f"{first} answered again {time.monotonic() - began:.1f} s later"


async def _eject(scene: Scene, target: str, lasting: float) -> float:
    """Ask a target that fails until it is ejected; returns the time at which that is over at the earliest."""
    until = 0.0
    for _ in range(MOST_TO_EJECT):
        until = time.monotonic() + lasting
        asked = await scene.ask(target, streamed=True, anew=True, costs=False)
        state = await _state(scene, target)
        if state:
            break
    expect(state in EJECTED, f"{target} is ejected after its failures", state or "it serves", asked)
    return until


async def _check_left_alone(
    scene: Scene, drilled: DrilledRoute, target: str, fault: Fault, until: float
) -> None:
    """See that a target is not asked, neither where others fail nor where one answers."""
    others = drilled.others(target)
    await scene.fail(fault, Fault("error", others))
    _expect_not_tried(await _failed(scene, drilled), target, until)
    await scene.fail(fault)
    asked = await scene.ask(drilled.name, streamed=True, anew=True)
    _expect_not_tried(asked, target, until)
    check_others([one for one in drilled.order if one != target], asked)
    expect_answer(asked)


def _expect_not_tried(asked: Asked, target: str, until: float) -> None:
    if target not in tried(asked):
        return
    if time.monotonic() >= until:
        raise Blocked(f"It took so long to ask that {target} might be asked again: {in_words(asked)}.")
    expect(False, f"{target} is left alone", in_words(asked), asked)


async def _failed(scene: Scene, drilled: DrilledRoute) -> Asked:
    """Ask where every target fails, and see that each of those that were asked did."""
    asked = await scene.ask(drilled.name, streamed=True, anew=True, costs=False)
    expect(asked.status == 503, "503, as every target fails", told(asked), asked)
    return asked


async def _state(scene: Scene, target: str) -> str:
    return next((one.state for one in await scene.troubles() if one.target == target), "")
