"""Who may ask, and how much: taken up anew after each change of the accounts or of the configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from shareai_cli.errors import LedgerUnavailable
from shareai_cli.types import Caller, Limits, Subject

AllLimits = Mapping[Subject, Limits]


class Accounts(Protocol):
    """Where keys are, and the limits of keys and teams."""

    def active_keys(self) -> Mapping[bytes, Caller]:
        """Return who each valid key is, by the digests of its secrets; may wait for the disk."""

    def limits(self) -> AllLimits:
        """Return the limits of teams and keys; may wait for the disk."""


class Governed(Protocol):
    """What goes by keys and limits."""

    def replace_keys(self, callers: Mapping[bytes, Caller]) -> None:
        """Take up a changed set of keys at once."""

    async def replace_limits(self, limits: AllLimits) -> None:
        """Take up changed limits at once; wait until what was used before is counted in."""


class Roster:
    """The keys and the limits in force.

    `declared` returns the limits of the configuration in force, `of_accounts` are those that the accounts had
    when the gateway began to go by them.
    """

    def __init__(
        self,
        accounts: Accounts,
        gateway: Governed,
        declared: Callable[[], AllLimits],
        of_accounts: AllLimits,
        notice: Callable[[str], None],
    ) -> None:
        self._accounts = accounts
        self._gateway = gateway
        self._declared = declared
        self._notice = notice
        self._reading = asyncio.Lock()
        self._of_accounts = of_accounts

    def __repr__(self) -> str:
        return f"<Roster [limits of teams and keys: {len(self._of_accounts)}]>"

    async def accounts_changed(self) -> None:
        """Take up keys and limits as the accounts have them now; raises `LedgerUnavailable`.

        Keys come first and wait for nothing: one that was revoked is refused from then on.
        """
        async with self._reading:  # so that what was read first is not taken up last
            callers = await asyncio.to_thread(self._accounts.active_keys)
            self._of_accounts = await asyncio.to_thread(self._accounts.limits)
            self._gateway.replace_keys(callers)
        await self.limits_changed()

    async def limits_changed(self) -> None:
        """Take up the limits as the configuration declares them now, and those of teams and keys."""
        try:
            await self._gateway.replace_limits({**self._declared(), **self._of_accounts})
        except LedgerUnavailable as error:
            self._notice(f"New limits hold, but what was used before is not counted in: {error}")
