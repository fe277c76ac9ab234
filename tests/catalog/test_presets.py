"""The providers that are known by name."""

from __future__ import annotations

import pytest
from genai_prices.data import providers as priced

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.config import Preset
from shareai_cli.config.address import check_base_url
from shareai_cli.config.provider import name_problem
from shareai_cli.secrets import parse_reference


def test_the_promised_providers_are_there() -> None:
    """By the names that the README gives."""
    assert list(PRESETS) == ["openai", "anthropic", "gemini", "openrouter", "groq"]


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_every_preset_is_fit_for_use(preset: Preset) -> None:
    """Encrypted, with a free call, a key's variable, and a name for its prices that genai-prices has."""
    base_url, _ = check_base_url(preset.base_url)
    assert base_url == preset.base_url
    assert base_url.startswith("https://")
    assert preset.check.startswith("/")
    assert name_problem(preset.name) is None
    assert [parse_reference(f"env:{name}").location for name in preset.key_variables]
    assert preset.price_as in {provider.id for provider in priced}


def test_no_variable_belongs_to_two_providers() -> None:
    """A key is never sent to another provider than its own."""
    names = [name for preset in PRESETS.values() for name in preset.key_variables]
    assert len(names) == len(set(names))
