"""What is known of models, and what is not."""

from __future__ import annotations

import pytest

from shareai_cli.catalog.facts import FactBook, KnownModel, family_abilities
from shareai_cli.catalog.listing import UNKNOWN, ModelFacts
from shareai_cli.catalog.prices import TokenPrice
from shareai_cli.types import NODE

NOW = 1_790_000_000.0


@pytest.fixture
def book() -> FactBook:
    return FactBook(lambda: NOW)


def test_what_a_provider_tells_counts_before_what_is_known_beside_it(book: FactBook) -> None:
    """Its context and abilities; the price is the accounts'."""
    price = TokenPrice(250_000_000, 2_000_000_000)
    assert book.look_up("openai", "gpt-5-mini", UNKNOWN) == KnownModel(
        400_000, ("tools", "vision", "reasoning"), price
    )
    assert book.look_up("openai", "gpt-5-mini", ModelFacts(9, ())) == KnownModel(9, (), price)


def test_what_nobody_knows_is_unknown(book: FactBook) -> None:
    """A provider of one's own has no prices, and a made-up model no context."""
    assert book.look_up("", "my-model", UNKNOWN) == KnownModel()
    assert book.look_up("openai", "my-model", UNKNOWN) == KnownModel()
    assert book.look_up("", "gpt-5-mini", UNKNOWN) == KnownModel(None, ("tools", "vision", "reasoning"))


def test_own_machines_cost_nothing(book: FactBook) -> None:
    """Also where somebody sells the same model."""
    found = book.look_up(NODE, "gpt-oss-20b", ModelFacts(4096))
    assert found == KnownModel(4096, ("tools", "reasoning"), TokenPrice(0, 0))


@pytest.mark.parametrize(
    ("model", "abilities"),
    [
        ("gpt-4o-mini", ("tools", "vision")),
        ("GPT-4o", ("tools", "vision")),
        ("openai/gpt-oss-120b", ("tools", "reasoning")),
        ("claude-sonnet-4-5-20250929", ("tools", "vision", "reasoning")),
        ("text-embedding-3-small", ("embeddings",)),
        ("gpt-4o-audio-preview", None),
        ("gpt-3.5-turbo-instruct", None),
        ("whisper-1", None),
        ("my-gpt-5", None),
        ("", None),
    ],
)
def test_a_family_tells_what_its_models_can_do(model: str, abilities: tuple[str, ...] | None) -> None:
    """By the beginning of their names; those that hear, speak or draw are no part of it."""
    assert family_abilities(model) == abilities
