"""The check `cache`: an equal request is answered with what was kept, and no other one is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Final

from shareai_cli.drill.case import Blocked, Case, Skipped, expect, expect_answer, told
from shareai_cli.drill.outcome import Asked
from shareai_cli.drill.session import Scene, Session
from shareai_cli.drill_types import DrillRoute, DrillSubjects
from shareai_cli.types import Outcome

OTHER_PROMPT: Final = "Reply with one word: ping"
AT_ONCE: Final = 4


def cases(subjects: DrillSubjects) -> Iterator[Case]:
    """Yield the cases of the routes that have a cache."""
    for route in subjects.routes:
        first = route.targets[:1]
        if not route.has_cache:
            yield Case("cache", route.name, "equal requests", _nothing_kept)
            continue
        for name, streamed in (("equal requests (whole)", False), ("equal requests (streamed)", True)):
            yield Case("cache", route.name, name, partial(_equal, route, streamed), first)
        yield Case("cache", route.name, "different requests", partial(_different, route), first * 4)
        yield Case("cache", route.name, "another team's request", partial(_other_team, route), first * 2)
        yield Case("cache", route.name, "equal requests at once", partial(_at_once, route), first)


async def _nothing_kept(session: Session) -> str:
    raise Skipped("It keeps no replies (cache = ... on the route does).")


async def _equal(route: DrillRoute, streamed: bool, session: Session) -> str:
    async with session.scenario(route.name) as scene:
        former = await _first(scene, route, streamed=streamed)
        asked = await scene.ask(route.name, streamed=streamed)
    expect_answer(asked)
    expect(
        asked.cache == "hit", "the second is a hit", f"it is a {asked.cache or 'request as any other'}", asked
    )
    expect(asked.text == former.text, "the same text", "another one", asked)
    _expect_free(asked, Outcome.HIT)
    return f"hit after {asked.seconds * 1000:.0f} ms, where the first took {former.seconds * 1000:.0f} ms"


async def _different(route: DrillRoute, session: Session) -> str:
    async with session.scenario(route.name) as scene:
        await _first(scene, route, streamed=False)
        for what, asked in (
            ("another prompt", await scene.ask(route.name, prompt=OTHER_PROMPT)),
            ("another length", await scene.ask(route.name, longest=session.options.longest - 1)),
            ("a stream", await scene.ask(route.name, streamed=True)),
        ):
            expect_answer(asked)
            expect(asked.cache == "miss", f"{what} is a miss", f"it is a {asked.cache}", asked)
            attempts = asked.row.attempts if asked.row is not None else ()
            expect(attempts, f"a target is asked for {what}", "none was", asked)
    return "another prompt, another length and a stream were asked anew"


async def _other_team(route: DrillRoute, session: Session) -> str:
    """A reply is kept for the team that it was given to, unless the route shares its cache."""
    async with session.scenario(route.name) as scene:
        await _first(scene, route, streamed=False)
        asked = await scene.ask(route.name, as_other=True)
    expect_answer(asked)
    expected = "hit" if route.shares_cache else "miss"
    told_of = "it is shared" if route.shares_cache else "it is not shared"
    expect(asked.cache == expected, f"a {expected}, as {told_of}", f"it is a {asked.cache}", asked)
    return f"a {expected}, as {told_of}"


async def _at_once(route: DrillRoute, session: Session) -> str:
    async with session.scenario(route.name) as scene:
        replies = await asyncio.gather(*(scene.ask(route.name) for _ in range(AT_ONCE)))
    for asked in replies:
        expect_answer(asked)
    calls = [asked for asked in replies if asked.row is not None and asked.row.attempts]
    expect(len(calls) == 1, f"one call for {AT_ONCE} equal requests", f"{len(calls)} calls", replies[0])
    for asked in replies:
        if asked is not calls[0]:
            _expect_free(asked, Outcome.JOINED, Outcome.HIT)
    expect(len({asked.text for asked in replies}) == 1, "the same text for all", "different ones", replies[0])
    return f"{AT_ONCE} requests shared one call"


async def _first(scene: Scene, route: DrillRoute, *, streamed: bool) -> Asked:
    """Ask what nobody has asked before."""
    asked = await scene.ask(route.name, streamed=streamed)
    if asked.status != 200:
        raise Blocked(f"It does not answer: {told(asked)}.")
    expect_answer(asked)
    expect(
        asked.cache == "miss",
        "the first is a miss",
        f"it is a {asked.cache or 'request as any other'}",
        asked,
    )
    return asked


def _expect_free(asked: Asked, *outcomes: Outcome) -> None:
    row = asked.row
    if row is not None:
        expect(
            row.outcome in outcomes, f"a row that says {outcomes[0]}", f"one that says {row.outcome}", asked
        )
        expect(not row.cost_nano and not row.attempts, "no cost and no attempt", "some", asked)
