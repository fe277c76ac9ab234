"""Everything that is found on this machine, looked for at the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from shareai_cli.catalog.gguf import ModelFile, check_servable
from shareai_cli.config import Preset, load_text
from shareai_cli.discovery.engines import FoundEngine, find_engines
from shareai_cli.discovery.files import FoundFile, FoundFiles, find_files
from shareai_cli.errors import ConfigurationError

MOST_CHECKED = 40
CHECK_SECONDS = 2.0
"""So many files, and for so long, are looked into; each takes some hundredths of a second."""


class FoundKey(Struct, frozen=True):
    """A variable of the environment that holds a known provider's key; the key itself is not looked at."""

    provider: str
    """The preset's name."""
    title: str
    variable: str


class Examined(Struct, frozen=True):
    """A file with what its header says; None where that could not be read, or was not looked at."""

    file: FoundFile
    facts: ModelFile | None = None


class Found(Struct, frozen=True):
    """What is there."""

    keys: tuple[FoundKey, ...] = ()
    engines: tuple[FoundEngine, ...] = ()
    files: FoundFiles = FoundFiles()


def find_keys(environ: Mapping[str, str], presets: Mapping[str, Preset]) -> tuple[FoundKey, ...]:
    """Return the variables that would make providers if nothing were declared.

    Raises `ConfigurationError` where the environment names a proxy that is none.
    """
    settings = load_text("", Path("config.toml"), environ, presets)
    return tuple(
        FoundKey(name, presets[name].title, variable)
        for name, variable in zip(settings.providers, settings.discovered, strict=True)
    )


async def look(environ: Mapping[str, str], presets: Mapping[str, Preset], ports: Sequence[int]) -> Found:
    """Look for keys, for engines on these ports, and for model files; takes a few seconds at most."""
    keys = find_keys(environ, presets)
    async with asyncio.TaskGroup() as group:
        engines = group.create_task(find_engines(ports))
        files = group.create_task(asyncio.to_thread(_find_checked_files, environ))
    return Found(keys, engines.result(), files.result())


def examine(files: Sequence[FoundFile]) -> list[Examined]:
    """Look into model files, as many and as long as the bounds allow; the others stay as they are."""
    until = time.monotonic() + CHECK_SECONDS
    return [
        _examined(file) if number < MOST_CHECKED and time.monotonic() < until else Examined(file)
        for number, file in enumerate(files)
    ]


def _find_checked_files(environ: Mapping[str, str]) -> FoundFiles:
    found = find_files(environ)
    return replace(found, files=tuple(one.file for one in examine(found.files)))


def _examined(file: FoundFile) -> Examined:
    try:
        facts = check_servable(file.path)
    except ConfigurationError:
        return Examined(replace(file, problem="its header holds no model that answers"))
    if "embeddings" in facts.abilities:
        return Examined(replace(file, problem="it makes embeddings"), facts)
    return Examined(file, facts)
