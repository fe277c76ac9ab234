"""Whether moving entries can wait: it takes the core, and the lock, that the requests themselves need."""

from __future__ import annotations

import time
from typing import Final

from shareai_cli.types import Clock

RUSH: Final = 1 << 19
"""Bytes of the journal a second, some 2 000 requests, beyond which the event loop gets all of the time."""

BEHIND: Final = 32 << 20
"""Bytes of the journal that may be put off, some 100 000 requests: after a kill they have to be taken in."""


class Rush:
    """Sees how fast the journal grows, from one look to the next."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._looked_at = clock()
        self._behind = 0

    def __repr__(self) -> str:
        return f"<Rush [behind: {self._behind} bytes]>"

    def is_on(self, behind: int) -> bool:
        """Tell whether so many bytes that wait are to wait on, as more come too fast."""
        now = self._clock()
        grown, seconds = behind - self._behind, now - self._looked_at
        self._looked_at, self._behind = now, behind
        return grown > RUSH * seconds and behind < BEHIND

    def moved(self, behind: int) -> None:
        """Take in what still waits after some was moved; growth is seen from now on."""
        self._looked_at, self._behind = self._clock(), behind
