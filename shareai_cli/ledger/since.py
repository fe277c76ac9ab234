"""Reading the times that a person gives."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from shareai_cli.config.amounts import parse_duration
from shareai_cli.errors import UsageError

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE: Final = re.compile(r"([0-9]{1,6})([mhdw])")


def parse_since(text: str, now: datetime) -> int:
    """Return the Unix milliseconds of an age (`30m`, `24h`, `7d`, `2w`), a day or an ISO 8601 time.

    A day begins, and a time without a zone is meant, in the zone of `now`, or in the local one where it
    has none. Raises `UsageError`.
    """
    try:
        return int(_moment(text.strip(), now).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"'{text[:40]}' is no time.", hint="Write an age such as 24h or 7d, or a day such as 2026-11-01."
        ) from None


def parse_until(text: str, now: datetime) -> int:
    """Return the Unix milliseconds of a time to come.

    It is given as how long from `now` (`12h`, `30d`), a day or an ISO 8601 time; a day is meant
    as in `parse_since`. Raises `UsageError`.
    """
    seconds = parse_duration(text)
    try:
        end = now.timestamp() + seconds if seconds is not None else _time(text.strip(), now).timestamp()
        return int(end * 1000)
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"'{text[:40]}' is no time to come.",
            hint="Write how long from now, 12h or 30d, or a day: 2027-01-31.",
        ) from None


def _moment(text: str, now: datetime) -> datetime:
    age = _AGE.fullmatch(text)
    if age is not None:
        # Ages are counted on the clock that never jumps: 24h is 24 hours, whatever summer time does.
        return datetime.fromtimestamp(now.timestamp() - _seconds(age), now.tzinfo)
    return _time(text, now)


def _time(text: str, now: datetime) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=now.tzinfo)


def _seconds(age: re.Match[str]) -> float:
    return timedelta(**{_UNITS[age[2]]: int(age[1])}).total_seconds()
