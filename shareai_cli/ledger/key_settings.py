"""What may be set of a client's key, and how the database has it."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from msgspec import UnsetType
from msgspec.structs import replace

from shareai_cli.config.limits import changed_limits, read_limits, write_limits
from shareai_cli.errors import UsageError
from shareai_cli.types import (
    AUTO,
    LATEST_MS,
    LONGEST_MODEL,
    KeyChanges,
    KeyInfo,
    KeySettings,
    Preference,
    WrittenLimits,
)

MOST_NAMES: Final = 100
LONGEST_NAME: Final = 100
"""Characters of a key's, team's or node's name."""

KEY_COLUMNS: Final = (
    "id, name, team, shown, created_ms, revoked_ms, allowed, preferences, expires_ms, rotated_ms, "
    "(SELECT MAX(until_ms) FROM former_digests WHERE key = keys.id), prefer, may_mint, limits, parent"
)

KeyRow = tuple[
    int, str, str, str, int, int | None, str, str, int | None, int | None, int | None,
    Preference | None, int, str, int | None,
]  # fmt: skip
"""The columns of `KEY_COLUMNS`."""

_Names = tuple[str, ...]
_Value = TypeVar("_Value")


def encode_names(names: _Names) -> str:
    """Return names as a column has them."""
    return msgspec.json.encode(names).decode()


def decode_names(column: str) -> _Names:
    """Return the names that a column has."""
    return msgspec.json.decode(column, type=_Names)


def encode_limits(limits: WrittenLimits) -> str:
    """Return limits as a column has them; raises `UsageError` for one that cannot be."""
    return msgspec.json.encode(write_limits(read_limits(limits))).decode()


def decode_limits(column: str) -> WrittenLimits:
    """Return the limits that a column has."""
    return msgspec.json.decode(column, type=dict[str, int | str])


def key_info(row: KeyRow) -> KeyInfo:
    """Return what a row of `KEY_COLUMNS` tells."""
    until_ms, prefer, may_mint, limits, parent = row[10:]
    return KeyInfo(
        *row[:6],
        decode_names(row[6]),
        decode_names(row[7]),
        *row[8:10],
        until_ms,
        prefer,
        bool(may_mint),
        decode_limits(limits),
        parent,
    )


def settings_of(key: KeyInfo) -> KeySettings:
    """Return what a key is for."""
    return KeySettings(
        key.team, key.allowed, key.preferences, key.expires_ms, key.prefer, key.may_mint, key.limits
    )


def changed_settings(settings: KeySettings, changes: KeyChanges) -> KeySettings:
    """Return settings with what is said made otherwise; raises `UsageError` for limits that cannot be."""
    limits = settings.limits
    if not isinstance(changes.limits, UnsetType):
        limits = changed_limits(limits, changes.limits)

    def either(change: _Value | UnsetType, former: _Value) -> _Value:
        return former if isinstance(change, UnsetType) else change

    return replace(
        settings,
        allowed=either(changes.allowed, settings.allowed),
        preferences=either(changes.preferences, settings.preferences),
        expires_ms=either(changes.expires_ms, settings.expires_ms),
        prefer=either(changes.prefer, settings.prefer),
        may_mint=either(changes.may_mint, settings.may_mint),
        limits=limits,
    )


def check_name(name: str, what: str) -> None:
    """Raise `UsageError` where a key, team or node cannot be named so."""
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise UsageError(
            f"That is no name for a {what}.",
            hint=f"A name is 1 to {LONGEST_NAME} printable characters, without spaces around them.",
        )


def check_settings(settings: KeySettings, now_ms: int) -> None:
    """Raise `UsageError` where a key cannot have these settings; team and limits are not looked at."""
    for names in (settings.allowed, settings.preferences):
        if len(names) > MOST_NAMES:
            raise UsageError(f"A key has at most {MOST_NAMES} models.", hint="Make a route of them.")
    for name in settings.allowed:
        _check_model(name.removesuffix("/*"), name)
    for name in settings.preferences:
        _check_model(name, name)
        if name == AUTO:
            raise UsageError("'auto' stands for the preferred models, and is none itself.")
    if settings.expires_ms is not None and not now_ms < settings.expires_ms <= LATEST_MS:
        raise UsageError(
            "A key expires at a time to come.", hint="Write how long from now, 30d or 12h, or a day to come."
        )


def _check_model(name: str, written: str) -> None:
    is_name = name.strip() == name and name.isprintable() and 0 < len(name) <= LONGEST_MODEL
    if not is_name or "*" in name:
        shown = f"'{written[:100]}'" if written.isprintable() else "That"
        raise UsageError(
            f"{shown} names no model.",
            hint="Write a route's name or provider/model; --allow takes provider/* too.",
        )
