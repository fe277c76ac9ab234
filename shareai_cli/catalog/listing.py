"""What a provider's own list of models tells of each, out of the answer of its `/models`.

Only `id` is common to all. What else is looked for, and who sends it: `context_length` and
`supported_parameters` (openrouter.ai/docs/api-reference/list-available-models), `max_context_length` and
`capabilities` (docs.mistral.ai/api/endpoint/models), `max_input_tokens` and `capabilities`
(docs.claude.com/en/api/models-list), `context_window` (console.groq.com/docs/models), `context_length` and
`type` (docs.together.ai/reference/models), `supports_tools` (Fireworks), `max_model_len` (vLLM, SGLang),
`meta.n_ctx_train` (llama-server), `type` and `capabilities` (LM Studio).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from shareai_cli.types import Ability

MOST_MODELS: Final = 20_000
MOST_TOKENS: Final = 1 << 40

_ABILITIES: Final[Mapping[str, Ability]] = {
    "tools": "tools",
    "tool_use": "tools",
    "tool_calling": "tools",
    "function_calling": "tools",
    "supports_tools": "tools",
    "vision": "vision",
    "image": "vision",
    "image_input": "vision",
    "supports_image_input": "vision",
    "vlm": "vision",
    "reasoning": "reasoning",
    "thinking": "reasoning",
    "embedding": "embeddings",
    "embeddings": "embeddings",
}
"""What providers call the same thing."""

_ORDER: Final[tuple[Ability, ...]] = ("tools", "vision", "reasoning", "embeddings")


class ModelFacts(Struct, frozen=True):
    """What somebody says of a model; None is what they leave unsaid."""

    context: int | None = None
    """Tokens."""
    abilities: tuple[Ability, ...] | None = None


UNKNOWN: Final = ModelFacts()


class _Model(Struct):
    id: Annotated[str, Meta(min_length=1, max_length=256)]
    type: Any = None
    context_length: Any = None
    context_window: Any = None
    max_context_length: Any = None
    max_model_len: Any = None
    max_input_tokens: Any = None
    meta: Any = None
    architecture: Any = None
    supported_parameters: Any = None
    capabilities: Any = None
    supports_tools: Any = None
    supports_image_input: Any = None


_List = Annotated[list[_Model], Meta(max_length=MOST_MODELS)]


class _Models(Struct):
    data: _List


_decoder: msgspec.json.Decoder[_Models | list[_Model]] = msgspec.json.Decoder(_Models | _List)
"""Together's list is bare."""


def read_listing(body: bytes) -> Mapping[str, ModelFacts] | None:
    """Return what a list of models tells of each, by id; None where the body is no such list."""
    try:
        listed = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    models = listed if isinstance(listed, list) else listed.data
    # Gemini's endpoint names its models "models/gemini-...", and takes them without the prefix.
    return {model.id.removeprefix("models/"): _facts(model) for model in models}


def in_order(abilities: Iterable[Ability]) -> tuple[Ability, ...]:
    """Return abilities in the order in which they are always named."""
    found = set(abilities)
    return tuple(one for one in _ORDER if one in found)


def _facts(model: _Model) -> ModelFacts:
    context, abilities = _context(model), _abilities(model)
    return UNKNOWN if context is None and abilities is None else ModelFacts(context, abilities)


def _context(model: _Model) -> int | None:
    trained = model.meta.get("n_ctx_train") if isinstance(model.meta, dict) else None
    for value in (
        model.context_length,
        model.context_window,
        model.max_context_length,
        model.max_model_len,
        model.max_input_tokens,
        trained,
    ):
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < MOST_TOKENS:
            return value
    return None


def _abilities(model: _Model) -> tuple[Ability, ...] | None:
    """Return what a model can do; None where nothing was said that would name an ability it has or lacks."""
    said: list[str] = []
    is_told = False
    if isinstance(model.capabilities, dict | list):
        is_told = True
        said += _named(model.capabilities)
    if isinstance(model.supported_parameters, list):
        is_told = True
        said += _named(model.supported_parameters)
        modalities = (
            model.architecture.get("input_modalities") if isinstance(model.architecture, dict) else ()
        )
        said += _named(modalities)
    for name in ("supports_tools", "supports_image_input"):
        value = getattr(model, name)
        if isinstance(value, bool):
            is_told = True
            said += [name] if value else []
    if isinstance(model.type, str) and model.type.lower() in _ABILITIES:
        is_told = True
        said.append(model.type.lower())
    return in_order(_ABILITIES[name] for name in said if name in _ABILITIES) if is_told else None


def _named(value: Any) -> list[str]:
    """Return the names in a list, or those that a table calls true or supported."""
    if isinstance(value, list):
        return [name for name in value if isinstance(name, str)]
    if not isinstance(value, dict):
        return []
    return [
        name for name, is_so in value.items()
        if is_so is True or (isinstance(is_so, dict) and is_so.get("supported") is True)
    ]  # fmt: skip
