"""What stands in a GGUF's header, read within bounds: its values, and what is behind the vocabulary.

Whatever a file claims of its lengths, no more than `HEADER_LIMIT` bytes are looked through, and no more than
`_TEXT_LIMIT` of a value are kept. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import BinaryIO, Final

from msgspec import Struct

from shareai_cli.catalog.gguf_format import ARRAY, FORMATS, MAGIC, TEXT, UINT32

HEADER_LIMIT: Final = 64 << 20
"""Bytes of header that are looked through; vocabularies come after what is looked for."""

BEHIND_LIMIT: Final = 24 << 20
"""Bytes from a file's beginning within which is looked for what stands behind the vocabulary."""

Value = str | int | float | tuple[int, ...] | None

_PAIRS_LIMIT = 4096
_TEXT_LIMIT = 1 << 16
_ITEMS_LIMIT = 1024
"""Numbers of a list that is kept: one for each layer."""
_CHUNK = 1 << 20
_MOST = 1 << 48
"""What a number in a header may say at most: beyond it nothing makes sense, and sums stay sums."""


def _key(name: str, kind: int) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind)


_TEMPLATE: Final = _key("tokenizer.chat_template", TEXT)
_FILE_TYPE: Final = _key("general.file_type", UINT32)
"""Quantising a file moves it behind everything else."""


class NotGguf(Exception):
    """The file does not begin as GGUF does."""


class UnknownVersion(Exception):
    """GGUF of a version that this module does not know; `version` is its number."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


class Header(Struct, frozen=True):
    """The values before the vocabulary, how many weights there are, and what is behind the vocabulary."""

    values: Mapping[str, Value]
    tensors: int
    template: bytes = b""
    """The beginning of the chat template; empty where there is none near."""
    file_type: int | None = None
    """`llama_ftype` (llama.h)."""

    @property
    def architecture(self) -> str:
        """The family of models, by which its own values are named."""
        return self.text("general.architecture")

    def text(self, key: str) -> str:
        """Return a text; empty where there is none."""
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def own(self, key: str) -> Value:
        """Return a value that the architecture names."""
        return self.values.get(f"{self.architecture}.{key}")

    def number(self, key: str) -> int:
        """Return a whole number that the architecture names; 0 where there is none, or none that can be."""
        value = self.own(key)
        return value if isinstance(value, int) and 0 <= value < _MOST else 0


def read_header(file: BinaryIO) -> Header:
    """Read a header from a file's beginning.

    Raises `NotGguf`, `UnknownVersion`; and where the file is cut off or says what cannot be, `EOFError`,
    `struct.error`, `ValueError` or `OverflowError`. `OSError` passes.
    """
    if file.read(len(MAGIC)) != MAGIC:
        raise NotGguf
    version, tensors, pairs = struct.unpack("<IQQ", _exactly(file, 20))
    if not 2 <= version <= 3:
        raise UnknownVersion(version)
    values: dict[str, Value] = {}
    for _ in range(min(pairs, _PAIRS_LIMIT)):
        if file.tell() > HEADER_LIMIT:
            break
        key = _text(file)
        if key.startswith("tokenizer.") and f"{values.get('general.architecture')}.context_length" in values:
            break  # the vocabulary is long, and what describes the model stands before it
        values[key] = _value(file)
    known = values.get("general.file_type")
    behind = _look_behind(file, (_TEMPLATE,) if isinstance(known, int) else (_TEMPLATE, _FILE_TYPE))
    return Header(
        MappingProxyType(values),
        tensors,
        template=_template(behind.get(_TEMPLATE, b"")),
        file_type=known if isinstance(known, int) else _number(behind.get(_FILE_TYPE, b"")),
    )


def _look_behind(file: BinaryIO, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the beginnings of the values of keys that stand behind the vocabulary.

    That has hundreds of thousands of texts, past which only their lengths lead one by one. Looking for the
    keys is faster than walking.
    """
    found: dict[bytes, bytes] = {}
    file.seek(0)
    held, place = b"", 0
    while place < BEHIND_LIMIT and len(found) < len(keys):
        file.seek(place)
        chunk = file.read(_CHUNK)
        place += len(chunk)
        held = held[-len(_TEMPLATE) :] + chunk
        for key in keys:
            at = held.find(key) if key not in found else -1
            if at >= 0:
                file.seek(place)
                found[key] = (held + file.read(_TEXT_LIMIT))[at + len(key) :][: 8 + _TEXT_LIMIT]
        if len(chunk) < _CHUNK:
            break
    return found


def _template(value: bytes) -> bytes:
    length = int.from_bytes(value[:8], "little")
    return value[8 : 8 + min(length, _TEXT_LIMIT)]


def _number(value: bytes) -> int | None:
    return int.from_bytes(value[:4], "little") if len(value) >= 4 else None


def _value(file: BinaryIO) -> Value:
    """Read a value; a long list, and one of texts, is skipped, and None."""
    (kind,) = struct.unpack("<I", _exactly(file, 4))
    if kind == TEXT:
        return _text(file)
    if kind == ARRAY:
        return _array(file)
    layout = FORMATS.get(kind)
    if layout is None:
        raise EOFError
    value: int | float = struct.unpack(layout, _exactly(file, struct.calcsize(layout)))[0]
    return value


def _array(file: BinaryIO) -> tuple[int, ...] | None:
    kind, count = struct.unpack("<IQ", _exactly(file, 12))
    layout = FORMATS.get(kind)
    if layout is not None:
        size = struct.calcsize(layout) * count
        if count > _ITEMS_LIMIT:
            file.seek(size, 1)
            return None
        items = struct.unpack(f"<{count}{layout[1]}", _exactly(file, size))
        return tuple(item for item in items if isinstance(item, int))
    if kind != TEXT:
        raise EOFError
    for _ in range(count):
        if file.tell() > HEADER_LIMIT:
            return None
        (length,) = struct.unpack("<Q", _exactly(file, 8))
        file.seek(length, 1)
    return None


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
