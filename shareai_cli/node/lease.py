"""How a request reaches a loaded model, and keeps it loaded for as long as it takes."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from shareai_cli.wire.client import Pool
from shareai_cli.wire.origin import Origin


class Reach(Struct, frozen=True):
    """What is needed to reach a running child."""

    origin: Origin
    authorization: bytes
    """The value of the `Authorization` field."""
    pool: Pool


class Lease:
    """A running child for one request, which keeps it loaded until it is given back."""

    def __init__(self, reach: Reach, returned: Callable[[], None]) -> None:
        self.reach = reach
        self._returned: Callable[[], None] | None = returned

    def __repr__(self) -> str:
        return f"<Lease of {self.reach.origin}{'' if self._returned else ', given back'}>"

    def give_back(self) -> None:
        """Let the child be unloaded, as far as this request is concerned; again does nothing."""
        returned, self._returned = self._returned, None
        if returned is not None:
            returned()
