"""The models that providers were last seen to offer, in a file: what shells complete, asking nobody.

It is a memory and nothing more: whoever cannot read or write it goes on without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from shareai_cli.secrets import write_private

MOST: Final = 5000
"""Models of a provider that are remembered."""

FILE_BYTES: Final = 16 << 20

Offered = Mapping[str, list[str]]
"""Models by the provider's name."""


def remembered(file: Path) -> Offered:
    """Return what the file holds; nothing where it cannot be read."""
    try:
        with file.open("rb") as stream:
            return msgspec.json.decode(stream.read(FILE_BYTES), type=dict[str, list[str]])
    except (OSError, ValueError):
        return {}


def remember(file: Path, offered: Mapping[str, Iterable[str]]) -> None:
    """Keep what some providers offer beside what is known of others; may wait for the disk, never raises."""
    former = remembered(file)
    now = dict(former) | {name: sorted(islice(models, MOST)) for name, models in offered.items()}
    if now != former:
        with suppress(OSError, UnicodeEncodeError):
            write_private(file, msgspec.json.encode(now).decode())
