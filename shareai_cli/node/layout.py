"""How a model is put into the memory that there is: on GPUs as a whole or in part, else in RAM."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from shareai_cli.catalog.footprint import (
    MARGIN,
    Footprint,
    fitting_footprint,
    fitting_slots,
    least_footprint,
)
from shareai_cli.catalog.gguf import ModelFile
from shareai_cli.node.memory import Free
from shareai_cli.types import Layout, LocalModel


class Need(Struct, frozen=True):
    """Bytes that a model takes."""

    ram: int
    vram: int = 0

    def fits(self, free: Free) -> bool:
        """Tell whether there is as much of both."""
        return self.ram <= free.ram and self.vram <= free.vram


def least_needs(model: LocalModel, file: ModelFile, most: Free) -> Sequence[Need]:
    """Return what a model takes at least, the best way first; `most` is what could be made free for it."""
    least = least_footprint(file, model.context)
    if not most.vram:
        return [Need(least.total)]
    whole = Need(MARGIN, least.total)
    if model.gpu_layers is None:
        return [whole, _divided(least, file, _layers_in(least, file, most.vram))]
    return [whole if _are_all(model.gpu_layers, file) else _divided(least, file, model.gpu_layers)]


def lay_out(model: LocalModel, file: ModelFile, free: Free) -> tuple[Layout, Need]:
    """Return how a model is put into what is free, and what it takes then; it need not fit."""
    if not free.vram:
        alone = fitting_footprint(file, free.ram, model.context)
        return _layout(model, alone, -1), Need(alone.total)
    whole = fitting_footprint(file, free.vram, model.context)
    layers = model.gpu_layers
    if whole.total <= free.vram if layers is None else _are_all(layers, file):
        return _layout(model, whole, -1), Need(MARGIN, whole.total)
    spread = fitting_footprint(file, free.ram, model.context)
    layers = _layers_in(spread, file, free.vram) if layers is None else layers
    return _layout(model, spread, layers), _divided(spread, file, layers)


def _layout(model: LocalModel, footprint: Footprint, gpu_layers: int) -> Layout:
    return Layout(
        cells=footprint.cells,
        gpu_layers=gpu_layers if model.gpu_layers is None else model.gpu_layers,
        slots=model.slots or fitting_slots(footprint.cells),
    )


def _are_all(layers: int, file: ModelFile) -> bool:
    """Tell whether so many layers are a whole model: what follows the last layer counts as one, too."""
    return not 0 <= layers <= file.layers


def _layers_in(footprint: Footprint, file: ModelFile, vram: int) -> int:
    """Return how many layers GPUs have room for, each taken to be as large as the others."""
    a_layer = max(1, (footprint.weights + footprint.cache) // (file.layers + 1))
    return max(0, min(file.layers, (vram - footprint.margin) // a_layer))


def _divided(footprint: Footprint, file: ModelFile, layers: int) -> Need:
    of_layers = (footprint.weights + footprint.cache) * layers // (file.layers + 1)
    return Need(footprint.total - of_layers, of_layers + footprint.margin if layers else 0)
