"""The accounts of requests: taken in on the event loop, moved into the database by a thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from shareai_cli.ledger.entries import Closed, Opened
from shareai_cli.paths import Paths
from shareai_cli.types import Usage


class Prices(Protocol):
    """What a request costs."""

    def cost_nano(self, price_as: str, model: str, usage: Usage, time_ms: int) -> int | None:
        """Return nano-dollars, or None where no price is known."""
        ...


class LedgerState(Struct, frozen=True):
    """How the accounts stand."""

    problem: str | None
    """What keeps entries from the disk, for a person; None where all is well."""
    waiting: int
    """Entries in memory that the disk refuses."""
    unmoved_bytes: int
    """Bytes of the journal that are not in the database yet."""


class Ledger:
    """The journal, the database and the thread between them."""

    salt: bytes

    @classmethod
    def open(cls, paths: Paths, make_prices: Callable[[], Prices]) -> Ledger:
        """Open the accounts; raises `LedgerUnavailable`."""
        raise NotImplementedError

    def opened(self, entry: Opened) -> None:
        """Keep that a request is about to be sent; raises `Overloaded` where that cannot be kept."""
        raise NotImplementedError

    def closed(self, entry: Closed) -> None:
        """Keep how a request ended; never raises."""
        raise NotImplementedError

    def state(self) -> LedgerState:
        """Tell how the accounts stand."""
        raise NotImplementedError

    async def settled(self) -> None:
        """Return when everything taken in so far is in the database."""
        raise NotImplementedError

    def close(self) -> None:
        """Move everything, and close the files."""
        raise NotImplementedError
