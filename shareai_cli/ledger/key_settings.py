"""What may be set of a client's key, and how the database has it."""

from __future__ import annotations

from typing import Final

import msgspec

from shareai_cli.errors import UsageError
from shareai_cli.types import AUTO, LATEST_MS, LONGEST_MODEL, KeyInfo, KeySettings

MOST_NAMES: Final = 100
KEY_COLUMNS: Final = (
    "id, name, team, shown, created_ms, revoked_ms, allowed, preferences, expires_ms, rotated_ms, "
    "(SELECT MAX(until_ms) FROM former_digests WHERE key = keys.id)"
)

KeyRow = tuple[int, str, str, str, int, int | None, str, str, int | None, int | None, int | None]
"""The columns of `KEY_COLUMNS`."""

_Names = tuple[str, ...]


def encode_names(names: _Names) -> str:
    """Return names as a column has them."""
    return msgspec.json.encode(names).decode()


def decode_names(column: str) -> _Names:
    """Return the names that a column has."""
    return msgspec.json.decode(column, type=_Names)


def key_info(row: KeyRow) -> KeyInfo:
    """Return what a row of `KEY_COLUMNS` tells."""
    return KeyInfo(*row[:6], decode_names(row[6]), decode_names(row[7]), *row[8:])


def check_settings(settings: KeySettings, now_ms: int) -> None:
    """Raise `UsageError` where a key cannot have these settings; the team's name is not looked at."""
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
