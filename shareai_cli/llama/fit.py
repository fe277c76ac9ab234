"""What a model gets of this machine unless the configuration says otherwise: cache, threads, slots."""

from __future__ import annotations

import os

import psutil

from shareai_cli.llama.bindings import Model

SMALL_MODEL = 64 << 20
"""Bytes of weights below which more than one thread costs more than it brings."""

CACHE_BYTES = 1 << 30
"""The KV cache that a model takes unless the configuration asks for another size."""

LEAST_CONTEXT = 4096

FULL_CONTEXTS = 4
"""How many requests of the greatest length the cache holds at most: what many share is rarely that long."""

SLOTS = 16
"""Replies that are computed together; a processor's rate still grows up to there."""


def default_cells(model: Model) -> int:
    """Return a size of the KV cache, in tokens, within `CACHE_BYTES`, or the least useful one."""
    affordable = CACHE_BYTES // max(1, model.cache_bytes_per_token)
    wanted = FULL_CONTEXTS * (model.trained_context or LEAST_CONTEXT)
    least = min(model.trained_context or LEAST_CONTEXT, LEAST_CONTEXT)
    return max(256, least, min(wanted, affordable))


def context_of(model: Model, cells: int) -> int:
    """Return how much of a cache one request may take: what the model was trained for."""
    return min(cells, model.trained_context or cells)


def default_threads(model: Model) -> int:
    """Return the physical cores that this process may use, one for a small model."""
    if model.size < SMALL_MODEL:
        return 1
    physical = psutil.cpu_count(logical=False) or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    return max(1, min(physical, allowed))
