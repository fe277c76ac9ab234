"""Providers as the commands show and find them; keys by their places only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shareai_cli.cli.completion import known
from shareai_cli.errors import UsageError

if TYPE_CHECKING:
    from shareai_cli.config import ProviderSettings, Settings
    from shareai_cli.secrets import SecretReference

NameArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The provider's name.", autocompletion=known.providers),
]
OnlyArgument = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="Only this provider.", autocompletion=known.providers),
]


def find(settings: Settings, name: str) -> ProviderSettings:
    """Return a provider; raises `UsageError` that names the nearest."""
    from shareai_cli.config.reading import shown
    from shareai_cli.nearest import suggestion

    provider = settings.providers.get(name)
    if provider is None:
        raise UsageError(
            f"There is no provider {shown(name)}.",
            hint=suggestion(name, tuple(settings.providers))
            if settings.providers
            else "shareai provider add openai",
        )
    return provider


def find_declared(settings: Settings, name: str) -> ProviderSettings:
    """Return a provider that the configuration declares; raises `UsageError` for one found in a variable."""
    provider = find(settings, name)
    if settings.discovered:
        variables = ", ".join(key.location for key in provider.keys)
        raise UsageError(
            f"The provider '{name}' is not in the configuration: it was found through {variables}.",
            hint=f"Unset {variables}, or declare it: shareai provider add {name}",
        )
    return provider


def describe(provider: ProviderSettings) -> dict[str, Any]:
    """Return a provider as plain values for JSON."""
    from shareai_cli.config.describe import describe_provider

    return {"name": provider.name, **describe_provider(provider)}


def keys_in_words(provider: ProviderSettings, file: Path) -> str:
    """Return the places of a provider's keys, as the configuration `file` could name them."""
    if not provider.keys:
        return "no key"
    places = ", ".join(place(key.name, file) for key in provider.keys)
    return ("key " if len(provider.keys) == 1 else "keys ") + places


def place(reference: str, file: Path) -> str:
    """Return a reference as short as the configuration `file` could write it: from its own folder on."""
    folder = f"file:{file.parent}{os.sep}"
    return "file:" + reference.removeprefix(folder) if reference.startswith(folder) else reference


def kept_in_words(key: SecretReference) -> str:
    """Return where a typed key was put."""
    if key.kind == "keyring":
        return f"the system's keyring, as {key.location}"
    return f"{key.location}, which only you can read"
