"""The check `answers`: each route, and each key of each target, answers something small, streamed or not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from shareai_cli.drill.case import Case, expect, expect_answer
from shareai_cli.drill.session import Session
from shareai_cli.drill_types import DrillRoute, DrillSubjects, DrillTarget

FORMS = (("whole", False), ("streamed", True))


def cases(subjects: DrillSubjects) -> Iterator[Case]:
    """Yield the cases of routes and targets."""
    for route in subjects.routes:
        for name, streamed in FORMS:
            run = partial(_route, route=route, streamed=streamed)
            yield Case("answers", route.name, name, run, route.targets[:1])
    for target in subjects.targets:
        for key in target.keys:
            subject = target.name if len(target.keys) == 1 else f"{target.name} with key {key}"
            for name, streamed in FORMS:
                run = partial(_target, target=target, key=key, streamed=streamed)
                yield Case("answers", subject, name, run, (target.name,))


async def _route(session: Session, route: DrillRoute, streamed: bool) -> str:
    async with session.scenario(route.name) as scene:
        asked = await scene.ask(route.name, streamed=streamed)
    expect_answer(asked)
    expect(
        asked.target in route.targets, f"one of the targets of '{route.name}' answers", asked.target, asked
    )
    return ""


async def _target(session: Session, target: DrillTarget, key: str, streamed: bool) -> str:
    provider = target.name.partition("/")[0]
    look_at = "shareai status" if provider == "node" else f"shareai provider test {provider}"
    async with session.scenario(keys=(key,) if key else ()) as scene:
        asked = await scene.ask(target.name, streamed=streamed)
    expect_answer(asked, look_at)
    expect(asked.target == target.name, f"{target.name} answers", f"{asked.target} did", asked)
    row = asked.row
    if row is not None and key:
        expect(row.provider_key == key, f"the key {key} is used", f"{row.provider_key} was", asked)
    return ""
