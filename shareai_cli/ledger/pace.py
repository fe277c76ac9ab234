"""How the writer's thread shares the core and the interpreter's lock with the event loop.

The lock is held while rows are made and free while they are written or read, and each time that it changes
hands costs both threads: small portions keep the event loop in time, large ones cost less in all.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class Pace(Struct, frozen=True):
    """How much is done at once."""

    pause: float
    """Seconds of sleep after each statement."""
    piece: int
    """Bytes of the journal that are read and taken apart at once; a request has some 250."""
    stretch: int
    """Rows to a statement, one of `STRETCHES`: what the event loop may have to wait for."""
    batch: int
    """Requests to a transaction, beyond which no further piece is taken in."""


STRETCHES: Final = (32, 8, 4, 2, 1)
"""Rows to a statement, the most first."""

GENTLE: Final = Pace(pause=0.0001, piece=4 << 10, stretch=8, batch=256)
"""Beside requests. The pause is there so that the event loop need not wait for a time slice of the system's
to end: on one core, that would be milliseconds. (A lower priority would do the same until other processes
want the core: then this thread would hold the interpreter's lock and not run.)"""

EAGER: Final = Pace(pause=0.0, piece=64 << 10, stretch=32, batch=2048)
"""Where `PLENTY` has piled up, or nobody waits. Under a full load of one core, a request takes this thread
some 15 us in place of 25."""

PLENTY: Final = 1 << 20
"""Bytes of the journal, some 4 000 requests."""


def next_pace(former: Pace, waiting: int) -> Pace:
    """Return how to go on while so many bytes of the journal wait.

    Once eager, until nothing waits: under a full load a gentle pace never catches up.
    """
    return EAGER if former is EAGER or waiting > PLENTY else GENTLE
