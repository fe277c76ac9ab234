"""What several additions at once make of a `config.toml`: each with a comment that says what it is.

Nothing that stands in the file is changed; what is declared already is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomlkit
from msgspec import Struct
from tomlkit.items import Array, InlineTable

from shareai_cli.secrets import SecretReference
from shareai_cli.types import Target

HEADER = (
    "What this gateway serves. Change it as you like: a running gateway takes it up, and keeps to the last",
    "good one where something is wrong. 'shareai config check' says what; 'shareai init' adds what is new.",
)
"""The first lines of a file that begins with additions."""


class NewProvider(Struct, frozen=True):
    """A provider to be declared; what is None is its preset's."""

    name: str
    comment: str
    base_url: str | None = None
    keys: tuple[SecretReference, ...] | None = None


class NewModel(Struct, frozen=True):
    """A GGUF file to be served as `node/NAME`."""

    name: str
    comment: str
    path: Path


class NewRoute(Struct, frozen=True):
    """A route to be declared, its targets in order of priority."""

    name: str
    comment: str
    targets: tuple[Target, ...]


class Extension(Struct, frozen=True):
    """Everything that is to be added."""

    providers: tuple[NewProvider, ...] = ()
    models: tuple[NewModel, ...] = ()
    routes: tuple[NewRoute, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to add."""
        return not self.providers and not self.models and not self.routes

    def extend(self, document: tomlkit.TOMLDocument) -> None:
        """Add it all to a document; twice does no harm."""
        if not document.as_string().strip():
            for line in HEADER:
                document.add(tomlkit.comment(line))
            document.add(tomlkit.nl())
        for provider in self.providers:
            _add(document, "providers", provider.name, provider.comment, _provider(provider))
        _add_models(document, self.models)
        for route in self.routes:
            _add(document, "routes", route.name, route.comment, {"targets": _targets(route.targets)})


def _provider(provider: NewProvider) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if provider.base_url is not None:
        fields["base_url"] = provider.base_url
    if provider.keys is not None:
        fields["keys"] = [key.name for key in provider.keys]
    return fields


def _targets(targets: tuple[Target, ...]) -> Array:
    array = tomlkit.array()
    for target in targets:
        array.append(target.name)
    return array.multiline(len(targets) > 2)


def _add(document: Any, section: str, name: str, comment: str, fields: dict[str, Any]) -> None:
    if section not in document:
        document[section] = tomlkit.table(is_super_table=True)
    table = document[section]
    if name in table:
        return
    if isinstance(table, InlineTable):  # which has no room for comments
        entry: Any = tomlkit.inline_table()
        entry.update(fields)
    else:
        entry = tomlkit.table()
        entry.add(tomlkit.comment(comment))
        entry.update(fields)
        entry.add(tomlkit.nl())
    table[name] = entry


def _add_models(document: Any, models: tuple[NewModel, ...]) -> None:
    local = document.get("local", {})
    models = tuple(model for model in models if str(model.path) not in _paths(local))
    if not models:
        return
    if "local" not in document:
        document["local"] = tomlkit.table()
        document["local"].add(
            tomlkit.comment("Files of this machine that llama.cpp serves, each as node/NAME.")
        )
    local = document["local"]
    begins = "models" not in local
    if begins:
        local["models"] = tomlkit.array()
    array = local["models"]
    if not isinstance(array, Array):
        raise TypeError
    for model in models:
        array.add_line(_model(model), comment=model.comment)
    array.add_line(indent="")
    if begins and not isinstance(local, InlineTable):
        local.add(tomlkit.nl())


def _paths(local: Any) -> set[str]:
    return {item if isinstance(item, str) else str(item["path"]) for item in local.get("models", ())}


def _model(model: NewModel) -> Any:
    if model.name == model.path.stem:
        return str(model.path)
    item = tomlkit.inline_table()
    item.update({"path": str(model.path), "name": model.name})
    return item
