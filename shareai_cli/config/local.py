"""Reads `[local]`: the models of this machine, and how they are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec.structs import replace

from shareai_cli.config.amounts import parse_duration
from shareai_cli.config.reading import KeyPath, Source, Table, kind_of, shown
from shareai_cli.config.sections import ROUTE_NAME
from shareai_cli.config.settings import LocalSettings
from shareai_cli.paths import absolute
from shareai_cli.types import NODE, LocalModel

MOST_MODELS: Final = 1000
MOST_SLOTS: Final = 128
LONGEST_IDLE: Final = 366 * 86400.0

NEVER: Final = "never"
IDLE_EXAMPLE: Final = 'idle = "10m", or idle = "never"; units are s, m, h and d'

LOADING: Final = ("context", "threads", "gpu_layers", "slots", "flash_attention", "idle")
"""What can be said of how a model is loaded; see `LocalModel`."""


def read_local(root: Table, source: Source) -> LocalSettings:
    """Check `[local]`; the files themselves are looked at by whoever serves them."""
    table = root.table("local", LocalSettings.__struct_fields__)
    settings = _loading(table, LocalSettings())
    models: dict[str, LocalModel] = {}
    paths: set[str] = set()
    for index, item in enumerate(table.items("models", most=MOST_MODELS)):
        place: KeyPath = ("local", "models", index)
        model = _model(source, place, item, settings)
        if model.path in paths:
            raise source.error(place, f"{shown(model.path)} is there twice.")
        if model.id in models:
            raise source.error(
                place,
                f"{NODE}/{model.id} would mean two files.",
                hint=f'Give one of them another name: {{path = "...", name = "{model.id}-2"}}',
            )
        models[model.id] = model
        paths.add(model.path)
    return replace(settings, models=tuple(models.values()))


def _model(source: Source, place: KeyPath, item: object, settings: LocalSettings) -> LocalModel:
    """Read one model: the path alone, or a table with its path, its name and how to load it."""
    if isinstance(item, str):
        item = {"path": item}
    if not isinstance(item, dict):
        raise source.error(
            place,
            f"should be a text, and is {kind_of(item)}.",
            hint='"~/models/MODEL.gguf" or {path = "~/models/MODEL.gguf", name = "model"}',
        )
    table = Table(source, place, item, ("path", "name", *LOADING))
    path = absolute(Path(table.text("path", "")), source.file.parent)
    if not table.text("path", "") or not path.stem:
        raise source.error(place, "should be the path of a GGUF file.")
    name = table.text("name", path.stem)
    if table.has("name") and not ROUTE_NAME.fullmatch(name):
        raise table.error("name", "has letters, digits and . _ : -, at most 128, no slash.")
    own = _loading(table, settings)
    return LocalModel(
        name,
        str(path),
        context=own.context,
        threads=own.threads,
        gpu_layers=own.gpu_layers,
        slots=own.slots,
        flash_attention=own.flash_attention,
        idle=own.idle,
    )


def _loading(table: Table, default: LocalSettings) -> LocalSettings:
    """Read how models are loaded; what is not said is as in `default`."""
    return LocalSettings(
        context=table.integer("context", default.context, least=8, most=1 << 24),
        threads=table.integer("threads", default.threads, least=1, most=4096),
        gpu_layers=table.integer("gpu_layers", default.gpu_layers, least=-1, most=10_000),
        slots=table.integer("slots", default.slots, least=1, most=MOST_SLOTS),
        flash_attention=table.flag("flash_attention", False)
        if table.has("flash_attention")
        else default.flash_attention,
        idle=_idle(table, default.idle),
    )


def _idle(table: Table, default: float) -> float:
    if not table.has("idle"):
        return default
    text = table.text("idle", "", limit=40)
    idle = 0.0 if text == NEVER else parse_duration(text)
    if idle is None or not (text == NEVER or 1 <= idle <= LONGEST_IDLE):
        raise table.error("idle", "should be a time from a second to a year.", hint=IDLE_EXAMPLE)
    return idle
