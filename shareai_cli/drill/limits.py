"""The check `limits`: a key of the drill's own is held to its limits, and no target sees what was refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from shareai_cli.drill.case import Blocked, Case, Skipped, expect, expect_row, told
from shareai_cli.drill.outcome import Asked
from shareai_cli.drill.session import Scene, Session
from shareai_cli.drill_types import DrillSubjects, DrillTarget, Fault
from shareai_cli.types import Outcome

ALLOWED: Final = 2
SENT: Final = 5

RATE: Final = "requests_per_minute"
TOKENS: Final = "tokens_per_minute"
CONCURRENT: Final = "concurrent_requests"
BUDGET: Final = "budget_total"

LONG_PROMPT: Final = "pong " * 2_000
SHORT_ANSWER: Final = 16
"""Of a request whose prompt is most of what it costs. A gateway has to keep back what it may cost at worst,
which is a token for each byte, and writes down an estimate of a quarter of that."""

BUDGETED: Final = 25_000
"""Tokens of a prompt for which a budget has room: twice what such a request may cost, and more where it is
dearer to write one to a cache."""

MOST_LET_IN: Final = 12
"""Requests after which such a budget is spent, whatever a gateway takes a token for."""

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
    faults = (Fault("stalled", (target,), ALLOWED), Fault("error", (target,)))
    async with session.scenario(faults=faults, limits={CONCURRENT: ALLOWED}) as scene:
        replies = await asyncio.gather(*(scene.ask(target, costs=False) for _ in range(SENT)))
        later = await scene.ask(target, costs=False)
    under_way = [one for one in replies if one.status != 429]
    expect(len(under_way) == ALLOWED, f"{ALLOWED} of {SENT} at a time", _statuses(replies), replies[0])
    for asked in replies:
        if asked.status == 429:
            _expect_refused(asked, "rate_limit_exceeded")
            expect(asked.retry_after, "Retry-After", "none", asked)
    expect(later.status != 429, "another one is let in when they have ended", told(later), later)
    return f"{ALLOWED} of {SENT} were under way at a time"


async def _budget(targets: Sequence[DrillTarget], session: Session) -> str:
    """Requests are let in until a budget is spent; each is made to be cut off, which costs no real money."""
    priced = [one for one in targets if one.prompt_nano and one.completion_nano]
    if not priced:
        raise Skipped("No target has a known price: own machines cost nothing.")
    target, spent, let_in = priced[0], 0, 0
    budget = _cost(target, BUDGETED, SHORT_ANSWER)
    faults = [Fault("cut", (target.name,))]
    async with session.scenario(faults=faults, limits={BUDGET: f"{budget / 1e9:.9f} USD"}) as scene:
        while (asked := await _ask_long(scene, target)).status != 429:
            let_in += 1
            spent += (asked.row.cost_nano or 0) if asked.row is not None else 0
            is_kept = spent <= budget and let_in < MOST_LET_IN
            expected = f"an end at the budget, {budget / 1e9:.6f} USD"
            expect(is_kept, expected, f"{let_in} requests for {spent / 1e9:.6f} USD", asked)
    _expect_refused(asked, "insufficient_quota")
    expect(let_in, "requests are let in before the budget is spent", "none was", asked)
    is_final = asked.headers.get("x-should-retry") == "false"
    expect(is_final, "x-should-retry: false, as waiting does not help", "nothing of it", asked)
    return f"{let_in} requests were let in, and then {target.name} was not asked any more"


def _cost(target: DrillTarget, prompt: int, completion: int) -> int:
    """Return the nano-dollars of so many tokens."""
    return (prompt * (target.prompt_nano or 0) + completion * (target.completion_nano or 0)) // 10**6


async def _ask_long(scene: Scene, target: DrillTarget) -> Asked:
    return await scene.ask(target.name, streamed=True, prompt=LONG_PROMPT, longest=SHORT_ANSWER, costs=False)


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
