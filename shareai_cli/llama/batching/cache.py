"""The accounts of a unified KV cache: who holds which cells, what is shared, what goes when room is needed.

Nothing of llama.cpp is called here. Methods return the changes that the cache itself has to go through, in
their order. A cell is held by all sequences that share it, and is free when none holds it any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from operator import eq

from msgspec import Struct


class Copy(Struct, frozen=True):
    """The first `count` cells of `source` are the beginning of `target`, which is empty, too."""

    source: int
    target: int
    count: int


class Remove(Struct, frozen=True):
    """A sequence holds nothing any more."""

    sequence: int


Change = Copy | Remove


class _Run:
    """Cells that one sequence wrote in a row: how many of them, from the first, each holder has."""

    __slots__ = ("lengths",)

    def __init__(self) -> None:
        self.lengths: dict[int, int] = {}

    def held(self, without: Iterable[int] = ()) -> int:
        """Return how many cells are held if some holders left."""
        return max((count for holder, count in self.lengths.items() if holder not in without), default=0)


class _Holder:
    """One sequence: the tokens that it has in the cache, and the runs that they lie in; the last is its."""

    __slots__ = ("runs", "tokens")

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.runs: list[_Run] = [_Run()]


class Cache:
    """A cache of `cells` for `sequences`, at least two more than run at a time; it numbers them."""

    def __init__(self, cells: int, sequences: int, *, shares: bool = True) -> None:
        self.cells = cells
        self.used = 0
        """Cells that a sequence or a prefix holds."""
        self._shares = shares
        self._unused = list(range(sequences - 1, -1, -1))
        self._running: dict[int, _Holder] = {}
        self._idle: dict[int, _Holder] = {}

    def __repr__(self) -> str:
        running, idle = len(self._running), len(self._idle)
        return f"<Cache {self.used} of {self.cells} cells, {running} sequences, {idle} prefixes>"

    @property
    def prefixes(self) -> int:
        """How many finished sequences stay for those who begin like them."""
        return len(self._idle)

    @property
    def free(self) -> int:
        """Cells that nobody holds."""
        return self.cells - self.used

    @property
    def room(self) -> int:
        """Cells that nobody holds or that prefixes would leave."""
        return self.cells - sum(run.held(without=self._idle) for run in self._runs())

    def length(self, sequence: int) -> int:
        """Return how many tokens a running sequence has in the cache."""
        return len(self._running[sequence].tokens)

    def join(self, tokens: Sequence[int]) -> tuple[int, list[Change]]:
        """Give a number to a sequence that begins with all of `tokens` that some other one has, but the last.

        The last one has to be evaluated, as its logits were not kept.
        """
        source, shared = self._best(tokens)
        changes: list[Change] = []
        if not self._unused:
            changes += self._forget(next(number for number in self._idle if number != source))
        number = self._unused.pop()
        self._running[number] = _Holder()
        if source is not None:
            changes += self._share(source, number, shared)
        return number, changes

    def catch_up(self, sequence: int, tokens: Sequence[int]) -> list[Change]:
        """Let a running sequence begin with what another one has of `tokens`, if that is more than it has."""
        holder = self._running[sequence]
        source, shared = self._best(tokens)
        if source is None or shared <= len(holder.tokens):
            return []
        self._leave(holder, sequence)
        self._running[sequence] = _Holder()
        return [Remove(sequence), *self._share(source, sequence, shared)]

    def grow(self, sequence: int, tokens: Sequence[int]) -> None:
        """Take note of tokens that were evaluated for a running sequence."""
        holder = self._running[sequence]
        holder.tokens += tokens
        lengths = holder.runs[-1].lengths
        lengths[sequence] = lengths.get(sequence, 0) + len(tokens)
        self.used += len(tokens)

    def rest(self, sequence: int) -> list[Change]:
        """End a running sequence and keep it as a prefix, if it may serve."""
        holder = self._running.pop(sequence)
        self._idle[sequence] = holder
        if not self._shares or not holder.tokens:
            return self._forget(sequence)
        changes: list[Change] = []
        for other, kept in list(self._idle.items()):
            if other == sequence:
                continue
            # A longer one serves whoever the shorter one would.
            shared = shared_length(holder.tokens, kept.tokens)
            if shared == len(kept.tokens):
                changes += self._forget(other)
            elif shared == len(holder.tokens):
                self._touch(other)
                return self._forget(sequence)
        return changes

    def drop(self, sequence: int) -> list[Change]:
        """End a running sequence and keep nothing of it."""
        self._idle[sequence] = self._running.pop(sequence)
        return self._forget(sequence)

    def make_room(self, count: int) -> list[Change]:
        """Let prefixes go until `count` cells are free, those first that served longest ago."""
        changes: list[Change] = []
        while self.free < count and self._idle:
            changes += self._forget(next(iter(self._idle)))
        return changes

    def _best(self, tokens: Sequence[int]) -> tuple[int | None, int]:
        """Return who has most of the beginning of `tokens`, and how much."""
        best: tuple[int | None, int] = (None, 0)
        if not self._shares:
            return best
        for number, holder in (*self._running.items(), *self._idle.items()):
            shared = min(shared_length(tokens, holder.tokens), len(tokens) - 1)
            if shared > best[1]:
                best = (number, shared)
        return best

    def _share(self, source: int, target: int, count: int) -> list[Change]:
        giver = self._running.get(source) or self._idle[source]
        taker = self._running[target]
        taker.tokens[:] = giver.tokens[:count]
        left = count
        for run in giver.runs:
            length = min(left, run.lengths.get(source, 0))
            if length:
                run.lengths[target] = length
                taker.runs.insert(-1, run)
                left -= length
        self._touch(source)
        return [Copy(source, target, count)]

    def _touch(self, sequence: int) -> None:
        """Put a prefix behind the others that wait to go."""
        holder = self._idle.pop(sequence, None)
        if holder is not None:
            self._idle[sequence] = holder

    def _forget(self, sequence: int) -> list[Change]:
        self._leave(self._idle.pop(sequence), sequence)
        self._unused.append(sequence)
        return [Remove(sequence)]

    def _leave(self, holder: _Holder, sequence: int) -> None:
        for run in holder.runs:
            before = run.held()
            run.lengths.pop(sequence, None)
            self.used -= before - run.held()

    def _runs(self) -> set[_Run]:
        return {run for holder in self._running.values() for run in holder.runs}


def shared_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two sequences have in common at their start."""
    return sum(takewhile(bool, map(eq, one, other)))
