"""GGUF files made of nothing but a header, as a test wants it."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

Value = int | bool | str | Sequence[str] | Sequence[int]

LLAMA: Mapping[str, Value] = {"general.architecture": "llama", "llama.context_length": 8192}


def model_file(path: Path, values: Mapping[str, Value] = LLAMA, *, tensors: int = 1, rest: int = 64) -> Path:
    """Write a header with these values, and `rest` bytes that stand for the weights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pairs = b"".join(_text(key) + _value(value) for key, value in values.items())
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, tensors, len(values)) + pairs + bytes(rest))
    return path


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Value) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    numbers = [item for item in value if isinstance(item, int)]
    if numbers:
        return struct.pack("<IIQ", 9, 4, len(numbers)) + struct.pack(f"<{len(numbers)}I", *numbers)
    return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(_text(str(item)) for item in value)
