"""Keys that were valid once: whose they were, for who runs the gateway, never for who presents them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from shareai_cli.ledger.database import connect_reader, understood

_QUERY: Final = (
    "SELECT name, CASE WHEN revoked_ms IS NULL THEN 'expired' ELSE 'revoked' END FROM keys WHERE digest = ?1 "
    "UNION ALL SELECT name, CASE WHEN revoked_ms IS NULL THEN 'replaced' ELSE 'revoked' END "
    "FROM former_digests JOIN keys ON keys.id = former_digests.key WHERE former_digests.digest = ?1"
)


class EndedKey(Struct, frozen=True):
    """A key that is no longer valid."""

    name: str
    reason: Literal["expired", "revoked", "replaced"]
    """Replaced by another secret of the same key."""


def ended_keys(path: Path, digests: Iterable[bytes]) -> dict[bytes, EndedKey]:
    """Return whose keys these are, all of which are not valid, by their digests; nobody's are left out.

    Raises `LedgerUnavailable`.
    """
    found: dict[bytes, EndedKey] = {}
    with understood(path), closing(connect_reader(path)) as connection:
        for digest in digests:
            row = connection.execute(_QUERY, (digest,)).fetchone()
            if row is not None:
                found[digest] = EndedKey(*row)
    return found
