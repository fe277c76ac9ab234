"""The memory that this machine's models share: who is let in, and who has to make room.

Those leave first that have been used longest ago, and none while it answers: whoever needs its place waits
until it does no longer, before those who ask for it later. Models are let in one after the other, in the
order in which they were first asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from msgspec import Struct

from shareai_cli.catalog.gguf import ModelFile
from shareai_cli.errors import MemoryTaken
from shareai_cli.node.layout import Need, lay_out, least_needs
from shareai_cli.node.memory import Free
from shareai_cli.types import Layout, LocalModel

PATIENCE: Final = 60.0
"""Seconds that a model waits for busy ones to make room."""

RETRY_SECONDS: Final = 5.0


class Resident(Struct, frozen=True):
    """A model that has, or is about to have, a part of the memory."""

    id: str
    need: Need
    held: int
    """Bytes of RAM that it is seen to have already, and that are not free any more."""
    is_ready: bool
    """Whether it is loaded; one that loads is let alone."""
    is_busy: bool
    used_at: float


class Tenant(Protocol):
    """A model as the room knows it."""

    def resident(self) -> Resident | None:
        """Return what it has of the memory; None where that is nothing."""

    def unload(self) -> asyncio.Task[None]:
        """Give it back: from now on nobody gets it. The task, which is the model's own, is its end."""


def left_by(residents: Iterable[Resident], free: Free) -> Free:
    """Return what is free once all residents have all that they need.

    What files have in memory is free to the system, and needed by those whose weights it is.
    """
    ram, vram = free.ram, free.vram
    for one in residents:
        ram -= max(0, one.need.ram - one.held)
        vram -= 0 if one.is_ready else one.need.vram
    return Free(max(0, ram), max(0, vram))


def leavers(need: Need, residents: Sequence[Resident], free: Free) -> Sequence[Resident] | None:
    """Return who has to go so that a need fits, those first that are used no more; None where it never does.

    `free` is what is measured. None goes that need not.
    """
    going: list[Resident] = []
    for one in sorted((one for one in residents if one.is_ready), key=lambda one: (one.is_busy, one.used_at)):
        if need.fits(_without(going, residents, free)):
            break
        going.append(one)
    if not need.fits(_without(going, residents, free)):
        return None
    for one in reversed(going[:]):
        others = [other for other in going if other is not one]
        if need.fits(_without(others, residents, free)):
            going = others
    return going


def _without(going: Sequence[Resident], residents: Sequence[Resident], free: Free) -> Free:
    staying = [one for one in residents if one not in going]
    ram = free.ram + sum(one.held for one in going)
    vram = free.vram + sum(one.need.vram for one in going)
    return left_by(staying, Free(ram, vram))


class Room:
    """Lets models in. `measure` may take a second, and is called in a thread."""

    def __init__(self, measure: Callable[[], Free], *, patience: float = PATIENCE) -> None:
        self._measure = measure
        self._patience = patience
        self._door = asyncio.Lock()
        self._changed = asyncio.Event()
        self._awaited: frozenset[str] = frozenset()
        """Models that are busy, and whose place is wanted."""
        self._decided = asyncio.Event()
        self._decided.set()

    def __repr__(self) -> str:
        return f"<Room [awaited: {sorted(self._awaited)}]>"

    def changed(self) -> None:
        """Take note that a model is busy no longer, or has gone."""
        self._changed.set()

    async def pass_by(self, model: str) -> None:
        """Wait while the model's place is wanted by another one, which was asked for before."""
        while model in self._awaited:
            await self._decided.wait()

    async def admit(
        self, model: LocalModel, file: ModelFile, tenants: Callable[[], Iterable[Tenant]]
    ) -> tuple[Layout, Need]:
        """Make room for a model; return how it is put there, and what it takes.

        One that would not fit alone is let in all the same: the system may know better. Raises `MemoryTaken`
        where busy ones do not end in time.
        """
        async with self._door:
            try:
                async with asyncio.timeout(self._patience):
                    return await self._make_room(model, file, tenants)
            except TimeoutError:
                others = ", ".join(sorted(self._awaited)) or "those that are loaded"
                raise MemoryTaken(
                    f"There is no memory for {model.id!r} beside {others}, busy just now.",
                    retry_after=RETRY_SECONDS,
                ) from None
            finally:
                self._await(frozenset())

    async def _make_room(
        self, model: LocalModel, file: ModelFile, tenants: Callable[[], Iterable[Tenant]]
    ) -> tuple[Layout, Need]:
        while True:
            free = await asyncio.to_thread(self._measure)
            self._changed.clear()
            there = {one: tenant for tenant in tenants() if (one := tenant.resident()) is not None}
            residents = list(there)
            going = _who_goes(model, file, residents, free)
            busy = frozenset(one.id for one in going if one.is_busy)
            self._await(busy)
            if busy:
                await self._changed.wait()
            elif going:
                # All of them are told before any is waited for: none may be asked for in between.
                await asyncio.wait([there[one].unload() for one in going])
            else:
                return lay_out(model, file, left_by(residents, free))

    def _await(self, busy: frozenset[str]) -> None:
        self._awaited = busy
        if busy:
            self._decided.clear()
        else:
            self._decided.set()


def _who_goes(
    model: LocalModel, file: ModelFile, residents: Sequence[Resident], free: Free
) -> Sequence[Resident]:
    """Return who has to go for a model to be put in the best way that is possible at all."""
    ready = [one for one in residents if one.is_ready]
    for need in least_needs(model, file, _without(ready, residents, free)):
        going = leavers(need, residents, free)
        if going is not None:
            return going
    return ready
