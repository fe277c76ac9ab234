"""A model fits where its weights, a small cache and a margin have a place; else it is said why not."""

from __future__ import annotations

import pytest

from shareai_cli.catalog.footprint import least_footprint
from shareai_cli.catalog.gguf import ModelFile
from shareai_cli.node.memory import Free
from shareai_cli.node.verdict import judge
from shareai_cli.types import LocalModel

GIB = 1 << 30
FILE = ModelFile(
    "m", "/m.gguf", 4 * GIB, "llama", 32768, tensors=9, layers=31, cache_bytes_per_token=128 << 10
)
NEEDS = least_footprint(FILE).total


@pytest.mark.parametrize(
    ("free", "whole", "fit"),
    [
        (Free(NEEDS), Free(8 * GIB), "ram"),
        (Free(NEEDS - 1), Free(8 * GIB), "not now"),
        (Free(4 * GIB), Free(4 * GIB), "no"),
        (Free(GIB, NEEDS), Free(8 * GIB, 8 * GIB), "gpu"),
        (Free(4 * GIB, 3 * GIB), Free(8 * GIB, 8 * GIB), "gpu and ram"),
        (Free(8 * GIB, GIB // 8), Free(8 * GIB, 8 * GIB), "ram"),
        (Free(GIB, 3 * GIB), Free(GIB, 8 * GIB), "not now"),
        (Free(GIB, 3 * GIB), Free(GIB, 3 * GIB), "no"),
    ],
)
def test_a_model_fits_what_is_free_or_what_there_is_in_all(free: Free, whole: Free, fit: str) -> None:
    """On GPUs, in RAM, or divided."""
    verdict = judge(LocalModel("m", "/m"), FILE, free, whole)
    assert (verdict.fit, verdict.needs) == (fit, NEEDS)


def test_what_a_person_sets_counts() -> None:
    """A larger context needs more; layers that are to be on GPUs are nowhere else."""
    free = Free(6 * GIB, 8 * GIB)
    assert judge(LocalModel("m", "/m", context=65536), FILE, Free(6 * GIB), free).fit == "not now"
    assert judge(LocalModel("m", "/m", gpu_layers=0), FILE, free, free).fit == "ram"
    assert judge(LocalModel("m", "/m", gpu_layers=31), FILE, free, free).fit == "gpu and ram"
    assert judge(LocalModel("m", "/m", gpu_layers=-1), FILE, Free(32 * GIB, GIB), free).fit == "not now"
