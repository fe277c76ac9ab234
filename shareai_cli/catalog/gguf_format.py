"""How GGUF lays out its values, and where in a file the last weights begin.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MAGIC: Final = b"GGUF"
PAIRS_AT: Final = 24
"""Where the metadata begins: behind magic, version and two counts."""

UINT32: Final = 4
TEXT: Final = 8
ARRAY: Final = 9
FORMATS: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "<B",
        1: "<b",
        2: "<H",
        3: "<h",
        UINT32: "<I",
        5: "<i",
        6: "<f",
        7: "<?",
        10: "<Q",
        11: "<q",
        12: "<d",
    }
)
"""Values of one size, as `struct` writes them."""

ALIGNMENT: Final = 32
"""Bytes to whose multiples tensors are moved, where a file does not say."""


class _UnknownValue(Exception):
    """A kind of value that this module does not know."""


def begin_of_last_tensor(header: bytes) -> int:
    """Return where in the file the last tensor begins, `header` being the file's beginning.

    That is at least the header's length where it goes on beyond what is there, and 0 where a value of an
    unknown kind keeps anybody from knowing.
    """
    try:
        return _begin_of_last_tensor(header)
    except (struct.error, OverflowError):
        return len(header)
    except _UnknownValue:
        return 0


def _begin_of_last_tensor(header: bytes) -> int:
    tensors, pairs = struct.unpack_from("<QQ", header, 8)
    place, alignment = PAIRS_AT, ALIGNMENT
    for _ in range(pairs):
        begin, place = _skip_text(header, place)
        is_alignment = header[begin:place] == b"general.alignment"
        (kind,) = struct.unpack_from("<I", header, place)
        if is_alignment and kind == UINT32:
            (alignment,) = struct.unpack_from("<I", header, place + 4)
        place = _skip_value(header, place + 4, kind)
    last = 0
    for _ in range(tensors):
        _, place = _skip_text(header, place)
        (dimensions,) = struct.unpack_from("<I", header, place)
        place += 4 + 8 * dimensions + 4  # the dimensions, and the type
        (offset,) = struct.unpack_from("<Q", header, place)
        place += 8
        last = max(last, offset)
    return int(place + -place % max(1, alignment) + last)


def _skip_text(header: bytes, place: int) -> tuple[int, int]:
    """Return where a text begins and where it ends."""
    (length,) = struct.unpack_from("<Q", header, place)
    return place + 8, place + 8 + length


def _skip_value(header: bytes, place: int, kind: int) -> int:
    """Return where a value ends."""
    if kind in FORMATS:
        return place + struct.calcsize(FORMATS[kind])
    if kind == TEXT:
        return _skip_text(header, place)[1]
    if kind != ARRAY:
        raise _UnknownValue
    kind, count = struct.unpack_from("<IQ", header, place)
    place += 12
    if kind in FORMATS:
        return int(place + count * struct.calcsize(FORMATS[kind]))
    if kind != TEXT:
        raise _UnknownValue
    for _ in range(count):
        (length,) = struct.unpack_from("<Q", header, place)
        place += 8 + length
    return place
