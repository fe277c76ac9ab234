"""What a model gets of this machine where nobody has worked it out before: cache and threads."""

from __future__ import annotations

import os

import psutil

from shareai_cli.catalog.footprint import CACHE_BYTES, FULL_CONTEXTS, LEAST_CONTEXT
from shareai_cli.llama.bindings import Model

SMALL_MODEL = 64 << 20
"""Bytes of weights below which more than one thread costs more than it brings."""


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
