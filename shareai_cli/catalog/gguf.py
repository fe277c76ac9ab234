"""GGUF files: whether one can be read, and the facts that its header tells without loading it.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. A model in parts is what llama.cpp's
gguf-split makes of it: `NAME-00001-of-00003.gguf`, loaded by the name of its first part.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Final

from msgspec import Struct

from shareai_cli.catalog.gguf_format import begin_of_last_tensor
from shareai_cli.catalog.gguf_header import HEADER_LIMIT, Header, NotGguf, UnknownVersion, read_header
from shareai_cli.catalog.gguf_words import abilities, family, quantization
from shareai_cli.errors import ConfigurationError
from shareai_cli.types import Ability

PROJECTOR: Final = "clip"
"""The architecture of the half of a model that sees pictures: nothing that could be asked by itself."""

_PART = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")
_MOST_PARTS = 1000
_NO_NAME = re.compile(r"[^A-Za-z0-9._:-]+")
_CACHE_BITS = 16
"""Of each number in a KV cache."""
_MOST_CACHE = 1 << 40
"""Bytes a token: a header that says more is wrong, and so is whoever adds such numbers up."""


class ModelFile(Struct, frozen=True):
    """What a GGUF's header says; empty and 0 where it says nothing."""

    id: str
    """The name that suits it: its file's, or the one in its header where the file has no proper one."""
    path: str
    size: int
    """Bytes, of all parts."""
    architecture: str
    context: int
    """Tokens of context that the model was trained for."""
    tensors: int = 0
    abilities: tuple[Ability, ...] = ()
    """As its chat template and its pooling show."""
    quantization: str = ""
    """How its weights are kept: `Q4_K_M` and the like."""
    template: str = ""
    """The family of its chat template: `chatml` and the like, "own" for one that is of none."""
    layers: int = 0
    cache_bytes_per_token: int = 0
    """Of KV cache, at 16 bits a number, for all layers together."""


def inspect(path: Path) -> ModelFile:
    """Read a model file's header; `ConfigurationError` names the file and what is wrong with it."""
    path = path.expanduser()
    parts = _parts(path)
    try:
        size = sum(part.stat().st_size for part in parts)
        with path.open("rb") as file:
            header = read_header(file)
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"There is no file {error.filename}.", hint="shareai init finds the models on this machine."
        ) from None
    except IsADirectoryError:
        raise ConfigurationError(f"{path} is a folder, not a GGUF file.") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    except NotGguf:
        raise ConfigurationError(
            f"{path} is not a GGUF file.", hint="llama.cpp reads models in GGUF only."
        ) from None
    except UnknownVersion as error:
        raise ConfigurationError(
            f"{path} is GGUF of version {error.version}; versions 2 and 3 are known."
        ) from None
    except (struct.error, EOFError, ValueError, OverflowError):
        raise ConfigurationError(f"{path} is cut off within its header.") from None
    return ModelFile(
        id=fitting_name(path, header.text("general.name")),
        path=str(path),
        size=size,
        architecture=header.architecture,
        context=header.number("context_length"),
        tensors=header.tensors,
        abilities=("embeddings",) if header.own("pooling_type") else abilities(header.template),
        quantization=quantization(header.file_type, path.stem),
        template=family(header.template),
        layers=header.number("block_count"),
        cache_bytes_per_token=_cache_bytes_per_token(header),
    )


def check_servable(path: Path) -> ModelFile:
    """Read a header as `inspect` does, and refuse what could not be asked anything by itself."""
    found = inspect(path)
    part = _PART.fullmatch(path.stem)
    if part is not None and int(part["number"]) != 1:
        first = _named_part(path, part, 1)
        raise ConfigurationError(f"{path} is not the first part of its model.", hint=f"Take {first}.")
    if found.architecture == PROJECTOR:
        raise ConfigurationError(
            f"{path} is the half of a model that sees pictures; the other half answers.",
            hint="Take the file beside it without 'mmproj' in its name.",
        )
    if not found.architecture or not found.tensors:
        raise ConfigurationError(f"{path} holds no model: it names no architecture, or has no weights.")
    for each in _parts(path):
        _check_whole(each)
    return found


def _check_whole(path: Path) -> None:
    """Refuse a file that ends before its last weights begin, as one does whose download was cut off.

    This walks the whole header, which takes a tenth of a second where the vocabulary is large.
    """
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_LIMIT)
            size = file.seek(0, 2)
        begin = begin_of_last_tensor(header)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    if begin >= size:
        raise ConfigurationError(
            f"{path} is cut off: its weights go on beyond its end.", hint="Fetch it again, to the end."
        )


def _parts(path: Path) -> list[Path]:
    """Return a model's files; those of one in parts follow from their names."""
    part = _PART.fullmatch(path.stem)
    if part is None or int(part["number"]) != 1 or int(part["count"]) > _MOST_PARTS:
        return [path]
    return [_named_part(path, part, number) for number in range(1, int(part["count"]) + 1)]


def _named_part(path: Path, part: re.Match[str], number: int) -> Path:
    return path.with_stem(f"{part['name']}-{number:05}-of-{part['count']}")


def fitting_name(path: Path, title: str = "") -> str:
    """Return the name that suits a file: its own, that of its parts, or where it has none a title."""
    part = _PART.fullmatch(path.stem)
    if part is not None:
        return part["name"]
    if path.suffix.lower() == ".gguf" or not title:
        return path.stem
    return _NO_NAME.sub("-", title).strip("-.:_").lower()[:128] or path.stem


def _cache_bytes_per_token(header: Header) -> int:
    """Return what a token takes: in each layer a key and a value of each of its own heads."""
    layers, heads = header.number("block_count"), header.number("attention.head_count")
    own = header.own("attention.head_count_kv")
    of_all = (
        sum(own[:layers]) if isinstance(own, tuple) else layers * (own if isinstance(own, int) else heads)
    )
    width = header.number("embedding_length") // max(1, heads)
    numbers = (header.number("attention.key_length") or width) + (
        header.number("attention.value_length") or width
    )
    return min(max(0, of_all) * numbers * _CACHE_BITS // 8, _MOST_CACHE)
