"""Reads `[drills.NAME]`: smoke tests that the gateway runs by itself, and when."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final, cast

from shareai_cli.config.amounts import parse_duration
from shareai_cli.config.reading import Source, Table, shown
from shareai_cli.config.settings import DrillSettings
from shareai_cli.drill_types import BY_HAND, CHECKS, CheckName
from shareai_cli.nearest import suggestion

MOST: Final = 20
MOST_TIMES: Final = 96
MOST_ROUTES: Final = 200

SHORTEST: Final = 60.0
LONGEST: Final = 366 * 86400.0
"""Seconds between two runs."""

DEFAULT_COST: Final = 0.05
HIGHEST_COST: Final = 1000.0
"""US dollars that one run may spend."""

NANO: Final = 10**9

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_KEYS: Final = ("at", "every", "checks", "routes", "max_cost")


def read_drill(source: Source, name: str, value: object, routes: Collection[str]) -> DrillSettings:
    """Check one drill; raises `ConfigurationError`."""
    if not NAME.fullmatch(name):
        raise source.error(("drills", name), "a drill's name has letters, digits, '.', '_' and '-'.")
    if name == BY_HAND:
        raise source.error(("drills", name), "is what drills are called that are started by hand.")
    table = Table(source, ("drills", name), value, _KEYS)
    if table.has("at") == table.has("every"):
        raise source.error(
            ("drills", name), "needs either 'at' or 'every'.", hint='at = ["03:30"], or every = "6h"'
        )
    return DrillSettings(
        name=name,
        at=tuple(_minute(table, text) for text in table.texts("at", most=MOST_TIMES)),
        every=_every(table),
        checks=tuple(cast(CheckName, name) for name in _known(table, "checks", CHECKS)),
        routes=tuple(_known(table, "routes", routes)),
        most_nano=round(table.number("max_cost", DEFAULT_COST, least=0.0, most=HIGHEST_COST) * NANO),
    )


def write_time(minute: int) -> str:
    """Write a time of day, in minutes after midnight, as the configuration has it."""
    return f"{minute // 60:02}:{minute % 60:02}"


def _minute(table: Table, text: str) -> int:
    found = _TIME.fullmatch(text)
    if found is None:
        raise table.error("at", f"{shown(text)} is no time of day.", hint='at = ["03:30", "15:30"]')
    return int(found[1]) * 60 + int(found[2])


def _every(table: Table) -> float | None:
    if not table.has("every"):
        if not table.items("at", most=MOST_TIMES):
            raise table.error("at", "names no time of day.", hint='at = ["03:30"]')
        return None
    seconds = parse_duration(table.text("every", "", limit=40))
    if seconds is None or not SHORTEST <= seconds <= LONGEST:
        raise table.error("every", "should be a time from a minute to a year.", hint='every = "6h"')
    return seconds


def _known(table: Table, key: str, names: Collection[str]) -> list[str]:
    found = table.texts(key, most=MOST_ROUTES)
    for name in found:
        if name not in names:
            raise table.error(key, f"{shown(name)} is not known.", hint=suggestion(name, tuple(names)))
    return list(found)
