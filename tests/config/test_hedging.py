"""`hedge` of a route: off by default, a wait alone or a table, and mistakes said in words."""

from __future__ import annotations

import pytest

from shareai_cli.config import HedgeSettings
from shareai_cli.config.describe import describe
from shareai_cli.errors import ConfigurationError
from tests.support.configuration import read

ROUTE = '[routes.chat]\ntargets = ["node/x", "node/y"]\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ('hedge = "2s"', HedgeSettings(2.0, 0.1)),
        ('hedge = "250ms"', HedgeSettings(0.25)),
        ('hedge = {after = "0.5s", extra = 0.25}', HedgeSettings(0.5, 0.25)),
        ('[routes.chat.hedge]\nafter = "1m"\nextra = 1', HedgeSettings(60.0, 1.0)),
    ],
)
def test_what_a_route_can_say(text: str, expected: HedgeSettings | None) -> None:
    """One target at a time is asked by default; one request in ten is asked twice unless it is said."""
    settings = read(ROUTE + text)
    assert settings.routes["chat"].hedge == expected
    shown = describe(settings)["routes"]["chat"]["hedge"]
    assert shown == (None if expected is None else {"after": expected.after, "extra": expected.extra})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hedge = true", "hedge: should be a text"),
        ("hedge = 2", "hedge: should be a text"),
        ('hedge = "2"', "hedge: should be a time from 0.01 to 600 s"),
        ('hedge = "0s"', "hedge: should be a time"),
        ('hedge = "5ms"', "hedge: should be a time"),
        ('hedge = "ms"', "hedge: should be a time"),
        ('hedge = "11m"', "hedge: should be a time"),
        ('hedge = "soon"', 'hedge = {after = "2s", extra = 0.1}'),
        ("hedge = {}", "needs the wait"),
        ("hedge = {extra = 0.1}", "needs the wait"),
        ('hedge = {after = "2s", extra = 0}', "extra: should be more than 0 to 1"),
        ('hedge = {after = "2s", extra = 10}', "extra: should be more than 0 to 1"),
        ('hedge = {after = "2s", extr = 0.1}', "Did you mean extra?"),
    ],
)
def test_mistakes(text: str, words: str) -> None:
    """The line, the key, and what it takes."""
    with pytest.raises(ConfigurationError) as caught:
        read(ROUTE + text)
    assert words in str(caught.value)
    assert "config.toml, line 3" in str(caught.value)
