"""What a person types to make a key or a team, read; knows nothing of terminals."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from shareai_cli.errors import UsageError
from shareai_cli.types import DEFAULT_TEAM, KeySettings, WrittenLimits

_AGE: Final = re.compile(r"([0-9]{1,6}) ?([mhdw])")
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def read_key(
    team: str, allowed: str, expires: str, limits: str, now_ms: int, *, may_mint: bool
) -> KeySettings:
    """Return a key's settings; raises `UsageError`. Names and limits are checked where they are kept."""
    return KeySettings(
        team=team.strip() or DEFAULT_TEAM,
        allowed=tuple(allowed.replace(",", " ").split()),
        expires_ms=read_expiry(expires, now_ms),
        may_mint=may_mint,
        limits=read_limits(limits),
    )


def read_limits(text: str) -> WrittenLimits:
    """Return the limits of `requests_per_minute=60, budget_per_month=50 USD`; raises `UsageError`."""
    limits: dict[str, int | str] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, equals, value = (one.strip() for one in part.partition("="))
        if not equals or not value:
            raise UsageError(
                f"'{part[:60]}' is no limit.", hint="requests_per_minute=60, budget_per_month=50 USD"
            )
        limits[name] = int(value) if value.isascii() and value.isdigit() and len(value) < 19 else value
    return limits


def read_expiry(text: str, now_ms: int) -> int | None:
    """Return when a key ends, of `30d`, `12h` or a day (2027-01-31); None for never; raises `UsageError`."""
    text = text.strip()
    if text in ("", "never"):
        return None
    age = _AGE.fullmatch(text)
    if age is not None:
        return now_ms + int(age[1]) * _SECONDS[age[2]] * 1000
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"'{text[:40]}' is no time to come.", hint="12h, 30d, or a day: 2027-01-31; empty for never."
        ) from None
