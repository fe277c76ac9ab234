"""What the Keys screen shows: keys, teams, limits and the audit in words; knows nothing of terminals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from shareai_cli.client import Admin
from shareai_cli.dashboard.spending import budgets_of, cost, share_bar
from shareai_cli.dashboard.words import age, count, date_and_time, money, plain, share
from shareai_cli.types import (
    AuditFault,
    AuditRow,
    AuditVerdict,
    BudgetUse,
    KeyInfo,
    LimitUse,
    TeamInfo,
    UsageSums,
    WrittenLimits,
)

USE_DAYS: Final = 30
"""Over how many days keys' and teams' use is added up."""

MOST_KEYS: Final = 1_000
MOST_CHANGES: Final = 200

NEARLY: Final = 0.8
"""A limit of which so much is used wants to be looked at."""

ENDS_SOON_MS: Final = 7 * 86_400_000

_DAY_MS: Final = 86_400_000


class Access(Struct, frozen=True):
    """What was looked up at once."""

    keys: tuple[KeyInfo, ...]
    """Valid ones first, the newest first."""
    teams: tuple[TeamInfo, ...]
    of_keys: Mapping[str, UsageSums]
    of_teams: Mapping[str, UsageSums]
    budgets: tuple[BudgetUse, ...]
    changes: tuple[AuditRow, ...]
    """The newest first."""
    problem: str = ""
    """Why budgets cannot be told."""


def look_up(admin: Admin, now_ms: int) -> Access:
    """Ask for all of it; raises `ShareAIError`."""
    since_ms = max(0, now_ms - USE_DAYS * _DAY_MS)
    keys = sorted(admin.list_keys(), key=lambda one: (not is_valid(one, now_ms), -one.id))
    budgets, problem = budgets_of(admin)
    return Access(
        tuple(keys),
        tuple(admin.list_teams()),
        {one.name: one for one in admin.usage("key", since_ms).rows},
        {one.name: one for one in admin.usage("team", since_ms).rows},
        budgets,
        tuple(reversed(admin.audit(MOST_CHANGES))),
        problem,
    )


KEY_HEADINGS: Final = (
    "NAME", "STATE", "TEAM", "SPENT", "REQUESTS", "LIMIT MOST USED", "KEY", "EXPIRES", "MAY USE",
)  # fmt: skip


def key_cells(key: KeyInfo, access: Access, uses: Mapping[str, LimitUse], now_ms: int) -> list[str]:
    """Return a key's cells; `uses` are the most used limits, by their subjects."""
    sums = access.of_keys.get(key.name, UsageSums(""))
    return [
        plain(key.name),
        key_state(key, now_ms),
        plain(key.team),
        cost(sums),
        count(sums.requests),
        most_used(uses.get(f"key/{key.name}"), key.limits) if key.revoked_ms is None else "-",
        plain(key.shown),
        date_and_time(key.expires_ms) if key.expires_ms is not None else "never",
        plain(", ".join(key.allowed)) or "everything",
    ]


def is_valid(key: KeyInfo, now_ms: int) -> bool:
    """Tell whether a key is neither revoked nor expired."""
    return key.revoked_ms is None and (key.expires_ms is None or key.expires_ms > now_ms)


def key_state(key: KeyInfo, now_ms: int) -> str:
    """Return how a key stands, as a symbol and words."""
    if key.revoked_ms is not None:
        return "✕ revoked"
    if key.expires_ms is None:
        return "● valid"
    if key.expires_ms <= now_ms:
        return "✕ expired"
    left = key.expires_ms - now_ms
    return f"▲ ends in {age(left / 1000)}" if left < ENDS_SOON_MS else "● valid"


TEAM_HEADINGS: Final = ("NAME", "KEYS", "SPENT", "REQUESTS", "LIMIT MOST USED", "LIMITS")


def team_cells(team: TeamInfo, access: Access, uses: Mapping[str, LimitUse]) -> list[str]:
    """Return a team's cells; see `key_cells`."""
    sums = access.of_teams.get(team.name, UsageSums(""))
    return [
        plain(team.name),
        count(team.keys),
        cost(sums),
        count(sums.requests),
        most_used(uses.get(f"team/{team.name}"), team.limits),
        limits_in_words(team.limits) or "none",
    ]


LIMIT_HEADINGS: Final = ("SUBJECT", "LIMIT", "STATE", "USED", "SO FAR", "OF", "HELD", "FREE AGAIN")


def limit_cells(use: LimitUse) -> list[str]:
    """Return the cells of a limit's use."""
    return [
        plain(use.subject),
        plain(use.limit),
        limit_state(use),
        share_bar(use.used + use.reserved, use.most),
        limited(use.limit, use.used),
        limited(use.limit, use.most),
        limited(use.limit, use.reserved) if use.reserved else "-",
        date_and_time(use.resets_ms) if use.resets_ms is not None else "-",
    ]


def limit_state(use: LimitUse) -> str:
    """Return how a limit stands, as a symbol and a word."""
    taken = use.used + use.reserved
    if taken >= use.most:
        return "▲ passed" if use.soft else "✕ used up"
    return "▲ nearly" if taken >= NEARLY * use.most else "● free"


def of_budget(one: BudgetUse) -> LimitUse:
    """Return a budget as a limit: without a gateway these are the limits whose use is known."""
    return LimitUse(one.subject, one.limit, one.most, one.used, 0, one.soft, one.resets_ms)


def by_use(uses: Iterable[LimitUse]) -> list[LimitUse]:
    """Return limits, the one that is used up the most first."""
    return sorted(uses, key=lambda one: (-_part(one), one.subject, one.limit))


def by_subject(uses: Sequence[LimitUse]) -> dict[str, LimitUse]:
    """Return of each subject the first limit."""
    return {one.subject: one for one in reversed(uses)}


def most_used(use: LimitUse | None, written: WrittenLimits) -> str:
    """Say how the limit of a subject stands that is used up the most; where nobody knows, which there are."""
    if use is None:
        return limits_in_words(written) or "none"
    return f"{limit_state(use)[0]} {share(use.used + use.reserved, use.most)} of {plain(use.limit)}"


def limited(limit: str, number: int) -> str:
    """Write a limit's number: money, or a count."""
    return money(number) if "budget" in limit else count(number)


def limits_in_words(limits: WrittenLimits) -> str:
    """Return limits in a line, as the commands take them."""
    return plain(", ".join(f"{name}={value}" for name, value in limits.items()))


CHANGE_HEADINGS: Final = ("ID", "WHEN", "WHO", "WHAT", "SUBJECT", "FROM")


def change_cells(row: AuditRow) -> list[str]:
    """Return the cells of a row of the audit."""
    return [
        str(row.id),
        date_and_time(row.time_ms),
        *map(plain, (row.actor, row.action, row.subject, row.origin)),
    ]


def verdict_lines(verdict: AuditVerdict) -> Iterator[str]:
    """Say whether the audit is whole, and else what is wrong where."""
    rows = f"{verdict.rows:,} {'row' if verdict.rows == 1 else 'rows'}"
    if not verdict.faults:
        yield f"✓ The audit is whole: {rows}, the last hash is {plain(verdict.head)}."
        return
    yield f"✕ The audit was tampered with, or the database is damaged ({rows}):"
    for fault in verdict.faults:
        yield f"{_place(fault)}: {plain(fault.text)}."


def key_lines(key: KeyInfo, keys: Sequence[KeyInfo], now_ms: int) -> Iterator[tuple[str, str]]:
    """Yield everything that is known of a key, which is not the key itself."""
    names = {one.id: one.name for one in keys}
    yield "name", key.name
    yield "state", key_state(key, now_ms)
    yield "shown as", key.shown
    yield "team", key.team
    if key.parent is not None:
        yield "minted from", names.get(key.parent, "-")
    yield "may use", ", ".join(key.allowed) or "everything"
    yield "auto means", ", ".join(key.preferences) or "-"
    yield "prefers", {"own": "own machines", "cloud": "clouds"}.get(key.prefer or "", "-")
    yield "limits", limits_in_words(key.limits) or "none"
    yield "mints keys", "yes" if key.may_mint else "no"
    minted = [one.name for one in minted_from(key, keys)]
    if minted:
        yield "minted", names_in_words(minted)
    for name, time_ms in (
        ("created", key.created_ms),
        ("rotated", key.rotated_ms),
        ("expires", key.expires_ms),
        ("revoked", key.revoked_ms),
    ):
        if time_ms is not None:
            yield name, date_and_time(time_ms)


def change_lines(row: AuditRow) -> Iterator[tuple[str, str]]:
    """Yield everything that a row of the audit says."""
    yield "id", str(row.id)
    yield "when", date_and_time(row.time_ms)
    yield "who", f"{row.actor}, {row.origin}"
    yield "what", row.action
    yield "subject", row.subject
    for name, text in (("before", row.before), ("after", row.after)):
        for at, line in enumerate(_indented(text) if text is not None else ()):
            yield "" if at else name, line
    yield "hash", row.hash


def minted_from(key: KeyInfo, keys: Sequence[KeyInfo]) -> list[KeyInfo]:
    """Return the valid keys that were minted from one, and from those."""
    above, found = {key.id}, []
    for one in sorted(keys, key=lambda one: one.id):  # each is made after the one that it was minted from
        if one.parent in above:
            above.add(one.id)
            found += [one] if one.revoked_ms is None else []
    return found


def names_in_words(names: Sequence[str], most: int = 10) -> str:
    """Return names in one line, as many as a person reads."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return plain(", ".join(names[:most])) + more


def _indented(text: str) -> list[str]:
    """Return JSON in lines, and what is none as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False).splitlines()
    except (ValueError, RecursionError):
        return [text]


def _place(fault: AuditFault) -> str:
    if not fault.first and not fault.last:
        return "The end"
    return f"Row {fault.first}" if fault.first == fault.last else f"Rows {fault.first} to {fault.last}"


def _part(use: LimitUse) -> float:
    return (use.used + use.reserved) / max(use.most, 1)
