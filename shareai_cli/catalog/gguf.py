"""GGUF files: whether one can be read, and the facts that its header tells without loading it.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. A model in parts is what llama.cpp's
gguf-split makes of it: `NAME-00001-of-00003.gguf`, loaded by the name of its first part.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct

from shareai_cli.catalog.gguf_format import ARRAY, FORMATS, MAGIC, TEXT, begin_of_last_tensor
from shareai_cli.errors import ConfigurationError
from shareai_cli.types import Ability

HEADER_LIMIT: Final = 64 << 20
"""Bytes of header that are looked through; vocabularies come after what is looked for."""

TEMPLATE_LIMIT: Final = 24 << 20
"""Bytes from a file's beginning within which its chat template is looked for, behind the vocabulary."""

PROJECTOR: Final = "clip"
"""The architecture of the half of a model that sees pictures: nothing that could be asked by itself."""

Value = str | int | float | None

_PAIRS_LIMIT = 4096
_TEXT_LIMIT = 1 << 16
_CHUNK = 1 << 20
_PART = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")
_MOST_PARTS = 1000
_TEMPLATE_KEY = struct.pack("<Q", 23) + b"tokenizer.chat_template" + struct.pack("<I", TEXT)
_REASONS = re.compile(rb"<think>|enable_thinking|reasoning_content|<\|channel\|>")
_NO_NAME = re.compile(r"[^A-Za-z0-9._:-]+")


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


class _Header(Struct, frozen=True):
    architecture: str
    name: str
    context: int
    tensors: int
    embeds: bool


def inspect(path: Path) -> ModelFile:
    """Read a model file's header; `ConfigurationError` names the file and what is wrong with it."""
    path = path.expanduser()
    parts = _parts(path)
    try:
        size = sum(part.stat().st_size for part in parts)
        with path.open("rb") as file:
            header = _read_header(file, path)
            template = _find_template(file)
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"There is no file {error.filename}.", hint="shareai init finds the models on this machine."
        ) from None
    except IsADirectoryError:
        raise ConfigurationError(f"{path} is a folder, not a GGUF file.") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    except (struct.error, EOFError, ValueError, OverflowError):
        raise ConfigurationError(f"{path} is cut off within its header.") from None
    return ModelFile(
        id=_fitting_name(path, header.name),
        path=str(path),
        size=size,
        architecture=header.architecture,
        context=header.context,
        tensors=header.tensors,
        abilities=_abilities(header, template),
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


def _fitting_name(path: Path, title: str) -> str:
    part = _PART.fullmatch(path.stem)
    if part is not None:
        return part["name"]
    if path.suffix.lower() == ".gguf" or not title:
        return path.stem
    return _NO_NAME.sub("-", title).strip("-.:_").lower()[:128] or path.stem


def _abilities(header: _Header, template: bytes) -> tuple[Ability, ...]:
    if header.embeds:
        return ("embeddings",)
    found: list[Ability] = []
    if b"tools" in template:
        found.append("tools")
    if _REASONS.search(template):
        found.append("reasoning")
    return tuple(found)


def _read_header(file: BinaryIO, path: Path) -> _Header:
    if file.read(4) != MAGIC:
        raise ConfigurationError(f"{path} is not a GGUF file.", hint="llama.cpp reads models in GGUF only.")
    version, tensors, pairs = struct.unpack("<IQQ", _exactly(file, 20))
    if not 2 <= version <= 3:
        raise ConfigurationError(f"{path} is GGUF of version {version}; versions 2 and 3 are known.")
    values: dict[str, Value] = {}
    for _ in range(min(pairs, _PAIRS_LIMIT)):
        if file.tell() > HEADER_LIMIT:
            break
        key = _text(file)
        if key.startswith("tokenizer.") and f"{values.get('general.architecture')}.context_length" in values:
            break  # the vocabulary is long, and what describes the model stands before it
        values[key] = _value(file)
    return _described(values, tensors)


def _described(values: Mapping[str, Value], tensors: int) -> _Header:
    architecture, name = values.get("general.architecture"), values.get("general.name")
    architecture = architecture if isinstance(architecture, str) else ""
    context = values.get(f"{architecture}.context_length")
    return _Header(
        architecture=architecture,
        name=name if isinstance(name, str) else "",
        context=context if isinstance(context, int) else 0,
        tensors=tensors,
        embeds=bool(values.get(f"{architecture}.pooling_type")),
    )


def _find_template(file: BinaryIO) -> bytes:
    """Return the beginning of the chat template, empty where there is none near.

    It stands behind the vocabulary: hundreds of thousands of texts, past which only their lengths lead one
    by one. Looking for the key is faster than walking.
    """
    file.seek(0)
    held = b""
    for _ in range(TEMPLATE_LIMIT // _CHUNK):
        chunk = file.read(_CHUNK)
        held += chunk
        place = held.find(_TEMPLATE_KEY)
        if place >= 0:
            found = (held + file.read(_TEXT_LIMIT))[place + len(_TEMPLATE_KEY) :]
            length = int.from_bytes(found[:8], "little")
            return found[8 : 8 + min(length, _TEXT_LIMIT)]
        if len(chunk) < _CHUNK:
            break
        held = held[-len(_TEMPLATE_KEY) :]
    return b""


def _value(file: BinaryIO) -> Value:
    """Read a value; an array is skipped, and None."""
    (kind,) = struct.unpack("<I", _exactly(file, 4))
    if kind == TEXT:
        return _text(file)
    if kind == ARRAY:
        _skip_array(file)
        return None
    layout = FORMATS.get(kind)
    if layout is None:
        raise EOFError
    value: int | float = struct.unpack(layout, _exactly(file, struct.calcsize(layout)))[0]
    return value


def _skip_array(file: BinaryIO) -> None:
    kind, count = struct.unpack("<IQ", _exactly(file, 12))
    layout = FORMATS.get(kind)
    if layout is not None:
        file.seek(struct.calcsize(layout) * count, 1)
        return
    if kind != TEXT:
        raise EOFError
    for _ in range(count):
        if file.tell() > HEADER_LIMIT:
            return
        (length,) = struct.unpack("<Q", _exactly(file, 8))
        file.seek(length, 1)


def _text(file: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", _exactly(file, 8))
    if length > _TEXT_LIMIT:
        # A chat template may be longer than what is kept of it; a key never is.
        file.seek(length, 1)
        return ""
    return _exactly(file, length).decode("utf-8", "replace")


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise EOFError
    return data
