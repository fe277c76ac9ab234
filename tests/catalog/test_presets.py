"""The providers that are known by name."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from genai_prices.data import providers as priced

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.config import Preset, ServerSettings
from shareai_cli.config.address import check_base_url
from shareai_cli.config.provider import name_problem
from shareai_cli.errors import ConfigurationError
from shareai_cli.secrets import parse_reference
from shareai_cli.types import NODE


def test_the_promised_providers_are_there() -> None:
    """By the names that the README gives."""
    assert list(PRESETS) == [
        "openai", "anthropic", "gemini", "azure", "bedrock", "mistral", "groq", "deepseek", "xai", "together",
        "fireworks", "openrouter", "cerebras", "perplexity", "cohere", "shareai",
        "ollama", "lmstudio", "vllm", "sglang", "llama-server",
    ]  # fmt: skip


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_every_preset_is_fit_for_use(preset: Preset) -> None:
    """With a free call, a name for its prices that genai-prices has, and an address that can be used."""
    base_url, _ = check_base_url(preset.filled("example"))
    assert base_url == preset.filled("example")
    assert preset.owns(base_url)
    assert preset.check.startswith("/")
    assert name_problem(preset.name) is None
    assert preset.price_as in {provider.id for provider in priced} | {NODE, ""}


@pytest.mark.parametrize(
    "preset", [one for one in PRESETS.values() if not one.is_local], ids=lambda preset: preset.name
)
def test_a_cloud_provider_is_encrypted_and_has_a_keys_place(preset: Preset) -> None:
    """The variable can be referred to, and a person is told where to get a key."""
    assert preset.base_url.startswith("https://")
    assert preset.key_variables
    assert [parse_reference(f"env:{name}").location for name in preset.key_variables]
    assert preset.key_page is not None
    check_base_url(preset.key_page.partition("#")[0])


@pytest.mark.parametrize(
    "preset", [one for one in PRESETS.values() if one.is_local], ids=lambda preset: preset.name
)
def test_an_engine_on_this_machine_wants_no_key_and_nothing_for_it(preset: Preset) -> None:
    """And none is where the gateway itself is."""
    assert preset.key_variables == ()
    assert preset.price_as == NODE
    assert urlsplit(preset.base_url).port != ServerSettings().port


def test_no_variable_belongs_to_two_providers() -> None:
    """A key is never sent to another provider than its own."""
    names = [name for preset in PRESETS.values() for name in preset.key_variables]
    assert len(names) == len(set(names))


def test_a_blank_is_filled_by_its_option_or_its_variable() -> None:
    """One label of a host's name, in small letters; nothing else of the address can be changed by it."""
    bedrock = PRESETS["bedrock"]
    assert bedrock.filled("EU-West-1") == "https://bedrock-mantle.eu-west-1.api.aws/v1"
    assert bedrock.address({}) is None
    assert bedrock.address({"AWS_REGION": " ", "AWS_DEFAULT_REGION": "eu-west-1"}) == bedrock.filled(
        "eu-west-1"
    )
    assert bedrock.template == "https://bedrock-mantle.REGION.api.aws/v1"
    assert PRESETS["openai"].address({}) == PRESETS["openai"].template == "https://api.openai.com/v1"


@pytest.mark.parametrize(
    "value", ["", "a.b", "a/b", "evil.example/", "-a", "a-", "a b", "ü", "a" * 64, "{region}"]
)
def test_what_is_no_label_fills_no_blank(value: str) -> None:
    """It would lead somewhere else."""
    with pytest.raises(ConfigurationError, match=r"Amazon Bedrock's region has letters.*Such as us-east-1"):
        PRESETS["bedrock"].filled(value)
    if value:
        with pytest.raises(ConfigurationError, match=r"^AWS_REGION: Amazon Bedrock's region"):
            PRESETS["bedrock"].address({"AWS_REGION": value})


@pytest.mark.parametrize(
    "address",
    ["https://bedrock-mantle.evil.example/.api.aws/v1", "https://bedrock-mantle.api.aws/v1",
     "https://bedrock-mantle..api.aws/v1", "https://x.example/v1", "http://bedrock-mantle.us-east-1.api.aws/v1"],
)  # fmt: skip
def test_an_address_that_is_not_its_own_is_told(address: str) -> None:
    """Its customary key does not go there."""
    assert not PRESETS["bedrock"].owns(address)
