"""The check `limits`: a key of the drill's own is held to its limits, and no target sees what was refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from shareai_cli.drill.case import Blocked, Case, Skipped, expect, expect_row, told
from shareai_cli.drill.outcome import Asked
from shareai_cli.drill.session import Session
from shareai_cli.drill_types import DrillSubjects, DrillTarget, Fault
from shareai_cli.types import Outcome

ALLOWED: Final = 2
SENT: Final = 5

RATE: Final = "requests_per_minute"
TOKENS: Final = "tokens_per_minute"
CONCURRENT: Final = "concurrent_requests"
BUDGET: Final = "budget_total"

TINY: Final = "0.000000001 USD"
"""Less than any answer of a target with a price may cost."""

_LIMIT_FIELDS: Final = tuple(f"x-ratelimit-{name}-requests" for name in ("limit", "remaining", "reset"))


def cases(subjects: DrillSubjects) -> Iterator[Case]:
    """Yield the cases: they are about the key, so that one route or target is enough."""
    names = [route.name for route in subjects.routes] or [one.name for one in subjects.targets]
    if not names:
        return
    first = subjects.routes[0].targets[0] if subjects.routes else names[0]
    yield Case("limits", names[0], "a burst", partial(_burst, names[0]), (first,) * ALLOWED)
    yield Case("limits", names[0], "too many tokens", partial(_tokens, names[0]))
    yield Case("limits", first, "requests at once", partial(_at_once, first))
    yield Case("limits", "budget", "a budget that is spent", partial(_budget, subjects.targets))


async def _burst(model: str, session: Session) -> str:
    async with session.scenario(_route(model), limits={RATE: ALLOWED}) as scene:
        replies = await asyncio.gather(*(scene.ask(model) for _ in range(SENT)))
        later = await scene.ask(model)
    answered = [one for one in replies if one.status != 429]
    if any(one.status != 200 for one in answered) and len(answered) == ALLOWED:
        raise Blocked(f"It does not answer by itself: {told(answered[0])}.")
    expect(len(answered) == ALLOWED, f"{ALLOWED} of {SENT} are let in", _statuses(replies), replies[0])
    for asked in (*(one for one in replies if one.status == 429), later):
        _expect_refused(asked, "rate_limit_exceeded")
        expect(asked.retry_after, "Retry-After", "none", asked)
        limit, remaining, reset = (asked.headers.get(name, "") for name in _LIMIT_FIELDS)
        expected = f"x-ratelimit fields that say {ALLOWED} and 0"
        says = ", ".join((limit, remaining, reset))
        expect((limit, remaining) == (str(ALLOWED), "0") and reset, expected, says, asked)
    return f"{ALLOWED} of {SENT} were let in, and the others are told when to come back"


async def _tokens(model: str, session: Session) -> str:
    async with session.scenario(_route(model), limits={TOKENS: 1}) as scene:
        asked = await scene.ask(model)
    _expect_refused(asked, "rate_limit_exceeded")
    return "refused before it was sent"


async def _at_once(target: str, session: Session) -> str:
    """Of requests to a target that is silent, so many are let in; when they have ended, others are."""
    async with session.scenario(faults=[Fault("stalled", (target,))], limits={CONCURRENT: ALLOWED}) as scene:
        replies = await asyncio.gather(*(scene.ask(target) for _ in range(SENT)))
        later = await scene.ask(target)
    under_way = [one for one in replies if one.status != 429]
    expect(len(under_way) == ALLOWED, f"{ALLOWED} of {SENT} at a time", _statuses(replies), replies[0])
    for asked in replies:
        if asked.status == 429:
            _expect_refused(asked, "rate_limit_exceeded")
            expect(asked.retry_after, "Retry-After", "none", asked)
    expect(later.status != 429, "another one is let in when they have ended", told(later), later)
    return f"{ALLOWED} of {SENT} were under way at a time"


async def _budget(targets: Sequence[DrillTarget], session: Session) -> str:
    priced = [one for one in targets if one.prompt_nano and one.completion_nano]
    if not priced:
        raise Skipped("No target has a known price: own machines cost nothing.")
    target = priced[0].name
    async with session.scenario(limits={BUDGET: TINY}) as scene:
        asked = await scene.ask(target)
    _expect_refused(asked, "insufficient_quota")
    is_final = asked.headers.get("x-should-retry") == "false"
    expect(is_final, "x-should-retry: false, as waiting does not help", "nothing of it", asked)
    return f"{target} was not asked"


def _expect_refused(asked: Asked, code: str) -> None:
    """Raise `Unmet` unless a request was refused, and nobody was asked for it."""
    is_refused = asked.status == 429 and asked.error_code == code
    expect(is_refused, f"429 {code}", told(asked), asked)
    expect_row(asked)
    row = asked.row
    is_unsent = row is not None and row.outcome is Outcome.REFUSED and not row.attempts
    expect(is_unsent, "no target is asked", "some were", asked)


def _statuses(replies: Sequence[Asked]) -> str:
    return ", ".join(str(one.status or one.error) for one in replies)


def _route(model: str) -> str | None:
    """Return the route of a model's name; None for `provider/model`."""
    return None if "/" in model else model
