"""Keys that keys make; every function works within a transaction of the caller's."""

from __future__ import annotations

import sqlite3
from typing import Final

from msgspec.structs import replace

from shareai_cli.errors import (
    AuthenticationFailed,
    PermissionRefused,
    RateLimited,
    UnknownKey,
    UsageError,
)
from shareai_cli.ledger.key_bounds import wider
from shareai_cli.ledger.key_settings import LONGEST_NAME, changed_settings, settings_of
from shareai_cli.ledger.keys import (
    count_descendants,
    create_key,
    descendants,
    find_key,
    key_by_id,
    minted_since,
    revoke_key,
)
from shareai_cli.nearest import nearest
from shareai_cli.types import Actor, Caller, KeyChanges, KeyInfo

DEEPEST: Final = 5
"""Generations below a key that was made by a person."""

MOST_MINTED: Final = 1000
"""Keys below such a key that are not revoked."""

MOST_AN_HOUR: Final = 1000
"""Keys that are made below it within an hour: each stays in the accounts, and in the audit, for good."""

HOUR_MS: Final = 3_600_000


def mint_key(
    connection: sqlite3.Connection,
    now_ms: int,
    caller: Caller,
    name: str,
    digest: bytes,
    wanted: KeyChanges,
    *,
    shown: str,
) -> KeyInfo:
    """Make a key below the caller's, without limits of its own; what is not wanted it has from there.

    Raises `PermissionRefused` where the caller may not, or not so; `RateLimited` where it has made many of
    late; `UsageError` where no key can be so.
    """
    chain = [key_by_id(connection, number) for number in (caller.key_id, *caller.ancestors)]
    _check_chain(connection, chain, now_ms)
    parent = chain[0]
    # A former secret of a rotated key makes none that outlasts it.
    bound = replace(settings_of(parent), expires_ms=caller.expires_ms)
    settings = changed_settings(replace(bound, may_mint=False, limits={}), wanted)
    problem = wider(settings, bound)
    if problem is not None:
        raise PermissionRefused(problem, hint="Leave it out: a minted key has what is not said from there.")
    if find_key(connection, name) is not None:
        raise UsageError(
            f"There is a key named '{name[:LONGEST_NAME]}' already.", hint="Choose another name."
        )
    by = actor_of(caller)
    return create_key(connection, now_ms, by, name, digest, settings, shown=shown, parent=parent.id)


def minted_keys(connection: sqlite3.Connection, caller: Caller) -> list[KeyInfo]:
    """Return the keys below the caller's that are not revoked, in the order in which they were made."""
    return [key for key in descendants(connection, caller.key_id) if key.revoked_ms is None]


def revoke_minted(connection: sqlite3.Connection, now_ms: int, caller: Caller, name: str) -> KeyInfo:
    """End a key below the caller's, and those below that; raises `UnknownKey`."""
    names = [key.name for key in minted_keys(connection, caller)]
    if name not in names:
        near = nearest(name, names)
        hint = f"Did you mean '{near}'?" if near else "GET /v1/keys lists those that there are."
        raise UnknownKey("This key has minted no valid key of that name.", hint=hint)
    return revoke_key(connection, now_ms, actor_of(caller), name)


def actor_of(caller: Caller) -> Actor:
    """Return who mints, for the audit."""
    return Actor(f"key/{caller.key_name}", "public API")


def _check_chain(connection: sqlite3.Connection, chain: list[KeyInfo], now_ms: int) -> None:
    if any(key.revoked_ms is not None for key in chain):
        raise AuthenticationFailed("The API key is missing or not valid.", hint="It was revoked just now.")
    if not all(key.may_mint for key in chain):
        raise PermissionRefused(
            "This key may not mint keys.",
            hint=f"Who runs the gateway can let it: shareai key set {chain[0].name} --may-mint",
        )
    if len(chain) > DEEPEST:
        raise PermissionRefused(
            f"Minted keys are at most {DEEPEST} generations deep.", hint="Mint with a key further up."
        )
    if count_descendants(connection, chain[-1].id) >= MOST_MINTED:
        raise PermissionRefused(
            f"There are {MOST_MINTED} minted keys below the key '{chain[-1].name}' already.",
            hint="DELETE /v1/keys/NAME ends those that are no longer needed; expired ones count, too.",
        )
    lately, first_ms = minted_since(connection, chain[-1].id, now_ms - HOUR_MS)
    if lately >= MOST_AN_HOUR:
        raise RateLimited(
            f"{MOST_AN_HOUR} keys were minted below the key '{chain[-1].name}' within an hour.",
            hint="Keep a key for more than one job.",
            retry_after=(first_ms + HOUR_MS - now_ms) / 1000,
        )
