"""A sliding window, as the counts of its slots and their running sum.

What came counts until its whole slot has left the window, so no stretch of the window's length ever holds
more than was let in: the window's slots, and the one that it has left in part. Unlike a bucket that refills,
it lets no burst pass on top of that, and it can be made again from sums of the accounts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from shareai_cli.types import Window


class SlotPlan(Struct, frozen=True):
    """How a window is divided."""

    slot_ms: int
    count: int

    def begins(self, time_ms: int) -> int:
        """Return when what counts at a time begins, Unix milliseconds."""
        return (time_ms // self.slot_ms - self.count) * self.slot_ms


PLANS: Final[Mapping[Window, SlotPlan]] = {
    "second": SlotPlan(100, 10),
    "minute": SlotPlan(1_000, 60),
    "hour": SlotPlan(60_000, 60),
    "day": SlotPlan(3_600_000, 24),
}


class Slots:
    """What came within a window."""

    __slots__ = ("_count", "_counts", "_head", "_slot_ms", "total")

    def __init__(self, plan: SlotPlan) -> None:
        self._slot_ms = plan.slot_ms
        self._count = plan.count
        self._head = 0
        self._counts: dict[int, int] = {0: 0}
        self.total = 0
        """What counts at the time that was last asked for."""

    def __repr__(self) -> str:
        return f"<Slots of {self._slot_ms} ms [{self.total}]>"

    @property
    def turns_ms(self) -> int:
        """When the next slot begins."""
        return (self._head + 1) * self._slot_ms

    def at(self, time_ms: int) -> int:
        """Return what counts at a time; later ones must not be before it, unless the clock was set back."""
        slot = time_ms // self._slot_ms
        if slot != self._head:
            self._turn(slot)
        return self.total

    def add(self, time_ms: int, amount: int) -> None:
        """Count something that came then, or with a negative amount no longer; what has left is nothing."""
        slot = time_ms // self._slot_ms
        if slot == self._head:
            self._counts[slot] += amount
        elif slot > self._head:
            self._turn(slot)
            self._counts[slot] += amount
        elif slot >= self._head - self._count:
            self._counts[slot] = self._counts.get(slot, 0) + amount
        else:
            return
        self.total += amount

    def add_now(self, amount: int) -> None:
        """Count something that comes at the time that was last asked for."""
        self._counts[self._head] += amount
        self.total += amount

    def frees_ms(self, amount: int) -> int:
        """Return when so much of what counts will have left, if nothing more comes."""
        for slot in sorted(self._counts):
            amount -= self._counts[slot]
            if amount <= 0:
                return (slot + self._count + 1) * self._slot_ms
        return (self._head + self._count + 1) * self._slot_ms

    def _turn(self, slot: int) -> None:
        counts = self._counts
        if slot < self._head:
            # The clock was set back: what seems to be to come counts as of now, so that none of it is lost.
            ahead = sum(counts.pop(one) for one in list(counts) if one > slot)
            counts[slot] = counts.get(slot, 0) + ahead
        oldest = slot - self._count
        self._head = slot
        self._counts = counts = {one: count for one, count in counts.items() if one >= oldest}
        counts.setdefault(slot, 0)
        self.total = sum(counts.values())
