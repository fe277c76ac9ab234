"""What is asked before each attempt: whether the target, and every budget, has room for the worst case."""

from __future__ import annotations

from collections.abc import Sequence

from shareai_cli.errors import LimitReached, PriceUnknown
from shareai_cli.gateway.endpoints import Endpoint
from shareai_cli.gateway.exchange import Exchange
from shareai_cli.gateway.limits.book import NO_GUARD
from shareai_cli.gateway.limits.estimates import (
    BOUNDLESS,
    LONGEST_ANSWER,
    SHORTEST_ANSWER,
    WorstCosts,
    leave_answer_open,
    limit_answer,
    says_longest,
)
from shareai_cli.gateway.limits.limiter import Limiter
from shareai_cli.gateway.limits.meters import BudgetMeter
from shareai_cli.gateway.limits.refusals import over_budget, refusal_of, unknown_price
from shareai_cli.gateway.limits.reservation import Reservation, Visit
from shareai_cli.ledger import Costs
from shareai_cli.types import NODE, Target

GIVEN_UP = ("cancelled", "hedged")
"""Outcomes of attempts for whose reply nobody waited."""


class Attempts:
    """Reserves what attempts may take, target by target."""

    def __init__(self, limiter: Limiter, costs: Costs) -> None:
        self._limiter = limiter
        self._worst = WorstCosts(costs)

    def __repr__(self) -> str:
        return f"<Attempts {self._limiter!r}>"

    def enter(
        self, exchange: Exchange, target: Target, endpoint: Endpoint
    ) -> LimitReached | PriceUnknown | None:
        """Reserve what a request may take at a target; returns what stands against it, if anything."""
        limiter = self._limiter
        held, guard = limiter.held_by(exchange), limiter.guard_of_target(target)
        budgets = limiter.guard_of(exchange, held).hard
        if guard is not NO_GUARD:
            budgets += guard.hard
        elif not budgets:
            return None
        if held is None:
            held = limiter.hold(exchange)
        now_ms = limiter.newest_ms
        tokens = held.ask(exchange).tokens(guard.least_tokens) if guard.tokens else 0
        if guard is not NO_GUARD and not guard.has_room(now_ms, tokens):
            return refusal_of(guard, now_ms, tokens)
        nano = 0
        if NODE in (target.provider, endpoint.price_as):
            _leave_open(exchange, held)
        elif budgets:
            worst = self._worst_case(exchange, held, target, endpoint, budgets)
            if not isinstance(worst, int):
                return worst
            nano = worst
        spendings = [one.at(exchange.time_ms) for one in budgets] if nano else ()
        held.visit(Visit(target, guard, now_ms, tokens, nano, spendings))
        return None

    def leave(self, exchange: Exchange, target: Target) -> None:
        """Give back what was reserved for a target that gave no answer.

        What it may be paid for all the same stays reserved until the request is settled.
        """
        held = self._limiter.held_by(exchange)
        if held is not None:
            name = target.name
            may_cost = any(
                one.target == name and (one.outcome in GIVEN_UP or 200 <= one.status < 300)
                for one in exchange.attempts
            )
            held.leave(target, may_cost=may_cost)

    def _worst_case(
        self,
        exchange: Exchange,
        held: Reservation,
        target: Target,
        endpoint: Endpoint,
        budgets: Sequence[BudgetMeter],
    ) -> int | LimitReached | PriceUnknown:
        """Return the nano-dollars that an answer may cost.

        Where the request leaves its length open, it is limited to what there is room for.
        """
        time_ms, fields, price_as = exchange.time_ms, exchange.fields, endpoint.price_as
        ask = held.ask(exchange)
        rates = self._worst.rates(price_as, target.model, ask.most_prompt, time_ms)
        if rates is None:
            return unknown_price(budgets[0], target)
        room, tightest = BOUNDLESS, budgets[0]
        for budget in budgets:
            now = budget.at(time_ms)
            left = budget.most - now.spent - now.reserved
            if left < room:
                room, tightest = left, budget
        longest = ask.longest
        if longest is None:
            longest = max(SHORTEST_ANSWER, min(LONGEST_ANSWER, rates.affordable(room) // ask.choices))
        nano = rates.cost(longest * ask.choices)
        if nano > room:
            return over_budget(tightest, nano, time_ms)
        if ask.longest is None or not says_longest(fields, price_as, at_least_so=not held.answer_limited):
            limit_answer(fields, longest, price_as)
            held.answer_limited = True
            exchange.shortened = ask.longest is None and longest < LONGEST_ANSWER
        return nano


def _leave_open(exchange: Exchange, held: Reservation) -> None:
    """Take the limit from an answer's length that was set for a target before."""
    if held.answer_limited and held.ask(exchange).longest is None:
        leave_answer_open(exchange.fields)
        exchange.shortened = held.answer_limited = False
