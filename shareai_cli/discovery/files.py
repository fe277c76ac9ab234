"""GGUF files that other programs have fetched already: LM Studio, the Hugging Face cache, llama.cpp, Ollama.

Layouts: lmstudio.ai/docs/app/basics/import-model, huggingface.co/docs/huggingface_hub/guides/manage-cache,
and for files in parts llama.cpp's gguf-split (`NAME-00001-of-00003.gguf`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from shareai_cli.discovery.ollama import ollama_models
from shareai_cli.discovery.search import Search
from shareai_cli.paths import absolute

Owner = Literal["LM Studio", "Hugging Face", "llama.cpp", "Ollama"]

MOST_FILES: Final = 500
SUFFIX: Final = ".gguf"

LONGEST_ID: Final = 100
MOST_PARTS: Final = 1000

_MAGIC: Final = b"GGUF"
_PART = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")
_UNSUITED = re.compile(r"[^A-Za-z0-9._:-]+")
_PROJECTOR = re.compile(r"mmproj", re.IGNORECASE)
"""Half of a model that sees: nothing that could be asked by itself."""


class FoundFile(Struct, frozen=True):
    """A model of somebody else's on this disk, complete and in GGUF."""

    id: str
    """What it can be declared and asked for as, none twice: the file's name, or `llama3.2:3b` of Ollama."""
    name: str
    """The whole name that its owner knows it by, such as `publisher/repository/file`."""
    path: Path
    """The file to load; of one in parts the first."""
    size: int
    """Bytes, of all parts."""
    owner: Owner
    problem: str = ""
    """Why it could not answer by itself, as far as that was looked at."""


class FoundFiles(Struct, frozen=True):
    """What a search found."""

    files: tuple[FoundFile, ...] = ()
    complete: bool = True
    """False where a bound was reached before the end."""


def find_files(environ: Mapping[str, str], search: Search | None = None) -> FoundFiles:
    """Look through the folders of the programs that fetch GGUF files; the same model is there once."""
    search = search or Search()
    found: dict[tuple[str, int], FoundFile] = {}
    taken: set[str] = set()
    for file in _everywhere(environ, search):
        same = (file.id, file.size)
        if len(found) == MOST_FILES:
            return FoundFiles(tuple(found.values()), complete=False)
        if same not in found:
            found[same] = replace(file, id=_free(file.id, taken))
            taken.add(found[same].id)
    return FoundFiles(tuple(found.values()), complete=search.complete)


def _everywhere(environ: Mapping[str, str], search: Search) -> Iterator[FoundFile]:
    for folder in _lm_studio_folders(search):
        yield from _models("LM Studio", folder, search.files(folder))
    for hub in _hubs(environ):
        yield from _hub_models(hub, search)
    for folder in _folders(environ.get("LLAMA_CACHE"), f"{_cache(environ)}/llama.cpp"):
        yield from _models("llama.cpp", folder, search.files(folder, deepest=1))
    for model in ollama_models(environ, search):
        if _is_gguf(model.blob):
            yield FoundFile(_id(model.id), model.name, model.blob, _size(model.blob), "Ollama")


def _lm_studio_folders(search: Search) -> tuple[Path, ...]:
    """Return where LM Studio keeps models: in its home, which can be moved, or where it was before."""
    homes = ["~/.lmstudio"]
    pointer = absolute(Path("~/.lmstudio-home-pointer"))
    try:
        with pointer.open(encoding="utf-8") as file:
            homes.insert(0, file.read(4096).strip())
    except (OSError, ValueError):
        pass
    return _folders(*(f"{home}/models" for home in homes if home), "~/.cache/lm-studio/models")


def _hubs(environ: Mapping[str, str]) -> tuple[Path, ...]:
    named = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
    home = environ.get("HF_HOME") or f"{_cache(environ)}/huggingface"
    return _folders(named or f"{home}/hub")


def _cache(environ: Mapping[str, str]) -> str:
    return environ.get("XDG_CACHE_HOME") or "~/.cache"


def _folders(*names: str | None) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(absolute(Path(name)) for name in names if name))


def _hub_models(hub: Path, search: Search) -> Iterator[FoundFile]:
    """Yield what a Hugging Face cache holds; of a file in several revisions that of `main`, else any."""
    for repository in search.entries(hub):
        if not repository.name.startswith("models--"):
            continue
        title = repository.name.removeprefix("models--").replace("--", "/")
        seen: set[str] = set()
        for snapshot in _snapshots(hub / repository.name, search):
            for file in _models("Hugging Face", snapshot, search.files(snapshot), title):
                if file.name not in seen:
                    seen.add(file.name)
                    yield file


def _snapshots(folder: Path, search: Search) -> list[Path]:
    try:
        with (folder / "refs" / "main").open(encoding="utf-8") as file:
            main = file.read(128).strip()
    except (OSError, ValueError):
        main = ""
    names = [entry.name for entry in search.entries(folder / "snapshots")]
    return [folder / "snapshots" / name for name in sorted(names, key=lambda name: name != main)]


def _models(owner: Owner, folder: Path, files: Iterable[Path], title: str = "") -> Iterator[FoundFile]:
    """Yield the models among some files: whole ones, and those of which every part is there."""
    known = {path for path in files if path.suffix.lower() == SUFFIX and not _PROJECTOR.search(path.name)}
    for path in sorted(known):
        part = _PART.fullmatch(path.stem)
        if part is not None and (int(part["number"]) != 1 or int(part["count"]) > MOST_PARTS):
            continue
        parts = [path] if part is None else _parts(path, part)
        if not all(map(_is_gguf, parts)):
            continue
        stem = part["name"] if part is not None else path.stem
        name = path.relative_to(folder).with_name(stem).as_posix()
        yield FoundFile(_id(stem), f"{title}/{name}" if title else name, path, sum(map(_size, parts)), owner)


def _parts(path: Path, part: re.Match[str]) -> list[Path]:
    whole = int(part["count"])
    return [path.with_stem(f"{part['name']}-{number:05}-of-{whole:05}") for number in range(1, whole + 1)]


def _id(name: str) -> str:
    """Return the last part of a name, of characters that stand in every name of a model."""
    return _UNSUITED.sub("-", name.rpartition("/")[2]).strip("-._:")[:LONGEST_ID] or "model"


def _free(model_id: str, taken: Collection[str]) -> str:
    numbered = (f"{model_id}-{number}" for number in count(2))
    return model_id if model_id not in taken else next(one for one in numbered if one not in taken)


def _is_gguf(path: Path) -> bool:
    """Tell whether a file is there (a link may lead nowhere), can be read, and begins as GGUF does."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except (OSError, ValueError):
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
