"""Reads `cache` of a route: `cache = "5m"`, or `[routes.NAME.cache]` with more."""

from __future__ import annotations

from typing import Final

from shareai_cli.config.amounts import parse_duration, parse_size
from shareai_cli.config.reading import Table
from shareai_cli.config.settings import CacheSettings

LONGEST_AGE: Final = 366 * 86400.0
LARGEST: Final = 1 << 40

AGE_EXAMPLE: Final = 'cache = "5m"; units are s, m, h and d'
SIZE_EXAMPLE: Final = '"64 MiB"; units are KiB, MiB and GiB'


def read_cache(route: Table) -> CacheSettings | None:
    """Check a route's `cache`; None where it has none. Raises `ConfigurationError`."""
    if not route.has("cache"):
        return None
    if not isinstance(route.value("cache"), dict):
        return CacheSettings(age=_age(route, "cache"))
    table = route.table("cache", CacheSettings.__struct_fields__)
    if not table.has("age"):
        raise route.error("cache", "needs the age up to which replies are given.", hint='age = "5m"')
    return CacheSettings(
        age=_age(table, "age"),
        size=_size(table, "size", CacheSettings(0.0).size),
        disk=_size(table, "disk", 0),
        shared=table.flag("shared", False),
    )


def _age(table: Table, key: str) -> float:
    age = parse_duration(table.text(key, "", limit=40))
    if age is None or not 0 < age <= LONGEST_AGE:
        raise table.error(key, "should be a time, at most a year.", hint=AGE_EXAMPLE)
    return age


def _size(table: Table, key: str, default: int) -> int:
    if not table.has(key):
        return default
    size = parse_size(table.text(key, "", limit=40))
    if size is None or not 0 < size <= LARGEST:
        raise table.error(key, "should be a size.", hint=f"{key} = {SIZE_EXAMPLE}")
    return size
