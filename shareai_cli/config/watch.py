"""Takes up changes to the configuration file while the gateway runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from shareai_cli.config.settings import Settings
from shareai_cli.errors import ConfigurationError, ShareAIError
from shareai_cli.types import GATEWAY, Actor

EVERY = 1.0
"""Seconds between two looks."""

FILE: Final = Actor(GATEWAY.name, "configuration file")
"""Who changes a file of which nobody says that it was changed."""

_Signature = tuple[int, int, int, int] | None


class ConfigWatcher:
    """Looks at one file once a second, in a task of its own, from `start` to `close`.

    By itself it takes a change up when it sees it again: by then the file is whole, and the command that
    wrote it has had a second to say whose it is. `look` takes it up at once.

    Make it before the settings are first read, so that no change falls in between. `load` reads them anew (in
    a thread); `changed` takes them up and may itself refuse them with a `ShareAIError`; `failed` gets every
    such error, and the settings of before stay in force. Both are told who has it looked at.
    """

    def __init__(
        self,
        file: Path,
        load: Callable[[], Settings],
        *,
        changed: Callable[[Settings, Actor], Awaitable[None]],
        failed: Callable[[ShareAIError, Actor], Awaitable[None]],
        every: float = EVERY,
    ) -> None:
        self._file = file
        self._load = load
        self._changed = changed
        self._failed = failed
        self._every = every
        self._seen = _signature(file)
        self._noticed = self._seen
        self._task: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<ConfigWatcher {self._file} [{'running' if self._task is not None else 'stopped'}]>"

    def start(self) -> None:
        """Begin to look; what changed since this object was made counts."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """End the task."""
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()

    async def look(self, by: Actor = FILE) -> bool:
        """Look once, after any look that is under way; tells whether the file had changed."""
        async with self._looking:
            now = await asyncio.to_thread(_signature, self._file)
            return await self._take_up(now, by)

    async def _look_by_itself(self) -> None:
        async with self._looking:
            now = await asyncio.to_thread(_signature, self._file)
            if now == self._noticed:
                await self._take_up(now, FILE)
            self._noticed = now

    async def _take_up(self, now: _Signature, by: Actor) -> bool:
        if now == self._seen:
            return False
        self._seen = now
        try:
            if now is None:
                # Some editors remove a file before they write it again.
                raise ConfigurationError(
                    f"{self._file} is gone; what it declared stays in force while this gateway runs."
                )
            await self._changed(await asyncio.to_thread(self._load), by)
        except ShareAIError as error:
            await self._failed(error, by)
        return True

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            await self._look_by_itself()


def _signature(file: Path) -> _Signature:
    """Return what differs when a file was written or replaced; None where there is none."""
    try:
        facts = file.stat()
    except (OSError, ValueError):
        return None
    return facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_size
