"""What a loaded model takes of a machine's memory, worked out of its header: weights, cache, margin."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from shareai_cli.catalog.gguf import ModelFile

CACHE_BYTES: Final = 1 << 30
"""The KV cache that a model may take whatever its size; a larger one may take as much as its weights do."""

CACHE_SHARE: Final = 4
"""At most one part in so many of what the weights leave is for the cache: others want to load, too."""

LEAST_CONTEXT: Final = 4096

FULL_CONTEXTS: Final = 4
"""How many requests of the greatest length the cache holds at most: what many share is rarely that long."""

SLOTS: Final = 16
"""Replies that are computed together; a processor's rate still grows up to there."""

SLOT_CELLS: Final = 256
"""Tokens of cache without which a slot is of no use."""

MARGIN: Final = 256 << 20
"""Bytes of a process and its buffers, beside one part in `MARGIN_SHARE` of the weights."""
MARGIN_SHARE: Final = 20

_PAD: Final = 256
"""llama.cpp's caches have a multiple of so many cells."""


class Footprint(Struct, frozen=True):
    """Bytes that a model takes with a cache of `cells` tokens."""

    weights: int
    cache: int
    margin: int
    cells: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.cache + self.margin


def least_footprint(file: ModelFile, context: int | None = None) -> Footprint:
    """Return what a model takes with the smallest cache of use, or with one of `context` tokens."""
    trained = file.context or LEAST_CONTEXT
    return _footprint(file, context or min(trained, LEAST_CONTEXT))


def fitting_footprint(file: ModelFile, free: int, context: int | None = None) -> Footprint:
    """Return what a model takes with the cache that suits `free` bytes, or with one of `context` tokens.

    That is never less than `least_footprint`, whether it fits or not.
    """
    least = least_footprint(file, context)
    if context or not file.cache_bytes_per_token:
        return least
    left = max(0, free - least.weights - least.margin) // CACHE_SHARE
    affordable = min(left, max(CACHE_BYTES, file.size)) // file.cache_bytes_per_token
    wanted = FULL_CONTEXTS * (file.context or LEAST_CONTEXT)
    return _footprint(file, max(least.cells, min(wanted, affordable)))


def fitting_slots(cells: int) -> int:
    """Return how many replies a cache has room for at a time."""
    return max(1, min(SLOTS, cells // SLOT_CELLS))


def _footprint(file: ModelFile, cells: int) -> Footprint:
    cells = max(_PAD, -(-cells // _PAD) * _PAD)
    margin = MARGIN + file.size // MARGIN_SHARE
    return Footprint(file.size, cells * file.cache_bytes_per_token, margin, cells)
