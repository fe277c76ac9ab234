"""The models that providers were last seen to offer, in a file: what shells complete, asking nobody.

It is a memory and nothing more: whoever cannot read or write it goes on without it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from shareai_cli.errors import ShareAIError

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


class OfferedModels:
    """The memory in a file, for any thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<OfferedModels {self._file}>"

    def learn(self, provider: str, models: Iterable[str]) -> None:
        """Keep what a provider offers beside what is known of others; may wait for the disk, never raises."""
        from shareai_cli.paths import make_private_folder
        from shareai_cli.secrets import write_private  # not for those who only read, and are in a hurry

        with self._lock:
            known = remembered(self._file)
            offered = sorted(islice(models, MOST))
            if known.get(provider) == offered:
                return
            encoded = msgspec.json.encode({**known, provider: offered})
            with suppress(OSError, ShareAIError):
                make_private_folder(self._file.parent)
                write_private(self._file, encoded.decode())
