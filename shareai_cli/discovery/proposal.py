"""What a first configuration could be, worked out of what was found: nothing here looks or writes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from shareai_cli.config import ProviderSettings, Settings
from shareai_cli.config.address import is_loopback
from shareai_cli.config.extension import Extension, NewModel, NewProvider, NewRoute
from shareai_cli.discovery.engines import FoundEngine
from shareai_cli.discovery.files import FoundFile
from shareai_cli.discovery.found import Found
from shareai_cli.secrets import SecretReference
from shareai_cli.types import NODE, Target

First = Literal["own", "cloud"]
"""Who is asked first where both can answer: this machine, or a provider."""

ROUTE: Final = "chat"
MOST_MODELS: Final = 20
MOST_TARGETS: Final = 8

FIRST_MODELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "openai": "gpt-5-mini",
        "anthropic": "claude-haiku-4-5",
        "gemini": "gemini-2.5-flash",
        "openrouter": "openai/gpt-5-mini",
        "groq": "openai/gpt-oss-120b",
        "mistral": "mistral-small-latest",
        "deepseek": "deepseek-chat",
        "xai": "grok-4.3",
        "together": "openai/gpt-oss-120b",
        "fireworks": "accounts/fireworks/models/gpt-oss-120b",
        "cerebras": "gpt-oss-120b",
        "perplexity": "perplexity/sonar",
        "cohere": "command-a-03-2025",
        "shareai": "llama3.2:3b",
    }
)
"""By preset a model to begin with: made for talking, and not dear."""

_SHARE = 0.8
"""Of the memory that a model may take: the rest is for its context and everybody else."""

_OWNERS: Final[Mapping[str, str]] = MappingProxyType({"Ollama": "ollama", "LM Studio": "lmstudio"})
"""Which engine serves whose files."""

_NO_TALKER = re.compile(r"embed|rerank|whisper|\bbge\b|tts|guard", re.IGNORECASE)


class Machine(Struct, frozen=True):
    """What decides whether this machine can serve a model itself."""

    memory: int
    """Bytes."""
    llama: bool
    """Whether llama.cpp is installed."""


class LeftOut(Struct, frozen=True):
    """What was found and is not proposed."""

    name: str
    why: str


class Proposal(Struct, frozen=True):
    """What is to be added, and what is not."""

    extension: Extension
    left_out: tuple[LeftOut, ...] = ()
    has_choice: bool = False
    """Whether the route could begin with this machine as well as with a provider."""
    stand_ins: tuple[Target, ...] = ()
    """New targets that could stand in for those of the route that is declared already."""


def propose(found: Found, settings: Settings, machine: Machine, first: First = "own") -> Proposal:
    """Work out what would add all that is new to the settings."""
    declared = {} if settings.discovered else dict(settings.providers)
    providers = (*_cloud(found, declared), *_engines(found, declared))
    models, left_out = _models(found, settings, machine)
    own = [*_engine_targets(found, declared, providers), *_node_target(settings, models)]
    cloud = list(_cloud_targets(declared, providers))
    if settings.routes:
        added = {provider.name for provider in providers}
        stand_ins = tuple(target for target in (*own, *cloud) if target.provider in added)
        return Proposal(Extension(providers, models), left_out, stand_ins=stand_ins)
    targets = (*own, *cloud) if first == "own" else (*cloud, *own)
    routes = (NewRoute(ROUTE, _route_comment(len(targets)), targets[:MOST_TARGETS]),) if targets else ()
    return Proposal(Extension(providers, models, routes), left_out, bool(own and cloud))


def in_bytes(size: int) -> str:
    """Return a size as people read it."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _cloud(found: Found, declared: Mapping[str, ProviderSettings]) -> Iterator[NewProvider]:
    used = {key.location for one in declared.values() for key in one.keys if key.kind == "env"}
    for key in found.keys:
        if key.provider not in declared and key.variable not in used:
            comment = f"{key.title}. Its key stays where it is, in the variable {key.variable}."
            yield NewProvider(key.provider, comment, keys=(SecretReference("env", key.variable),))


def _engines(found: Found, declared: Mapping[str, ProviderSettings]) -> Iterator[NewProvider]:
    for engine in found.engines:
        if _declared_as(engine, declared) is None:
            name = _free(engine.kind, declared)
            comment = (
                f"{engine.title} on this machine, with {_amount(len(engine.models), 'model')} when found."
            )
            yield NewProvider(name, comment, base_url=engine.base_url)


def _declared_as(engine: FoundEngine, declared: Mapping[str, ProviderSettings]) -> str | None:
    port = urlsplit(engine.base_url).port
    for provider in declared.values():
        parts = urlsplit(provider.base_url)
        if is_loopback(parts.hostname or "") and parts.port == port:
            return provider.name
    return None


def _models(
    found: Found, settings: Settings, machine: Machine
) -> tuple[tuple[NewModel, ...], tuple[LeftOut, ...]]:
    running = {engine.kind for engine in found.engines}
    paths = {Path(model.path) for model in settings.local.models}
    names = {model.id for model in settings.local.models}
    models: list[NewModel] = []
    left_out: list[LeftOut] = []
    for file in found.files.files:
        if file.path in paths:
            continue
        why = _why_not(file, running, machine)
        if why is None and len(models) == MOST_MODELS:
            why = f"{MOST_MODELS} are enough to begin with"
        if why is not None:
            left_out.append(LeftOut(file.id, why))
            continue
        name = _free(file.id, names)
        names.add(name)
        models.append(NewModel(name, f"{in_bytes(file.size)}, of {file.owner}", file.path))
    return tuple(models), tuple(left_out)


def _why_not(file: FoundFile, running: Collection[str], machine: Machine) -> str | None:
    if _OWNERS.get(file.owner) in running:
        return f"{file.owner} serves it"
    if file.problem:
        return file.problem
    if _NO_TALKER.search(file.id):
        return "it is not made for talking"
    if file.size > machine.memory * _SHARE:
        return f"its {in_bytes(file.size)} do not fit this machine's memory"
    return None if machine.llama else "llama.cpp is not installed"


def _engine_targets(
    found: Found, declared: Mapping[str, ProviderSettings], new: Collection[NewProvider]
) -> Iterator[Target]:
    names = {provider.base_url: provider.name for provider in new}
    for engine in found.engines:
        name = names.get(engine.base_url) or _declared_as(engine, declared)
        model = next((one for one in engine.models if not _NO_TALKER.search(one)), None)
        if name is not None and model is not None:
            yield Target(name, model)


def _node_target(settings: Settings, new: Collection[NewModel]) -> Iterator[Target]:
    known = [*(model.id for model in settings.local.models), *(model.name for model in new)]
    if known:
        yield Target(NODE, known[0])


def _cloud_targets(
    declared: Mapping[str, ProviderSettings], new: Collection[NewProvider]
) -> Iterator[Target]:
    for provider in declared.values():
        if not is_loopback(urlsplit(provider.base_url).hostname or ""):
            known = (*provider.models, FIRST_MODELS.get(provider.preset or "", ""))
            if known[0]:
                yield Target(provider.name, known[0])
    for added in new:
        if added.base_url is None and added.name in FIRST_MODELS:
            yield Target(added.name, FIRST_MODELS[added.name])


def _route_comment(targets: int) -> str:
    if targets == 1:
        return (
            f'What is asked for as "model": "{ROUTE}". A second target would stand in where the first fails.'
        )
    return (
        f'What is asked for as "model": "{ROUTE}": the first answers, the next ones stand in where it fails.'
    )


def _free(name: str, taken: Collection[str]) -> str:
    numbered = (f"{name}-{number}" for number in count(2))
    return name if name not in taken else next(one for one in numbered if one not in taken)


def _amount(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
