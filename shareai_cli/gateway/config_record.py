"""Tells the audit how the configuration changed: while a gateway runs, and from one run to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from shareai_cli.config import Settings
from shareai_cli.config.describe import describe, differences
from shareai_cli.errors import LedgerUnavailable, ShareAIError
from shareai_cli.secrets import write_private
from shareai_cli.types import Actor

CHANGED: Final = "config.change"
REFUSED: Final = "config.refuse"

FILE_BYTES: Final = 16 << 20

_OF_A_START: Final = ("host", "port")
"""Of `[server]`, what flags say at a start, and is no other configuration."""

_Description = dict[str, Any]


class Record(Protocol):
    """Adds a row to the audit, which may wait for the disk; raises `LedgerUnavailable`."""

    def __call__(self, by: Actor, action: str, subject: str, *, before: object, after: object) -> None:
        """Add a row."""


class ConfigRecord:
    """What is told of one configuration file.

    `memory` is the file that has what was in force last, for the next start; who cannot write it goes on
    without.
    """

    def __init__(self, record: Record, file: Path, memory: Path, notice: Callable[[str], None]) -> None:
        self._record = record
        self._subject = str(file)
        self._memory = memory
        self._notice = notice

    def __repr__(self) -> str:
        return f"<ConfigRecord of {self._subject}>"

    async def begun(self, settings: Settings, by: Actor) -> None:
        """Take in what a start goes by; where it is not what was in force last, that is told."""
        former, now = await asyncio.to_thread(_recalled, self._memory), _plain(settings)
        if former is not None and former != now:
            await self._tell_differences(former, now, by)
        if former != now:
            await self._remember(now)

    async def changed(self, former: Settings, settings: Settings, by: Actor) -> None:
        """Tell of settings that were taken up in the place of others, unless they are the same."""
        if settings != former:
            now = _plain(settings)
            await self._tell_differences(_plain(former), now, by)
            await self._remember(now)

    async def refused(self, error: ShareAIError, by: Actor) -> None:
        """Tell why a changed file was not taken up."""
        await self._tell(by, REFUSED, None, {"problem": str(error)})

    async def _tell_differences(
        self, former: Mapping[str, Any], current: Mapping[str, Any], by: Actor
    ) -> None:
        before, after = differences(former, current)
        await self._tell(by, CHANGED, before or None, after or None)

    async def _tell(self, by: Actor, action: str, before: object, after: object) -> None:
        """Add a row; what is in force stays so without it."""
        try:
            await asyncio.to_thread(self._record, by, action, self._subject, before=before, after=after)
        except LedgerUnavailable as error:
            self._notice(f"The audit has no row of that: {error}")

    async def _remember(self, described: _Description) -> None:
        with suppress(OSError):
            await asyncio.to_thread(write_private, self._memory, msgspec.json.encode(described).decode())


def _plain(settings: Settings) -> _Description:
    """Return a description as a file gives it back."""
    described = describe(settings)
    for name in _OF_A_START:
        described["server"].pop(name)
    return msgspec.json.decode(msgspec.json.encode(described), type=_Description)


def _recalled(memory: Path) -> _Description | None:
    try:
        with memory.open("rb") as stream:
            return msgspec.json.decode(stream.read(FILE_BYTES), type=_Description)
    except (OSError, ValueError):
        return None
