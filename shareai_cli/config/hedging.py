"""Reads `hedge` of a route: `hedge = "2s"`, or `hedge = {after = "2s", extra = 0.1}`."""

from __future__ import annotations

from typing import Final

from shareai_cli.config.amounts import parse_duration
from shareai_cli.config.reading import Table
from shareai_cli.config.settings import HedgeSettings

SHORTEST: Final = 0.01
LONGEST: Final = 600.0
"""Seconds. What is shorter would ask everybody twice, what is longer is over every other limit."""

EXAMPLE: Final = 'hedge = "2s", or hedge = {after = "2s", extra = 0.1}'


def parse_wait(text: str) -> float | None:
    """Return the seconds of `2s`, `0.5s`, `500ms` or `1m`; None where the text is no such wait."""
    number, is_fine, _ = text.strip().rpartition("ms")
    seconds = parse_duration(f"{number.strip()}s" if is_fine else text)
    if seconds is None:
        return None
    seconds = seconds / 1000 if is_fine else seconds
    return seconds if SHORTEST <= seconds <= LONGEST else None


def read_hedge(route: Table) -> HedgeSettings | None:
    """Check a route's `hedge`; None where it has none. Raises `ConfigurationError`."""
    if not route.has("hedge"):
        return None
    if not isinstance(route.value("hedge"), dict):
        return HedgeSettings(_after(route, "hedge"))
    table = route.table("hedge", HedgeSettings.__struct_fields__)
    if not table.has("after"):
        raise route.error("hedge", "needs the wait after which a second target is asked.", hint=EXAMPLE)
    extra = table.number("extra", HedgeSettings(0.0).extra, least=0.0, most=1.0, positive=True)
    return HedgeSettings(_after(table, "after"), extra)


def _after(table: Table, key: str) -> float:
    after = parse_wait(table.text(key, "", limit=40))
    if after is None:
        raise table.error(key, f"should be a time from {SHORTEST:g} to {LONGEST:g} s.", hint=EXAMPLE)
    return after
