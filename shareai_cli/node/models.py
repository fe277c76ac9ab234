"""GGUF files: whether one can be read, and the few facts that its header tells without loading it.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from shareai_cli.errors import ConfigurationError

MAGIC = b"GGUF"
HEADER_LIMIT = 64 << 20
"""Bytes of header that are looked through; vocabularies come after what is looked for."""

INSTALL_HINT = "pip install llama-cpp-python, or install shareai-cli with the extra 'llama'"
"""What adds llama.cpp, from a checkout as well as to an installed package."""

_PAIRS_LIMIT = 4096
_TEXT_LIMIT = 1 << 16
_TEXT = 8
_ARRAY = 9
_FORMATS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}


class ModelFile(Struct, frozen=True):
    """What a GGUF's header says; empty and 0 where it says nothing."""

    id: str
    path: str
    size: int
    """Bytes of the file."""
    architecture: str
    context: int
    """Tokens of context that the model was trained for."""


def inspect(path: Path) -> ModelFile:
    """Read a model file's header; `ConfigurationError` names the file and what is wrong with it."""
    path = path.expanduser()
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            architecture, context = _read_header(file, path)
    except FileNotFoundError:
        raise ConfigurationError(f"There is no file {path}.") from None
    except IsADirectoryError:
        raise ConfigurationError(f"{path} is a folder, not a GGUF file.") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    except (struct.error, EOFError, ValueError, OverflowError):
        raise ConfigurationError(f"{path} is cut off within its header.") from None
    return ModelFile(id=path.stem, path=str(path), size=size, architecture=architecture, context=context)


def has_llama() -> bool:
    """Return whether llama-cpp-python is installed, without importing it."""
    return find_spec("llama_cpp") is not None


def _read_header(file: BinaryIO, path: Path) -> tuple[str, int]:
    if file.read(4) != MAGIC:
        raise ConfigurationError(f"{path} is not a GGUF file.", hint="llama.cpp reads models in GGUF only.")
    version, _tensors, pairs = struct.unpack("<IQQ", _exactly(file, 20))
    if not 2 <= version <= 3:
        raise ConfigurationError(f"{path} is GGUF of version {version}; versions 2 and 3 are known.")
    architecture, context = "", 0
    for _ in range(min(pairs, _PAIRS_LIMIT)):
        if file.tell() > HEADER_LIMIT:
            break
        key = _text(file)
        value = _value(file)
        if key == "general.architecture" and isinstance(value, str):
            architecture = value
        elif key.endswith(".context_length") and isinstance(value, int):
            context = value
        if architecture and context:
            break
    return architecture, context


def _value(file: BinaryIO) -> str | int | float | None:
    """Read a value; an array is skipped, and None."""
    (kind,) = struct.unpack("<I", _exactly(file, 4))
    if kind == _TEXT:
        return _text(file)
    if kind == _ARRAY:
        _skip_array(file)
        return None
    layout = _FORMATS.get(kind)
    if layout is None:
        raise EOFError
    value: int | float = struct.unpack(layout, _exactly(file, struct.calcsize(layout)))[0]
    return value


def _skip_array(file: BinaryIO) -> None:
    kind, count = struct.unpack("<IQ", _exactly(file, 12))
    layout = _FORMATS.get(kind)
    if layout is not None:
        file.seek(struct.calcsize(layout) * count, 1)
        return
    if kind != _TEXT:
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
