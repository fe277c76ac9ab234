"""How a model is put into memory follows from its header and from what is free."""

from __future__ import annotations

import pytest

from shareai_cli.catalog.footprint import CACHE_BYTES, MARGIN, fitting_footprint, least_footprint
from shareai_cli.catalog.gguf import ModelFile
from shareai_cli.node.layout import Need, lay_out, least_needs
from shareai_cli.node.memory import Free
from shareai_cli.types import LocalModel

GIB = 1 << 30
MODEL = LocalModel("m", "/m.gguf")
FILE = ModelFile(
    "m", "/m.gguf", 4 * GIB, "llama", 32768, tensors=9, layers=31, cache_bytes_per_token=128 << 10
)
"""Of the size of one with 8 billion weights: each of 32 equal parts has 128 MiB of weights."""


def test_a_footprint_is_weights_cache_and_a_margin() -> None:
    """The least cache is 4096 tokens, or as many as the model or its owner knows."""
    least = least_footprint(FILE)
    assert (least.weights, least.cells, least.cache) == (4 * GIB, 4096, GIB // 2)
    assert least.margin == MARGIN + 4 * GIB // 20
    assert least.total == least.weights + least.cache + least.margin
    assert least_footprint(FILE, 1000).cells == 1024


@pytest.mark.parametrize(
    ("free", "cells"),
    [(4 * GIB, 4096), (64 * GIB, 32768), (16 * GIB, 23700), (9 * GIB, 9300)],
)
def test_the_cache_grows_with_what_is_free(free: int, cells: int) -> None:
    """To a quarter of what the weights leave, and to their own size at most; never below the least."""
    assert fitting_footprint(FILE, free).cells == pytest.approx(cells, rel=0.05)


def test_a_small_model_has_a_gibibyte_of_cache_at_most_and_no_more_than_it_can_use() -> None:
    """Four requests of the greatest length are enough."""
    small = ModelFile("s", "/s", GIB // 4, "llama", 32768, tensors=9, layers=8, cache_bytes_per_token=65536)
    assert fitting_footprint(small, 64 * GIB).cache == CACHE_BYTES
    short = ModelFile("s", "/s", GIB // 4, "llama", 512, tensors=9, layers=8, cache_bytes_per_token=64)
    assert fitting_footprint(short, 64 * GIB).cells == 2048


def test_without_gpus_everything_is_in_ram() -> None:
    """The number of slots follows from the cache."""
    layout, need = lay_out(MODEL, FILE, Free(64 * GIB))
    assert (layout.gpu_layers, layout.slots, layout.cells) == (-1, 16, 32768)
    assert need == Need(fitting_footprint(FILE, 64 * GIB).total)
    assert lay_out(LocalModel("m", "/m", context=1024), FILE, Free(64 * GIB))[0].slots == 4


def test_a_model_that_fits_the_gpus_is_there_as_a_whole() -> None:
    """And takes little RAM."""
    layout, need = lay_out(MODEL, FILE, Free(4 * GIB, 24 * GIB))
    assert layout.gpu_layers == -1
    assert need.ram == MARGIN
    assert 4 * GIB < need.vram <= 24 * GIB


def test_a_model_that_is_larger_than_the_gpus_is_divided() -> None:
    """As many layers as there is room for; the rest is in RAM."""
    layout, need = lay_out(MODEL, FILE, Free(32 * GIB, 3 * GIB))
    assert 0 < layout.gpu_layers < 31
    assert 2 * GIB < need.vram <= 3 * GIB
    assert need.ram + need.vram >= fitting_footprint(FILE, 32 * GIB).total
    nothing, of_ram = lay_out(MODEL, FILE, Free(32 * GIB, GIB // 8))
    assert (nothing.gpu_layers, of_ram.vram) == (0, 0)


def test_what_a_person_sets_is_kept() -> None:
    """Whatever there is room for."""
    wanted = LocalModel("m", "/m", context=2048, gpu_layers=5, slots=3)
    layout, need = lay_out(wanted, FILE, Free(32 * GIB, 24 * GIB))
    assert (layout.cells, layout.gpu_layers, layout.slots) == (2048, 5, 3)
    assert need.vram < GIB + MARGIN + FILE.size // 20
    layout, need = lay_out(LocalModel("m", "/m", gpu_layers=-1), FILE, Free(32 * GIB, GIB))
    assert layout.gpu_layers == -1
    assert need.vram > 4 * GIB
    assert lay_out(LocalModel("m", "/m", gpu_layers=0), FILE, Free(32 * GIB, 24 * GIB))[1].vram == 0


def test_the_best_way_comes_first() -> None:
    """All on the GPUs, else divided; in RAM where there are none."""
    first, second = least_needs(MODEL, FILE, Free(32 * GIB, 3 * GIB))
    assert first == Need(MARGIN, least_footprint(FILE).total)
    assert 0 < second.vram <= 3 * GIB
    assert least_needs(MODEL, FILE, Free(32 * GIB)) == [Need(least_footprint(FILE).total)]
