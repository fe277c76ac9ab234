"""Providers that are known before anything is declared.

Sources: platform.openai.com/docs/api-reference/models, docs.claude.com/en/api/openai-sdk,
docs.claude.com/en/api/models-list, ai.google.dev/gemini-api/docs/openai,
openrouter.ai/docs/api-reference/get-current-api-key, console.groq.com/docs/openai.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shareai_cli.config import Preset

_ALL: Final = (
    Preset(
        name="openai",
        title="OpenAI",
        base_url="https://api.openai.com/v1",
        key_variables=("OPENAI_API_KEY",),
        check="/models",
        price_as="openai",
    ),
    Preset(
        name="anthropic",
        title="Anthropic",
        base_url="https://api.anthropic.com/v1",
        key_variables=("ANTHROPIC_API_KEY",),
        check="/models",
        # The list of models belongs to Anthropic's own interface, which takes no bearer token.
        check_style="anthropic",
        price_as="anthropic",
    ),
    Preset(
        name="gemini",
        title="Gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        check="/models",
        price_as="google",
    ),
    Preset(
        name="openrouter",
        title="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        key_variables=("OPENROUTER_API_KEY",),
        # Its list of models is public and would accept any key.
        check="/key",
        price_as="openrouter",
    ),
    Preset(
        name="groq",
        title="Groq",
        base_url="https://api.groq.com/openai/v1",
        key_variables=("GROQ_API_KEY",),
        check="/models",
        price_as="groq",
    ),
)

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType({preset.name: preset for preset in _ALL})
"""Every preset, by the name under which `[providers.NAME]` means it."""
