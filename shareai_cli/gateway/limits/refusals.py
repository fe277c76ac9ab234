"""What is said to who is over a limit: which one, whose, and what to do about it."""

from __future__ import annotations

from datetime import UTC, datetime

from shareai_cli.config.limits import write_money
from shareai_cli.errors import (
    BeyondLimit,
    LimitReached,
    PriceUnknown,
    QuotaExhausted,
    RateLimited,
    RateState,
)
from shareai_cli.gateway.limits.book import Guard
from shareai_cli.gateway.limits.meters import FOREVER, BudgetMeter, ConcurrencyMeter, RateMeter
from shareai_cli.types import Subject, Target

SOON = 1.0
"""Seconds after which to try again what waits for others to end."""


def refusal_of(guard: Guard, time_ms: int, tokens: int) -> RateLimited:
    """Refuse a request of so many tokens for what stands against it longest; money aside."""
    found = [over_rate(one, 1, time_ms) for one in guard.requests if one.room(time_ms) < 1]
    found += [over_rate(one, tokens, time_ms) for one in guard.tokens if one.room(time_ms) < tokens]
    found += [over_concurrency(one) for one in guard.concurrency if one.count >= one.most]
    return max(found, key=lambda one: (one.retry_useless, one.retry_after or 0.0))


def over_rate(meter: RateMeter, amount: int, time_ms: int) -> RateLimited:
    """Refuse what has no room within a window."""
    limit = meter.limit
    whose = f"{named(meter.subject)} is over {limit.name} ({limit.most})"
    resets_ms = meter.resets_ms(time_ms) or time_ms
    rate = RateState(limit.measure, limit.most, max(0, meter.room(time_ms)), (resets_ms - time_ms) / 1000)
    if amount > limit.most:
        return BeyondLimit(
            f"{whose}: this request alone may take {amount}.",
            hint="Send less, or ask for a shorter answer (max_tokens).",
            retry_after=None,
            rate=rate,
        )
    wait = (meter.frees_ms(time_ms, amount) - time_ms) / 1000
    return RateLimited(f"{whose}.", hint=f"Try again in {_seconds(wait)}.", retry_after=wait, rate=rate)


def over_concurrency(meter: ConcurrencyMeter) -> RateLimited:
    """Refuse one more request at a time."""
    whose = f"{named(meter.subject)} is over {meter.NAME} ({meter.limit})"
    return RateLimited(f"{whose}.", hint="Try again when one has ended.", retry_after=SOON)


def over_budget(meter: BudgetMeter, nano: int, time_ms: int) -> LimitReached:
    """Refuse what a budget cannot pay for, now or as long as its period lasts."""
    limit, now = meter.limit, meter.at(time_ms)
    whose = f"{named(meter.subject)}: {limit.name} ({write_money(limit.nano)})"
    left = max(0, limit.nano - now.spent)
    if now.reserved and nano <= left:
        return RateLimited(
            f"{whose} has no room beside the requests that are under way.",
            hint="Try again when some have ended.",
            retry_after=SOON,
        )
    if left:
        what = f"has {write_money(left)} left, and this request may cost {write_money(nano)}"
        remedy = "Ask for a shorter answer (max_tokens)"
    else:
        what = "is used up"
        remedy = f"'shareai limit set {meter.subject.label} {limit.name}=...' raises it"
    anew = f", or wait until {_moment(now.ends_ms)}" if now.ends_ms != FOREVER else ""
    return QuotaExhausted(f"{whose} {what}.", hint=f"{remedy}{anew}.")


def unknown_price(meter: BudgetMeter, target: Target) -> PriceUnknown:
    """Refuse a target for which a budget cannot be kept."""
    limit = meter.limit
    return PriceUnknown(
        f"{named(meter.subject)} has {limit.name} ({write_money(limit.nano)}) to keep, and nobody knows what "
        f"{target.name} costs.",
        hint=f"Use a model with a known price, or make the budget one that only warns: soft_{limit.name}.",
        param="model",
    )


def named(subject: Subject) -> str:
    """Return a subject's name at the beginning of a sentence."""
    return f"{subject.scope.capitalize()} '{subject.name}'" if subject.name else "The organization"


def _moment(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _seconds(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 120 else f"{round(seconds / 60)} min"
