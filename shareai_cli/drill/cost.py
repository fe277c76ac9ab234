"""The check `cost`: one prompt through each target, side by side, and the accounts of these requests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Protocol

from shareai_cli.drill.case import Blocked, Case, Skipped, expect, expect_answer
from shareai_cli.drill.outcome import Asked
from shareai_cli.drill.session import Session
from shareai_cli.drill_types import DrillSubjects, DrillTarget
from shareai_cli.types import NODE, CostBasis, RequestRow, Usage, UsageSums

PROMPT = "In one short sentence: what is a smoke test?"


class Prices(Protocol):
    """What tokens cost, worked out here and not by the gateway."""

    def cost_nano(self, price_as: str, model: str, usage: Usage, time_ms: int) -> int | None:
        """Return nano-dollars; None where no price is known."""


def cases(subjects: DrillSubjects, prices: Prices) -> Iterator[Case]:
    """Yield a case for each target, and last the one about all of them together."""
    if not subjects.targets:
        return
    together = _Together(prices)
    for target in subjects.targets:
        yield Case("cost", target.name, "tokens and cost", partial(together.ask, target), (target.name,))
    yield Case("cost", "all of them", "the usage report", together.check_report)


class _Together:
    """The requests of this check, in a drill of their own so that its report has no others."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._drill = ""
        self._asked: list[Asked] = []

    async def ask(self, target: DrillTarget, session: Session) -> str:
        if not self._drill:
            self._drill = await session.begin_part()
        try:
            async with session.scenario(drill=self._drill) as scene:
                asked = await scene.ask(target.name, prompt=PROMPT)
        finally:
            self._asked += session.asked
        if asked.status != 200:
            raise Blocked(f"It does not answer: see the check answers ({asked.status or asked.error}).")
        expect_answer(asked)
        row = asked.row
        if row is None:
            return ""
        self._check_tokens(asked, row)
        return self._check_cost(target, asked, row)

    async def check_report(self, session: Session) -> str:
        """See that the report tells of these requests and no others, with their sums."""
        if not self._asked:
            raise Skipped("No target was asked.")
        report = await session.usage(self._drill)
        await session.end(self._drill)
        asked = len(self._asked)
        expect(
            report.total.requests == asked, f"{asked} requests", f"{report.total.requests}", look_at=_REPORT
        )
        for row in report.rows:
            _check_sums(row, [one for one in self._asked if one.model == row.name])
        answered = {one.model for one in self._asked}
        missing = answered - {row.name for row in report.rows}
        expect(
            not missing,
            "every target in the report",
            f"without {', '.join(sorted(missing))}",
            look_at=_REPORT,
        )
        return f"{asked} requests, {report.total.cost_nano_usd / 1e9:.6f} USD"

    def _check_tokens(self, asked: Asked, row: RequestRow) -> None:
        usage, said = row.usage, asked.tokens
        if said is None:
            expect(row.estimated_tokens, "tokens marked as an estimate", "they are not", asked)
            return
        expect(not row.estimated_tokens, "tokens as the reply says", "an estimate", asked)
        prompt = usage.prompt + usage.cached + usage.cache_write
        answer = usage.completion + usage.reasoning
        expect(
            (prompt, answer) == (said.prompt_tokens, said.answer),
            f"{said.prompt_tokens} tokens and {said.answer} of the answer, as the reply says",
            f"{prompt} and {answer} in the accounts",
            asked,
        )
        if said.cached is not None:
            expect(usage.cached == said.cached, f"{said.cached} of them cached", f"{usage.cached}", asked)

    def _check_cost(self, target: DrillTarget, asked: Asked, row: RequestRow) -> str:
        model = target.name.partition("/")[2]
        if target.price_as == NODE:
            expect(row.cost_nano == 0, "0 on an own machine", _money(row.cost_nano), asked)
            return "an own machine: no cost"
        cost = None
        if target.price_as:
            cost = self._prices.cost_nano(target.price_as, model, row.usage, row.time_ms)
        expect(row.cost_nano == cost, _money(cost), _money(row.cost_nano), asked)
        if cost is None:
            expect(row.basis is CostBasis.UNKNOWN, "a cost marked as unknown", f"as {row.basis}", asked)
            return "no price is known for it"
        return f"{_money(cost)}, {row.basis}"


_REPORT = "shareai status"


def _check_sums(row: UsageSums, asked: list[Asked]) -> None:
    """See that a target's sums are those of its requests."""
    rows = [one.row for one in asked if one.row is not None]
    tokens = sum(one.tokens.total for one in asked if one.tokens is not None)
    if all(one.tokens is not None for one in asked if one.status == 200):
        summed = row.prompt_tokens + row.completion_tokens
        expect(summed == tokens, f"{tokens} tokens of {row.name}", f"{summed} in the report", look_at=_REPORT)
    cost = sum(one.cost_nano or 0 for one in rows)
    is_same = row.requests == len(asked) and row.cost_nano_usd == cost
    expect(
        is_same,
        f"{len(asked)} requests to {row.name} for {_money(cost)}",
        f"{row.requests} for {_money(row.cost_nano_usd)} in the report",
        look_at=_REPORT,
    )


def _money(nano: int | None) -> str:
    return "an unknown cost" if nano is None else f"{nano / 1e9:.9f} USD"
