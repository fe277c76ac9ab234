"""`cache` of a route: off by default, an age alone or a table, and mistakes said in words."""

from __future__ import annotations

import pytest

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.config import CacheSettings
from shareai_cli.config.amounts import parse_duration, parse_size
from shareai_cli.config.describe import describe
from shareai_cli.config.origins import trace
from shareai_cli.errors import ConfigurationError
from tests.support.configuration import read

ROUTE = '[routes.chat]\ntargets = ["node/x"]\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ('cache = "5m"', CacheSettings(300.0)),
        ('cache = {age = "1.5h"}', CacheSettings(5400.0)),
        (
            '[routes.chat.cache]\nage = "7d"\nsize = "1 MiB"\ndisk = "2 GiB"\nshared = true',
            CacheSettings(604800.0, 1 << 20, 2 << 30, True),
        ),
    ],
)
def test_what_a_route_can_say(text: str, expected: CacheSettings | None) -> None:
    """Nothing is kept by default; nothing is on the disk or shared among teams unless it is said."""
    settings = read(ROUTE + text)
    assert settings.routes["chat"].cache == expected
    assert CacheSettings(1.0).disk == 0
    assert not CacheSettings(1.0).shared
    shown = describe(settings)["routes"]["chat"]["cache"]
    assert (shown is None) == (expected is None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cache = true", "cache: should be a text"),
        ("cache = 300", "cache: should be a text"),
        ('cache = "5"', "cache: should be a time"),
        ('cache = "0s"', "cache: should be a time"),
        ('cache = "5 weeks"', "units are s, m, h and d"),
        ('cache = "400d"', "cache: should be a time"),
        ("cache = {}", "needs the age"),
        ('cache = {size = "1 MiB"}', "needs the age"),
        ('cache = {age = "5m", size = "1 meg"}', "size: should be a size"),
        ('cache = {age = "5m", size = 5}', "size: should be a text"),
        ('cache = {age = "5m", disk = true}', "disk: should be a text"),
        ('cache = {age = "5m", disk = "0 B"}', "disk: should be a size"),
        ('cache = {age = "5m", share = true}', "Did you mean shared?"),
        ('cache = {age = "5m", shared = "yes"}', "shared: should be true or false"),
    ],
)
def test_mistakes(text: str, words: str) -> None:
    """The line, the key, and what it takes."""
    with pytest.raises(ConfigurationError) as caught:
        read(ROUTE + text)
    assert "line 3" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ['cache = "5m"', 'cache = {age = "5m"}'])
def test_where_the_age_comes_from(text: str) -> None:
    """Its line is told in either form."""
    settings = {one.name: one for one in trace(read(ROUTE + text), ROUTE + text, {}, PRESETS)}
    age = settings["routes.chat.cache.age"]
    assert (age.origin, age.line, age.value) == ("file", 3, 300.0)
    assert settings["routes.chat.cache.disk"].origin == "default"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("24h", 86400), ("7 d", 604800), ("0.5h", 1800), ("5M", 300)],
)
def test_durations(text: str, seconds: float) -> None:
    """A number and a unit."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("1 B", 1), ("64MiB", 64 << 20), ("1 GiB", 1 << 30), ("1.5 kib", 1536), ("2 MB", 2_000_000)],
)
def test_sizes(text: str, size: int) -> None:
    """Powers of two, or of ten."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 mm", "1e3s", "\u0665m", "5m 5m", "∞s", "nanm"])
def test_what_is_no_amount(text: str) -> None:
    """Neither a duration nor a size."""
    assert parse_duration(text) is None
    assert parse_size(text) is None
