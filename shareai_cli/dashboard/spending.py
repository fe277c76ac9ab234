"""What the Costs screen shows: over which time, by what, in which words; knows nothing of terminals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from msgspec import Struct

from shareai_cli.client import Admin
from shareai_cli.dashboard.words import (
    bar,
    count,
    date,
    duration,
    money,
    plain,
    share,
    time_of_day,
)
from shareai_cli.errors import ConfigurationError
from shareai_cli.types import (
    BudgetUse,
    Grouping,
    PromptUse,
    SlotLength,
    UsageLine,
    UsageReport,
    UsageSeries,
    UsageSums,
)

MOST_GROUPS: Final = 500
"""Rows that are shown; clients can make up models, so there is no end to them."""

MOST_PROMPTS: Final = 50

SOON_DAYS: Final = 7
"""A budget that is used up within so many days wants to be looked at."""

BAR_WIDTH: Final = 6

GROUPINGS: Final[tuple[Grouping, ...]] = ("model", "route", "target", "provider", "node", "team", "key")

Measure = Literal["cost", "tokens", "requests"]
MEASURES: Final[tuple[Measure, ...]] = ("cost", "tokens", "requests")

_HOUR_MS: Final = 3_600_000


class Window(Struct, frozen=True):
    """A time over which is added up: so many hours, or days of which today is the last."""

    name: str
    slots: int
    slot: SlotLength
    in_words: str
    refresh_ms: int
    """Between two looks at the accounts: the longer the time, the more there is to add up."""

    def since_ms(self, now_ms: int) -> int:
        """Return when it begins: the beginning of an hour, or of a day where this runs."""
        if self.slot == "hour":
            return (now_ms // _HOUR_MS - self.slots + 1) * _HOUR_MS
        today = datetime.fromtimestamp(now_ms / 1000).replace(hour=0, minute=0, second=0, microsecond=0)
        return int((today - timedelta(days=self.slots - 1)).timestamp() * 1000)


WINDOWS: Final[Mapping[str, Window]] = {
    one.name: one
    for one in (
        Window("day", 24, "hour", "the last 24 hours", 10_000),
        Window("week", 7, "day", "the last 7 days", 30_000),
        Window("month", 30, "day", "the last 30 days", 60_000),
    )
}


class Spending(Struct, frozen=True):
    """What was looked up at once."""

    window: Window
    since_ms: int
    looked_up_ms: int
    report: UsageReport
    series: UsageSeries
    budgets: tuple[BudgetUse, ...]
    problem: str = ""
    """Why budgets cannot be told."""


def look_up(admin: Admin, by: Grouping, window: Window, now_ms: int) -> Spending:
    """Ask for everything but prompts; raises `ShareAIError`."""
    since_ms = window.since_ms(now_ms)
    budgets, problem = budgets_of(admin)
    return Spending(
        window,
        since_ms,
        now_ms,
        admin.usage(by, since_ms),
        admin.usage_series(by, window.slot, since_ms, max(now_ms, since_ms + 1)),
        budgets,
        problem,
    )


def budgets_of(admin: Admin) -> tuple[tuple[BudgetUse, ...], str]:
    """Return the budgets, or none and why: without a gateway the configuration may be a broken one."""
    try:
        return tuple(admin.budgets()), ""
    except ConfigurationError as error:
        return (), str(error)


def values(line: UsageLine, measure: Measure) -> Sequence[float]:
    """Return a line's numbers; money in US dollars."""
    if measure == "cost":
        return [nano / 1e9 for nano in line.cost_nano]
    return line.tokens if measure == "tokens" else line.requests


def totals(series: UsageSeries, measure: Measure) -> list[float]:
    """Return the sum over all groups for each slot."""
    courses = [values(line, measure) for line in series.lines]
    return [sum(slot) for slot in zip(*courses, strict=True)] if courses else [0.0] * len(series.slots)


def amount(value: float, measure: Measure) -> str:
    """Write a number of a measure."""
    return money(round(value * 1e9)) if measure == "cost" else count(value)


def summary(spending: Spending) -> str:
    """Say in a line what the time holds in all."""
    total, rows = spending.report.total, spending.report.rows
    tokens = total.prompt_tokens + total.completion_tokens
    inexact = [
        f"{count(number)} {what}"
        for number, what in ((total.estimated_cost, "estimated"), (total.unknown_cost, "unpriced"))
        if number
    ]
    in_words = f"{cost(total)} in {spending.window.in_words}"
    parts = [
        f"{in_words} ({', '.join(inexact)})" if inexact else in_words,
        f"{count(total.requests)} requests",
        f"{count(tokens)} tokens",
        *([f"the dearest {MOST_GROUPS} of {len(rows)}"] if len(rows) > MOST_GROUPS else []),
        f"at {time_of_day(spending.looked_up_ms)}",
    ]
    return " · ".join(parts)


def cost(sums: UsageSums) -> str:
    """Write what requests cost: exact, about, or unknown, and never a zero that nobody knows."""
    if sums.requests and sums.unknown_cost == sums.requests:
        return "unknown"
    return f"{'~' if sums.estimated_cost else ''}{money(sums.cost_nano_usd)}"


def not_ok(sums: UsageSums) -> int:
    """Return how many requests did not end well."""
    return sums.failed + sums.incomplete + sums.refused + sums.rejected + sums.cancelled


GROUP_HEADINGS: Final = (
    "NAME", "COST", "SHARE", "REQUESTS", "NOT OK", "TOKENS", "$/M", "FIRST", "IN ALL", "UNPRICED",
)  # fmt: skip


def group_cells(sums: UsageSums, total: UsageSums, measure: Measure) -> list[str]:
    """Return a group's cells; its share is of what is measured."""
    tokens = sums.prompt_tokens + sums.completion_tokens
    priced = tokens and not sums.unknown_cost
    return [
        plain(sums.name) or "-",
        cost(sums),
        share_bar(_measured(sums, measure), _measured(total, measure)),
        count(sums.requests),
        share(not_ok(sums), sums.requests),
        count(tokens),
        f"{sums.cost_nano_usd / 1e3 / tokens:.3g}" if priced else "-",
        duration(sums.average_first_token_us),
        duration(sums.average_total_us),
        count(sums.unknown_cost) if sums.unknown_cost else "-",
    ]


PROMPT_HEADINGS: Final = (
    "PROMPT", "COST", "REQUESTS", "KEPT", "TOKENS", "ROUTE", "TARGET", "BYTES", "UNPRICED",
)  # fmt: skip


def prompt_cells(prompt: PromptUse) -> list[str]:
    """Return a prompt's cells."""
    sums = prompt.sums
    return [
        sums.name,
        cost(sums),
        count(sums.requests),
        share(sums.hit + sums.joined, sums.requests),
        count(sums.prompt_tokens + sums.completion_tokens),
        plain(prompt.route),
        plain(prompt.target) or "-",
        count(prompt.prompt_bytes),
        count(sums.unknown_cost) if sums.unknown_cost else "-",
    ]


BUDGET_HEADINGS: Final = ("SUBJECT", "BUDGET", "STATE", "USED UP", "USED", "SPENT", "OF", "A DAY")


def budget_cells(one: BudgetUse, now_ms: int) -> list[str]:
    """Return a budget's cells."""
    return [
        plain(one.subject),
        plain(one.limit),
        budget_state(one, now_ms),
        used_up(one, now_ms),
        share_bar(one.used, one.most),
        money(one.used),
        money(one.most),
        money(one.daily),
    ]


def budget_state(one: BudgetUse, now_ms: int) -> str:
    """Return how a budget stands, as a symbol and a word."""
    if one.used >= one.most:
        return "▲ passed" if one.soft else "✕ used up"
    if one.used_up_ms is not None and one.used_up_ms - now_ms < SOON_DAYS * 86_400_000:
        return "▲ soon"
    return "● within"


def used_up(one: BudgetUse, now_ms: int) -> str:
    """Say when a budget will be used up at the rate of late."""
    resets = f"resets {date(one.resets_ms)}" if one.resets_ms is not None else "for good"
    if one.used >= one.most:
        return resets
    if one.used_up_ms is not None:
        hours = (one.used_up_ms - now_ms) / 3_600_000
        return f"in {hours:.0f} h" if hours < 36 else f"on {date(one.used_up_ms)}"
    if not one.daily:
        return "nothing is spent"
    return f"not before {date(one.resets_ms)}" if one.resets_ms is not None else "-"


def soonest(spending: Spending, now_ms: int) -> str:
    """Say in a line how the budget stands that is used up first."""
    budgets = spending.budgets
    if not budgets:
        return plain(spending.problem) or "No budget is set."
    one = budgets[0]
    more = f"  ({len(budgets) - 1} more: 3)" if len(budgets) > 1 else ""
    state, when = budget_state(one, now_ms), used_up(one, now_ms)
    spent = f"{share(one.used, one.most)} of {money(one.most)}"
    verb = "" if one.used >= one.most or not one.daily else "used up "
    return f"{state}: {plain(one.subject)} {plain(one.limit)}, {spent}, {verb}{when}{more}"


def share_bar(part: float, whole: float) -> str:
    """Write a share as a bar and in percent."""
    return f"{bar(part / whole if whole else 0, BAR_WIDTH)} {share(part, whole):>5}"


def _measured(sums: UsageSums, measure: Measure) -> int:
    if measure == "cost":
        return sums.cost_nano_usd
    return sums.prompt_tokens + sums.completion_tokens if measure == "tokens" else sums.requests
