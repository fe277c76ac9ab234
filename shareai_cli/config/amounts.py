"""Durations and sizes as a person writes them: `5m`, `64 MiB`."""

from __future__ import annotations

import re

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 10**3, "mb": 10**6, "gb": 10**9}

_AMOUNT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?([A-Za-z]{1,3})")


def parse_duration(text: str) -> float | None:
    """Return the seconds of `30s`, `5m`, `24h` or `7d`; None where the text is no such thing."""
    return _parse(text, _SECONDS)


def parse_size(text: str) -> int | None:
    """Return the bytes of `512 KiB`, `64 MiB`, `1 GiB` (or KB, MB, GB, B); None where it is no such thing."""
    size = _parse(text, _BYTES)
    return int(size) if size is not None else None


def _parse(text: str, units: dict[str, int]) -> float | None:
    found = _AMOUNT.fullmatch(text.strip())
    unit = units.get(found[2].lower()) if found is not None else None
    return float(found[1]) * unit if found is not None and unit is not None else None
