"""Which models are wanted."""

from __future__ import annotations

from typing import Any

import pytest

from shareai_cli.cli.models.filters import Filter, parse_abilities, parse_tokens
from shareai_cli.errors import UsageError
from shareai_cli.types import ModelInfo
from tests.support.configuration import read

ROUTE = ModelInfo("chat", "route", ("openai/gpt-5", "node/tiny"), "serving", context=8192, prompt_nano=10**9)
TINY = ModelInfo("node/tiny", "local", ("node/tiny",), "loaded", 0, "", 8192, ("tools",), 0, 0)
GPT = ModelInfo("openai/gpt-5", "provider", ("openai/gpt-5",), "serving", 0, "", 400_000,
                ("tools", "vision"), 1_250_000_000, 10_000_000_000)  # fmt: skip
EMBED = ModelInfo("openai/embed", "provider", ("openai/embed",), "serving", 0, "", 8192, ("embeddings",),
                  20_000_000, None)  # fmt: skip
ODD = ModelInfo("alpha/GPT-odd", "provider", ("alpha/GPT-odd",), "serving")
ALL = (ROUTE, TINY, GPT, EMBED, ODD)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, ["chat", "node/tiny", "openai/gpt-5", "openai/embed", "alpha/GPT-odd"]),
        ({"words": ("gpt",)}, ["chat", "openai/gpt-5", "alpha/GPT-odd"]),
        ({"words": ("GPT", "open")}, ["chat", "openai/gpt-5"]),
        ({"words": ("nothing",)}, []),
        ({"providers": ("openai", "node")}, ["node/tiny", "openai/gpt-5", "openai/embed"]),
        ({"route": "chat"}, ["chat", "node/tiny", "openai/gpt-5"]),
        ({"local": True}, ["node/tiny"]),
        ({"abilities": ("tools", "vision")}, ["openai/gpt-5"]),
        ({"context": 8192}, ["chat", "node/tiny", "openai/gpt-5", "openai/embed"]),
        ({"context": 8193}, ["openai/gpt-5"]),
        ({"max_price": 0.0}, ["node/tiny"]),
        ({"max_price": 1.25}, ["chat", "node/tiny", "openai/embed"]),
        ({"max_price": 10.0}, ["chat", "node/tiny", "openai/gpt-5", "openai/embed"]),
        ({"words": ("gpt",), "context": 10_000}, ["openai/gpt-5"]),
    ],
)
def test_a_model_is_wanted_for_what_is_known_of_it(wanted: dict[str, Any], names: list[str]) -> None:
    """What is not known of it, it is not: no price is not a low one, no context not a large one."""
    assert [one.id for one in Filter(**wanted).apply(ALL)] == names


@pytest.mark.parametrize(
    ("text", "count"),
    [("32000", 32_000), ("128k", 128_000), ("1M", 1_000_000), (" 8K ", 8000)],
)
def test_numbers_of_tokens_are_written_as_people_do(text: str, count: int) -> None:
    """With k and M."""
    assert parse_tokens(text) == count


@pytest.mark.parametrize("text", ["", "k", "-1", "1.5k", "12kk", "much", "9" * 30])
def test_what_is_no_number_of_tokens_is_refused(text: str) -> None:
    """With how it is written."""
    with pytest.raises(UsageError, match="128k"):
        parse_tokens(text)


def test_abilities_are_checked() -> None:
    """The nearest is named; the order is always the same."""
    assert parse_abilities(["vision", "tools", "vision"]) == ("tools", "vision")
    with pytest.raises(UsageError, match="Did you mean vision"):
        parse_abilities(["visoin"])


SETTINGS = read(
    '[providers.openai]\n[providers.alpha]\nbase_url = "https://a.example"\n'
    '[routes.chat]\ntargets = ["openai/m", "node/tiny"]\n[routes.both]\ntargets = ["openai/m", "alpha/m"]'
)


@pytest.mark.parametrize(
    ("wanted", "asked", "routes"),
    [
        ({}, ["openai", "alpha"], ["chat", "both"]),
        ({"local": True}, [], []),
        ({"providers": ("alpha",)}, ["alpha"], []),
        ({"route": "chat"}, ["openai"], ["chat"]),
    ],
)
def test_nobody_is_asked_in_vain(wanted: dict[str, Any], asked: list[str], routes: list[str]) -> None:
    """Only providers that could have what is wanted are."""
    settings = Filter(**wanted).narrow(SETTINGS)
    assert (list(settings.providers), list(settings.routes)) == (asked, routes)
