"""What a request may take at worst: never less than what anybody bills for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from shareai_cli.catalog.prices import PriceBook
from shareai_cli.gateway.body import decode_fields
from shareai_cli.gateway.limits.estimates import (
    MARGIN,
    MOST_PER_MEDIUM,
    STEP,
    WorstCosts,
    WorstRates,
    ask_of,
    count_media,
)
from shareai_cli.ledger import Costs
from shareai_cli.types import Usage
from tests.support.gateway import NOW

NOW_MS = int(NOW * 1000)
TEXT = {"type": "text", "text": 'say "type": "image_url"'}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
FILE = {"type": "file", "file": {"file_id": "f"}}


def raw(*parts: Any) -> Raw:
    return Raw(json.dumps([{"role": "user", "content": list(parts) or "hi"}]).encode())


@pytest.mark.parametrize(
    ("messages", "media"),
    [
        (raw(), 0),
        (raw(TEXT, TEXT), 0),
        (raw(TEXT, PICTURE), 1),
        (raw(PICTURE, FILE, PICTURE), 3),
        (raw({"type": "video_url"}), 1),
        (raw({"type": "text", "text": "ä"}, PICTURE), 1),
        (Raw(rb'[{"content": [{"ty\u0070e": "image_url"}, {"\u0074ype": "\u0069mage_url"}]}]'), 2),
        (Raw(rb'[{"content": "\u00e4 \"type\": \"image_url\""}, {"content": null}]'), 0),
    ],
)
def test_pictures_and_files_are_counted_however_they_are_written(messages: Raw, media: int) -> None:
    """What is unknown counts as one; what only looks so within a text does not."""
    assert count_media(messages) == media


@pytest.mark.parametrize(
    ("said", "longest", "choices"),
    [
        ({}, None, 1),
        ({"max_tokens": 5}, 5, 1),
        ({"max_completion_tokens": 7}, 7, 1),
        ({"max_completion_tokens": 7, "max_tokens": 9, "n": 3}, 9, 3),
        ({"max_completion_tokens": 9, "max_tokens": 7}, 9, 1),
        ({"max_tokens": None, "n": None}, None, 1),
        ({"max_tokens": -1, "n": 0}, None, 1),
        ({"max_tokens": "many", "n": "two"}, None, 1),
    ],
)
def test_what_a_request_says_of_its_answer(said: dict[str, Any], longest: int | None, choices: int) -> None:
    """The higher of both names; what is no number is not said."""
    body = json.dumps({"messages": [], **said}).encode()
    ask = ask_of(decode_fields(body), body)
    assert (ask.longest, ask.choices) == (longest, choices)


def test_a_prompt_has_at_most_a_token_for_each_byte() -> None:
    """And what a provider adds, and pictures, whose bytes tell nothing of them."""
    body = json.dumps({"messages": [{"content": [TEXT, PICTURE]}]}).encode()
    ask = ask_of(decode_fields(body), body)
    most = len(body) + MARGIN + MOST_PER_MEDIUM
    assert most <= ask.most_prompt < most + STEP


@given(st.integers(0, 10**9), st.integers(0, 10**12), st.integers(0, 10**15))
def test_what_is_affordable_is_afforded(prompt: int, million: int, nano: int) -> None:
    """So many tokens cost no more than there is."""
    rates = WorstRates(prompt, million)
    tokens = rates.affordable(nano)
    if million and tokens:
        assert rates.cost(tokens) <= nano


@given(
    model=st.sampled_from(
        [
            ("openai", "gpt-5-mini"),
            ("anthropic", "claude-sonnet-4-5"),
            ("google", "gemini-2.5-pro"),
            ("x-ai", "grok-4"),
        ]
    ),
    shares=st.tuples(st.integers(0, 100), st.integers(0, 100), st.integers(1, 100)),
    prompt=st.integers(1, 400_000),
    answer=st.integers(0, 16_384),
    reasoned=st.integers(0, 16_384),
)
def test_no_usage_within_the_bounds_costs_more_than_the_worst(
    model: tuple[str, str], shares: tuple[int, int, int], prompt: int, answer: int, reasoned: int
) -> None:
    """However its tokens are shared out among kinds with prices of their own."""
    read, written, plain = (prompt * share // sum(shares) for share in shares)
    worst = WORST.rates(*model, prompt, NOW_MS)
    assert worst is not None
    usage = Usage(plain, read, written, answer, reasoned)
    cost = PRICES.cost_nano(*model, usage, NOW_MS)
    assert cost is not None
    assert cost <= worst.cost(answer + reasoned)


PRICES = PriceBook()
WORST = WorstCosts(Costs(lambda: PRICES))


class DearThinking:
    """Prices by which reasoning, and writing a prompt to a cache, cost ten times as much."""

    def cost_nano(self, price_as: str, model: str, usage: Usage, time_ms: int) -> int:
        return usage.prompt + usage.cached + 10 * usage.cache_write + usage.completion + 10 * usage.reasoning


def test_the_dearest_kind_of_token_counts() -> None:
    """A prompt may be written to a cache, an answer be reasoning."""
    rates = WorstCosts(Costs(DearThinking)).rates("a", "m", 100, NOW_MS)
    assert rates is not None
    assert rates.cost(0) == 1_000
    assert rates.cost(7) == 1_070
