"""Changes `config.toml` for a person, keeping comments and order.

Each method of `Editor` reads the file, changes it, checks the outcome as `load` would and only then replaces
the file in one step (0600), one command after the other; it returns the settings that the new text declares.
Raises `UsageError` for a change that makes no sense, `ConfigurationError` for what the file or its new text
has wrong, `StateError` where the file cannot be written or other commands take too long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Array

from shareai_cli.config.document import (
    Document,
    array_of,
    extend,
    inner_table,
    new_entry,
    prune,
    put,
    remove,
    section_of,
    unknown,
)
from shareai_cli.config.limiting import SECTIONS
from shareai_cli.config.limits import changed_limits, write_limits
from shareai_cli.config.provider import name_problem
from shareai_cli.config.reading import shown
from shareai_cli.config.rewriting import Rewriter
from shareai_cli.config.sections import ROUTE_NAME, parse_target
from shareai_cli.config.settings import RouteTarget, Settings, Strategy
from shareai_cli.errors import UsageError
from shareai_cli.nearest import nearest
from shareai_cli.paths import absolute
from shareai_cli.secrets import SecretReference
from shareai_cli.types import NO_LIMITS, NODE, LimitChanges, Preference, Subject, Target


class Editor(Rewriter):
    """Changes one configuration file."""

    def add_provider(
        self,
        name: str,
        *,
        base_url: str | None = None,
        preset: str | None = None,
        keys: Sequence[SecretReference] | None = None,
        allow_http: bool = False,
    ) -> Settings:
        """Declare a provider; one that is declared already gets the further keys.

        `keys` None leaves them to the preset. A provider declared already at another address is refused.
        """
        return self._change(self._addition(name, base_url, preset, keys, allow_http))

    def preview_provider(
        self,
        name: str,
        *,
        base_url: str | None = None,
        preset: str | None = None,
        keys: Sequence[SecretReference] | None = None,
        allow_http: bool = False,
    ) -> Settings:
        """Return the settings that `add_provider` would leave, writing nothing; raises as it does."""
        _, changed = self.preview(self._addition(name, base_url, preset, keys, allow_http))
        return self._check(changed)

    def replace_key(self, name: str, former: SecretReference, new: SecretReference) -> Settings:
        """Put a key in the place of one of a provider's; refused where the provider has not that one."""

        def change(document: Document) -> None:
            keys, array = self._keys(document, name)
            place = _place(name, keys, former)
            if new not in keys:
                array[place] = new.name
            elif new != former:
                del array[place]

        return self._change(change)

    def remove_key(self, name: str, key: SecretReference) -> Settings:
        """Take one of a provider's keys out; refused where it is the only one."""

        def change(document: Document) -> None:
            keys, array = self._keys(document, name)
            place = _place(name, keys, key)
            if len(keys) == 1:
                raise UsageError(
                    f"{key.name} is the only key of {name}.",
                    hint=f"shareai provider remove {name}, or give it another one: "
                    f"shareai provider key rotate {name}",
                )
            del array[place]

        return self._change(change)

    def remove_provider(self, name: str) -> Settings:
        """Take a provider out; refused while a route names it."""

        def change(document: Document) -> None:
            using = [
                route.name
                for route in self._check(tomlkit.dumps(document)).routes.values()
                if any(one.target.provider == name for one in route.targets)
            ]
            if using and name in document.get("providers", {}):
                raise UsageError(
                    f"The provider '{name}' is a target of {', '.join(using[:10])}.",
                    hint=f"shareai route remove {using[0]}",
                )
            remove(document, "providers", name, "provider")
            _forget_limits(document, "targets", lambda target: target.partition("/")[0] == name)

        return self._change(change)

    def add_route(
        self,
        name: str,
        targets: Sequence[RouteTarget],
        *,
        strategy: Strategy = "priority",
        prefer: Preference | None = None,
        private: bool = False,
        hedge: str | None = None,
    ) -> Settings:
        """Declare a route, in place of one that has the name already; `hedge` is the wait as a text."""

        def change(document: Document) -> None:
            providers = self._check(tomlkit.dumps(document)).providers
            for one in targets:
                _known_provider(one.target.provider, providers)
            routes = section_of(document, "routes")
            entry = routes[name] if name in routes else new_entry(routes)
            entry["strategy"] = strategy
            put(entry, "prefer", prefer)
            put(entry, "private", private or None)
            put(entry, "hedge", hedge)
            entry["targets"] = _targets(targets)
            if name not in routes:
                routes[name] = entry

        if not ROUTE_NAME.fullmatch(name):
            raise UsageError(f"{shown(name)} is not a route's name: letters, digits and . _ : -, no slash.")
        return self._change(change)

    def remove_route(self, name: str) -> Settings:
        """Take a route out, and its limits."""

        def change(document: Document) -> None:
            remove(document, "routes", name, "route")
            _forget_limits(document, "routes", lambda route: route == name)

        return self._change(change)

    def set_limits(self, subject: Subject, changes: LimitChanges) -> Settings:
        """Set limits of the organization, a route or a target, and take those away that are None.

        Raises `UsageError` for a limit that cannot be, one to take away that is not there, or a route or
        provider that is not declared.
        """
        path = (
            ["limits", SECTIONS[subject.scope], subject.name] if subject.name else ["limits", subject.scope]
        )

        def change(document: Document) -> None:
            settings = self._check(tomlkit.dumps(document))
            if subject.scope == "route" and subject.name not in settings.routes:
                raise unknown("route", subject.name, settings.routes)
            if subject.scope == "target":
                _known_provider(parse_target(subject.name).provider, settings.providers)
            former = write_limits(settings.limits.get(subject, NO_LIMITS))
            changed = changed_limits(former, changes)
            table: Any = document
            for depth, key in enumerate(path, 1):
                table = inner_table(table, key, is_last=depth == len(path))
            for name in changes:
                put(table, name, changed.get(name))
            prune(document, path)

        return self._change(change)

    def add_local_models(self, models: Mapping[Path, str | None]) -> Settings:
        """Declare GGUF files that this machine serves, each under a name; None means the file's.

        One that is declared already under that name stays as it is, under another one it is refused.
        """

        def change(document: Document) -> None:
            for path, name in models.items():
                self._declare(document, absolute(path), name)

        return self._change(change)

    def remove_local_model(self, name: str) -> Settings:
        """Take a local model out; refused while a route names it. Its file stays where it is."""

        def change(document: Document) -> None:
            settings = self._check(tomlkit.dumps(document))
            place = _place_of_model(name, settings)
            using = _routes_to(Target(NODE, name), settings)
            if using:
                raise UsageError(
                    f"The model '{name}' is a target of {', '.join(using[:10])}.",
                    hint=f"shareai route remove {using[0]}",
                )
            del array_of(document["local"], "models")[place]

        return self._change(change)

    def set_local_model(self, name: str, changes: Mapping[str, int | bool | str | None]) -> Settings:
        """Set how a local model is loaded; None leaves it to what holds for all, or to the machine."""

        def change(document: Document) -> None:
            place = _place_of_model(name, self._check(tomlkit.dumps(document)))
            models = array_of(document["local"], "models")
            if not isinstance(models[place], dict):
                item = tomlkit.inline_table()
                item["path"] = str(models[place])
                models[place] = item
            for key, value in changes.items():
                put(models[place], key, value)

        return self._change(change)

    def _addition(
        self,
        name: str,
        base_url: str | None,
        preset: str | None,
        keys: Sequence[SecretReference] | None,
        allow_http: bool,
    ) -> Callable[[Document], None]:
        problem = name_problem(name)
        if problem is not None:
            raise UsageError(f"{shown(name)}: {problem}")

        def change(document: Document) -> None:
            providers = section_of(document, "providers")
            known = name in providers
            entry = providers[name] if known else new_entry(providers)
            if known and base_url is not None and entry.get("base_url", base_url) != base_url:
                raise UsageError(
                    f"The provider '{name}' is declared already, at another address.",
                    hint=f"shareai provider remove {name}, or choose another name.",
                )
            if preset is not None:
                entry["preset"] = preset
            if base_url is not None:
                entry["base_url"] = base_url
            if allow_http:
                entry["allow_http"] = True
            if keys is not None:
                former = self._check(tomlkit.dumps(document)).providers[name].keys if known else ()
                implied = () if "keys" in entry else former
                extend(entry, "keys", [key.name for key in (*implied, *keys)])
            if not known:
                providers[name] = entry

        return change

    def _keys(self, document: Document, name: str) -> tuple[Sequence[SecretReference], Array]:
        """Return a provider's keys and the list that names them, made where the preset implies them."""
        providers = document.get("providers", {})
        if name not in providers:
            raise unknown("provider", name, providers)
        keys = self._check(tomlkit.dumps(document)).providers[name].keys
        if "keys" not in providers[name]:
            extend(providers[name], "keys", [key.name for key in keys])
        return keys, array_of(providers[name], "keys")

    def _declare(self, document: Document, path: Path, name: str | None) -> None:
        declared = self._check(tomlkit.dumps(document)).local.models
        same = next((model for model in declared if model.path == str(path)), None)
        if same is not None:
            if name not in (None, same.id):
                raise UsageError(
                    f"{path} is declared already, as {NODE}/{same.id}.",
                    hint=f"shareai model remove {same.id}, then add it under the other name.",
                )
            return
        chosen = path.stem if name is None else name
        if any(model.id == chosen for model in declared):
            raise UsageError(
                f"{NODE}/{chosen} is another file already.", hint="shareai model add PATH --name OTHER"
            )
        models = array_of(section_of(document, "local"), "models")
        if chosen == path.stem:
            models.append(str(path))
            return
        if not ROUTE_NAME.fullmatch(chosen):
            raise UsageError(f"{shown(chosen)} is not a model's name: letters, digits and . _ : -, no slash.")
        item = tomlkit.inline_table()
        item.update({"path": str(path), "name": chosen})
        models.append(item)


def _place(name: str, keys: Sequence[SecretReference], key: SecretReference) -> int:
    if key not in keys:
        raise UsageError(f"{name} has no key {key.name}.", hint=f"shareai provider key list {name}")
    return keys.index(key)


def _place_of_model(name: str, settings: Settings) -> int:
    names = [model.id for model in settings.local.models]
    if name not in names:
        near = nearest(name, names)
        raise UsageError(
            f"There is no local model {shown(name)} in the configuration.",
            hint=f"Did you mean {near}?" if near else "shareai model list",
        )
    return names.index(name)


def _routes_to(target: Target, settings: Settings) -> list[str]:
    """Return the names of the routes that have a target."""
    return [
        route.name for route in settings.routes.values() if any(one.target == target for one in route.targets)
    ]


def _known_provider(name: str, providers: Mapping[str, object]) -> None:
    if name not in providers and name != NODE:
        near = nearest(name, (*providers, NODE))
        raise UsageError(
            f"There is no provider {shown(name)}.",
            hint=f"Did you mean {near}?" if near else f"shareai provider add {name}",
        )


def _targets(targets: Sequence[RouteTarget]) -> Array:
    array = tomlkit.array()
    for one in targets:
        if one.weight == 1:
            array.append(one.target.name)
        else:
            item = tomlkit.inline_table()
            item.update({"target": one.target.name, "weight": one.weight})
            array.append(item)
    if len(targets) > 2:
        array.multiline(True)
    return array


def _forget_limits(document: Document, section: str, is_gone: Callable[[str], bool]) -> None:
    """Take out the limits of what is no longer declared."""
    tables = document.get("limits", {}).get(section, {})
    for name in [name for name in tables if is_gone(name)]:
        del document["limits"][section][name]
    if section in document.get("limits", {}):
        prune(document, ["limits", section])
