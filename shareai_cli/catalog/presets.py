"""Providers that are known before anything is declared.

Where each has its address, how it takes a key, which GET is free and refuses a wrong key, and what it takes,
as its owner documents it:
platform.openai.com/docs/api-reference/models, platform.claude.com/docs/en/api/openai-sdk and
platform.claude.com/docs/en/api/models/list, ai.google.dev/gemini-api/docs/openai,
learn.microsoft.com/en-us/azure/foundry/openai/api-version-lifecycle and
learn.microsoft.com/en-us/rest/api/microsoft-foundry/azureopenai/models,
docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle and .../models-get-info,
docs.mistral.ai/api, console.groq.com/docs/openai, api-docs.deepseek.com/api/list-models,
docs.x.ai/developers/rest-api-reference/inference, docs.together.ai/docs/openai-api-compatibility,
docs.fireworks.ai/tools-sdks/openai-compatibility, openrouter.ai/docs/api-reference/get-current-api-key,
inference-docs.cerebras.ai/api-reference/models, docs.perplexity.ai/docs/router/quickstart,
docs.cohere.com/docs/compatibility-api; and for engines on this machine
docs.ollama.com/api/openai-compatibility, lmstudio.ai/docs/developer/openai-compat,
docs.vllm.ai/en/latest/serving/openai_compatible_server, docs.sglang.ai/basic_usage/openai_api,
github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shareai_cli.config import Blank, Preset
from shareai_cli.types import NODE

_CLOUD: Final = (
    Preset(
        name="openai",
        title="OpenAI",
        base_url="https://api.openai.com/v1",
        key_variables=("OPENAI_API_KEY",),
        key_page="https://platform.openai.com/api-keys",
        check="/models",
        price_as="openai",
        responses=True,
        embeddings=True,
    ),
    Preset(
        name="anthropic",
        title="Anthropic",
        base_url="https://api.anthropic.com/v1",
        key_variables=("ANTHROPIC_API_KEY",),
        key_page="https://platform.claude.com/settings/keys",
        check="/models",
        # The list of models belongs to Anthropic's own interface, which takes no bearer token.
        check_style="anthropic",
        price_as="anthropic",
    ),
    Preset(
        name="gemini",
        title="Google Gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        key_page="https://aistudio.google.com/apikey",
        check="/models",
        price_as="google",
        embeddings=True,
    ),
    Preset(
        name="azure",
        title="Azure OpenAI",
        base_url="https://{resource}.openai.azure.com/openai/v1",
        blank=Blank("resource", "my-company", ("AZURE_RESOURCE_NAME",)),
        key_variables=("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
        key_page="https://portal.azure.com",
        key_style="api-key",
        # What a resource could deploy, not what it has deployed: requests name deployments.
        check="/models",
        price_as="azure",
        responses=True,
        embeddings=True,
    ),
    Preset(
        name="bedrock",
        title="Amazon Bedrock",
        # Of its two endpoints the one that lists models to whoever has a key.
        base_url="https://bedrock-mantle.{region}.api.aws/v1",
        blank=Blank("region", "us-east-1", ("AWS_REGION", "AWS_DEFAULT_REGION")),
        key_variables=("AWS_BEARER_TOKEN_BEDROCK",),
        key_page="https://console.aws.amazon.com/bedrock/home#/api-keys",
        check="/models",
        price_as="aws",
        responses=True,
    ),
    Preset(
        name="mistral",
        title="Mistral",
        base_url="https://api.mistral.ai/v1",
        key_variables=("MISTRAL_API_KEY",),
        key_page="https://console.mistral.ai/api-keys",
        check="/models",
        # Its streams end with usage unasked, and asking for it is refused with 422.
        stream_usage=False,
        price_as="mistral",
        embeddings=True,
    ),
    Preset(
        name="groq",
        title="Groq",
        base_url="https://api.groq.com/openai/v1",
        key_variables=("GROQ_API_KEY",),
        key_page="https://console.groq.com/keys",
        check="/models",
        price_as="groq",
        responses=True,
    ),
    Preset(
        name="deepseek",
        title="DeepSeek",
        base_url="https://api.deepseek.com/v1",
        key_variables=("DEEPSEEK_API_KEY",),
        key_page="https://platform.deepseek.com/api_keys",
        check="/models",
        price_as="deepseek",
    ),
    Preset(
        name="xai",
        title="xAI",
        base_url="https://api.x.ai/v1",
        key_variables=("XAI_API_KEY",),
        key_page="https://console.x.ai",
        check="/models",
        price_as="x-ai",
        responses=True,
    ),
    Preset(
        name="together",
        title="Together AI",
        base_url="https://api.together.xyz/v1",
        key_variables=("TOGETHER_API_KEY",),
        key_page="https://api.together.ai/settings/api-keys",
        check="/models",
        price_as="together",
        embeddings=True,
    ),
    Preset(
        name="fireworks",
        title="Fireworks AI",
        base_url="https://api.fireworks.ai/inference/v1",
        key_variables=("FIREWORKS_API_KEY",),
        key_page="https://fireworks.ai/account/api-keys",
        check="/models",
        price_as="fireworks",
        responses=True,
        embeddings=True,
    ),
    Preset(
        name="openrouter",
        title="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        key_variables=("OPENROUTER_API_KEY",),
        key_page="https://openrouter.ai/settings/keys",
        # Its list of models is public and would accept any key.
        check="/key",
        price_as="openrouter",
        responses=True,
        embeddings=True,
    ),
    Preset(
        name="cerebras",
        title="Cerebras",
        base_url="https://api.cerebras.ai/v1",
        key_variables=("CEREBRAS_API_KEY",),
        key_page="https://cloud.cerebras.ai",
        check="/models",
        price_as="cerebras",
    ),
    Preset(
        name="perplexity",
        title="Perplexity",
        # Chat completions live under /router since those of Sonar ended in September 2026.
        base_url="https://api.perplexity.ai/router/v1",
        key_variables=("PERPLEXITY_API_KEY",),
        key_page="https://www.perplexity.ai/settings/api",
        check="/models",
        price_as="perplexity",
        responses=True,
    ),
    Preset(
        name="cohere",
        title="Cohere",
        base_url="https://api.cohere.ai/compatibility/v1",
        key_variables=("COHERE_API_KEY", "CO_API_KEY"),
        key_page="https://dashboard.cohere.com/api-keys",
        check="/models",
        # `stream_options` is not among the parameters that it says it takes.
        stream_usage=False,
        price_as="cohere",
        embeddings=True,
    ),
    Preset(
        name="shareai",
        title="ShareAI",
        base_url="https://api.shareai.now/api/v1",
        key_variables=("SHAREAI_API_KEY",),
        key_page="https://shareai.now",
        check="/iam/key/info",
        price_as="",
    ),
)


def _engine(name: str, title: str, port: int) -> Preset:
    """Return an engine on this machine, at the port where it listens unless told otherwise."""
    return Preset(
        name=name,
        title=title,
        base_url=f"http://127.0.0.1:{port}/v1",
        key_variables=(),
        check="/models",
        price_as=NODE,
        responses=True,
        embeddings=True,
    )


_LOCAL: Final = (
    _engine("ollama", "Ollama", 11434),
    _engine("lmstudio", "LM Studio", 1234),
    _engine("vllm", "vLLM", 8000),
    _engine("sglang", "SGLang", 30000),
    _engine("llama-server", "llama-server", 8080),
)

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType({preset.name: preset for preset in _CLOUD + _LOCAL})
"""Every preset, by the name under which `[providers.NAME]` means it."""
