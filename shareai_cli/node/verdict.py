"""Whether a model fits this machine: its least needs against what is free, and what there is in all."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from shareai_cli.catalog.footprint import least_footprint
from shareai_cli.catalog.gguf import ModelFile
from shareai_cli.node.layout import least_needs
from shareai_cli.node.memory import Free
from shareai_cli.types import LocalModel

Fit = Literal["gpu", "gpu and ram", "ram", "not now", "no"]
"""Where a model has its place; "not now" where others, of whatever program, have to leave first."""


class Verdict(Struct, frozen=True):
    """How a model fits, and what it takes at least, in bytes: weights, a small cache and a margin."""

    fit: Fit
    needs: int


def judge(model: LocalModel, file: ModelFile, free: Free, whole: Free) -> Verdict:
    """Tell whether a model fits into what is free now, or would into all that there is."""
    needs = least_footprint(file, model.context).total
    for need in least_needs(model, file, free):
        if need.fits(free):
            return Verdict("gpu" if need.vram >= needs else "gpu and ram" if need.vram else "ram", needs)
    fits_alone = any(need.fits(whole) for need in least_needs(model, file, whole))
    return Verdict("not now" if fits_alone else "no", needs)
