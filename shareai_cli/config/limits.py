"""Limits and their subjects as people write them: `requests_per_minute = 60`, `budget_per_month = "50 USD"`.

Configuration, commands and the admin API all go by this; whatever is wrong is a `UsageError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, get_args

from shareai_cli.config.reading import kind_of, shown
from shareai_cli.config.sections import ROUTE_NAME, parse_target
from shareai_cli.errors import ConfigurationError, UsageError
from shareai_cli.nearest import nearest, suggestion
from shareai_cli.types import (
    Budget,
    BudgetPeriod,
    LimitChanges,
    Limits,
    LimitScope,
    RateLimit,
    Subject,
    Window,
    WrittenLimits,
)

MOST_COUNTED: Final = 10**12
"""The highest limit of requests or tokens."""
HIGHEST_BUDGET: Final = 10**9
"""US dollars."""

NANO: Final = 10**9

SCOPES: Final[tuple[LimitScope, ...]] = get_args(LimitScope)
CONCURRENT: Final = "concurrent_requests"

_RATES: Final = {
    rate.name: rate
    for measure in ("requests", "tokens")
    for rate in (RateLimit(measure, window, 0) for window in get_args(Window))
}
_BUDGETS: Final = {
    budget.name: budget
    for soft in (False, True)
    for budget in (Budget(period, 0, soft) for period in get_args(BudgetPeriod))
}
LIMIT_NAMES: Final = (*_RATES, CONCURRENT, *_BUDGETS)
"""Every limit's name, in the order in which they are listed."""

_MONEY: Final = re.compile(r"([0-9]{1,13})(?:\.([0-9]{1,9}))? ?USD", re.IGNORECASE)
_DIGITS: Final = re.compile(r"[0-9]{1,30}")

Limit = RateLimit | Budget | int
"""One limit; a number is that of requests at a time."""


class LimitMistake(UsageError):
    """A limit that cannot be: `key` is its name, `example` a value that it could have."""

    def __init__(self, key: str, reason: str, *, example: str | None = None, hint: str | None = None) -> None:
        name = key if key in LIMIT_NAMES else shown(key)
        if example is not None:
            hint = f"{key} = {example}" + (f" ({hint})" if hint else "")
        super().__init__(f"{name}: {reason}", hint=hint)
        self.key = key
        self.reason = reason
        self.example = example


def read_limit(name: str, value: object) -> Limit:
    """Return one limit, of a whole number or of an amount of money as text; raises `LimitMistake`."""
    if name in _RATES:
        rate = _RATES[name]
        return RateLimit(rate.measure, rate.window, _count(name, value))
    if name in _BUDGETS:
        budget = _BUDGETS[name]
        return Budget(budget.period, _money(name, value), budget.soft)
    if name == CONCURRENT:
        return _count(name, value)
    raise LimitMistake(name, "there is no such limit.", hint=suggestion(name, LIMIT_NAMES))


def read_limits(written: Mapping[str, object]) -> Limits:
    """Return limits by their names; raises `LimitMistake`."""
    rates: list[RateLimit] = []
    budgets: list[Budget] = []
    concurrent: int | None = None
    for name in sorted(written, key=_place):
        match read_limit(name, written[name]):
            case RateLimit() as rate:
                rates.append(rate)
            case Budget() as budget:
                budgets.append(budget)
            case number:
                concurrent = number
    return Limits(tuple(rates), tuple(budgets), concurrent)


def write_limits(limits: Limits) -> WrittenLimits:
    """Return limits as `read_limits` takes them, in the order of `LIMIT_NAMES`."""
    written: dict[str, int | str] = {rate.name: rate.most for rate in limits.rates}
    if limits.concurrent is not None:
        written[CONCURRENT] = limits.concurrent
    written |= {budget.name: write_money(budget.nano) for budget in limits.budgets}
    return {name: written[name] for name in LIMIT_NAMES if name in written}


def write_money(nano: int) -> str:
    """Return nano-dollars as `50 USD`, or with as many digits as are needed: `0.25 USD`."""
    whole, part = divmod(nano, NANO)
    return f"{whole}.{part:09d}".rstrip("0").rstrip(".") + " USD"


def changed_limits(former: WrittenLimits, changes: LimitChanges) -> WrittenLimits:
    """Return limits with some set and some, which are None, taken away; raises `LimitMistake`.

    One that is to be taken away has to be there.
    """
    written: dict[str, int | str] = dict(former)
    for name, value in changes.items():
        if value is not None:
            written[name] = value
        elif name in written:
            del written[name]
        else:
            raise _not_set(name, former)
    return write_limits(read_limits(written))


def parse_assignments(texts: Iterable[str]) -> WrittenLimits:
    """Return the limits of words such as `requests_per_minute=60`; raises `UsageError`."""
    written: dict[str, int | str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if name in written:
            raise LimitMistake(name, "is there twice.")
        is_number = name not in _BUDGETS and _DIGITS.fullmatch(value) is not None
        written[name] = int(value) if is_number else value
        try:
            read_limit(name, written[name] if equals else None)
        except LimitMistake as mistake:
            if mistake.example is not None:  # as a shell takes it
                mistake.hint = f"{name}={mistake.example}".replace('"', "")
                mistake.hint = f"'{mistake.hint}'" if " " in mistake.hint else mistake.hint
            raise
    return written


def parse_subject(text: str) -> Subject:
    """Return the subject of `organization`, `team/dev`, `target/openai/gpt-5-mini`; raises `UsageError`."""
    scope, slash, name = text.partition("/")
    if scope not in SCOPES:
        near = nearest(scope, SCOPES)
        hint = (
            f"Did you mean {near}{slash}{name}?" if near and name.isprintable() and len(name) < 100 else None
        )
        raise UsageError(f"{shown(text)} is nothing that limits stand on.", hint=hint or _FORMS)
    if scope == "organization":
        if slash:
            raise UsageError("There is one organization, without a name.", hint="organization")
        return Subject("organization")
    if not name:
        raise UsageError(f"Which {scope}?", hint=f"{scope}/{_SAMPLES[scope]}")
    if scope == "target":
        try:
            name = parse_target(name).name
        except ConfigurationError as error:
            raise UsageError(error.message, hint="target/openai/gpt-5-mini") from None
    if scope == "route" and not ROUTE_NAME.fullmatch(name):
        raise UsageError(f"{shown(name)} is not a route's name.", hint="route/chat")
    return Subject(scope, name)


_SAMPLES: Final[Mapping[str, str]] = {
    "team": "dev",
    "key": "ci",
    "route": "chat",
    "target": "openai/gpt-5-mini",
}
_FORMS: Final = "organization, team/dev, key/ci, route/chat or target/openai/gpt-5-mini"


def _place(name: str) -> int:
    return LIMIT_NAMES.index(name) if name in LIMIT_NAMES else len(LIMIT_NAMES)


def _not_set(name: str, former: WrittenLimits) -> LimitMistake:
    if name not in LIMIT_NAMES:
        return LimitMistake(
            name, "there is no such limit.", hint=suggestion(name, tuple(former) or LIMIT_NAMES)
        )
    hint = f"It has {', '.join(former)}." if former else "It has no limits."
    return LimitMistake(name, "is not set.", hint=hint)


def _count(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise LimitMistake(name, f"should be a whole number{_instead(value)}.", example=_example(name))
    if not 1 <= value <= MOST_COUNTED:
        hint = None if value else "To refuse everything, revoke the key, or say what it may use: --allow"
        raise LimitMistake(name, f"should be from 1 to {MOST_COUNTED}.", hint=hint)
    return value


def _money(name: str, value: object) -> int:
    text = value.strip() if isinstance(value, str) else ""
    found = _MONEY.fullmatch(text)
    if found is None:
        given = str(value).strip()
        amount = given if re.fullmatch(r"[1-9][0-9]{0,8}(\.[0-9]{1,9})?", given) else "50"
        reason = f"should be an amount of US dollars{_instead(value)}."
        raise LimitMistake(name, reason, example=f'"{amount} USD"')
    nano = int(found[1]) * NANO + int((found[2] or "").ljust(9, "0"))
    if not 0 < nano <= HIGHEST_BUDGET * NANO:
        hint = None if nano else "For own machines alone there are private routes: private = true"
        raise LimitMistake(name, f"should be more than 0 and at most {HIGHEST_BUDGET} USD.", hint=hint)
    return nano


def _instead(value: object) -> str:
    if value is None:
        return ""
    return f", and is {shown(value) if isinstance(value, str) else kind_of(value)}"


def _example(name: str) -> str:
    return "5" if name == CONCURRENT else "100000" if name.startswith("tokens") else "60"
