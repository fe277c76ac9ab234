"""What a person should know of: a soft limit that is used up goes to the log, the audit and the webhook.

Once for each subject, limit and period, also over restarts, as the audit's own rows say what was told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import msgspec

from shareai_cli.config.limits import NANO, write_money
from shareai_cli.gateway.audit_queue import AuditQueue
from shareai_cli.types import GATEWAY, LimitUse, WallClock

WARNED: Final = "limit.warn"
"""The action of the audit's rows, and the type of the webhook's events."""

Send = Callable[[str, Mapping[str, object]], None]
"""Tells a receiver of an event by its type and data; never waits."""

_Period = tuple[str, str, int, int | None]


class Notices:
    """Tells of soft limits."""

    def __init__(
        self,
        audit: AuditQueue,
        notice: Callable[[str], None],
        send: Send,
        *,
        wall_clock: WallClock = time.time,
    ) -> None:
        self._audit = audit
        self._notice = notice
        self._send = send
        self._wall_clock = wall_clock
        self._told: set[_Period] = set()

    def __repr__(self) -> str:
        return f"<Notices [told: {len(self._told)}]>"

    def recall(self, told: Iterable[LimitUse]) -> None:
        """Take in what was told before this process."""
        self._told.update(map(_period, told))

    def warned(self, use: LimitUse) -> None:
        """Tell that a soft limit is used up, unless it was told before in the same period; never waits."""
        period = _period(use)
        if period in self._told:
            return
        now_ms = int(self._wall_clock() * 1000)
        self._told = {one for one in self._told if one[3] is None or one[3] > now_ms} | {period}
        self._notice(in_words(use))
        self._audit.add(GATEWAY, WARNED, use.subject, use)
        self._send(WARNED, msgspec.to_builtins(use))


def told_before(rows: Iterable[str]) -> Iterator[LimitUse]:
    """Read the warnings that the audit has, by what its rows say; what cannot be read was told of nothing."""
    for row in rows:
        with suppress(msgspec.MsgspecError):
            yield msgspec.json.decode(row, type=LimitUse)


def in_words(use: LimitUse) -> str:
    """Say how much of a limit is used."""
    until = ""
    if use.resets_ms is not None:
        ends = datetime.fromtimestamp(use.resets_ms / 1000, UTC)
        until = f" Its period ends {ends:%Y-%m-%d %H:%M} UTC."
    used, most = (_amount(use, amount) for amount in (use.used, use.most))
    return f"{use.subject} has used up its {use.limit}: {used} of {most}.{until}"


def _amount(use: LimitUse, amount: int) -> str:
    if "budget" not in use.limit:
        return f"{amount:,}"
    return f"{amount / NANO:,.2f} USD" if use.most >= NANO else write_money(amount)


def _period(use: LimitUse) -> _Period:
    """Return what a warning is given once for; a limit that was changed is another one."""
    return use.subject, use.limit, use.most, use.resets_ms
