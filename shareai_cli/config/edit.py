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
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Array, InlineTable

from shareai_cli.config.load import load_text
from shareai_cli.config.lock import locked
from shareai_cli.config.preset import Preset
from shareai_cli.config.provider import name_problem
from shareai_cli.config.reading import decode, read_bytes, shown
from shareai_cli.config.sections import ROUTE_NAME
from shareai_cli.config.settings import Preference, RouteTarget, Settings, Strategy
from shareai_cli.errors import ConfigurationError, StateError, UsageError
from shareai_cli.nearest import nearest
from shareai_cli.paths import absolute, make_private_folder
from shareai_cli.secrets import SecretReference, write_private
from shareai_cli.types import NODE, Target

_ATTEMPTS = 5
"""How often a change is made anew because a person, who knows no lock, changed the file meanwhile."""

Document = tomlkit.TOMLDocument


class Editor:
    """Changes one configuration file."""

    def __init__(self, file: Path, environ: Mapping[str, str], presets: Mapping[str, Preset]) -> None:
        self._file = absolute(file)
        self._environ = environ
        self._presets = presets
        self._has_written = False

    @property
    def has_written(self) -> bool:
        """Whether the file was changed."""
        return self._has_written

    def __repr__(self) -> str:
        return f"<Editor {self._file}>"

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
            _remove(document, "providers", name, "provider")

        return self._change(change)

    def add_route(
        self,
        name: str,
        targets: Sequence[RouteTarget],
        *,
        strategy: Strategy = "priority",
        prefer: Preference | None = None,
        private: bool = False,
    ) -> Settings:
        """Declare a route, in place of one that has the name already."""

        def change(document: Document) -> None:
            providers = self._check(tomlkit.dumps(document)).providers
            for one in targets:
                _known_provider(one.target.provider, providers)
            routes = _section(document, "routes")
            entry = routes[name] if name in routes else _entry(routes)
            entry["strategy"] = strategy
            _set(entry, "prefer", prefer)
            _set(entry, "private", private or None)
            entry["targets"] = _targets(targets)
            if name not in routes:
                routes[name] = entry

        if not ROUTE_NAME.fullmatch(name):
            raise UsageError(f"{shown(name)} is not a route's name: letters, digits and . _ : -, no slash.")
        return self._change(change)

    def remove_route(self, name: str) -> Settings:
        """Take a route out."""
        return self._change(lambda document: _remove(document, "routes", name, "route"))

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
            names = [model.id for model in settings.local.models]
            if name not in names:
                near = nearest(name, names)
                raise UsageError(
                    f"There is no local model {shown(name)} in the configuration.",
                    hint=f"Did you mean {near}?" if near else "shareai model list",
                )
            using = _routes_to(Target(NODE, name), settings)
            if using:
                raise UsageError(
                    f"The model '{name}' is a target of {', '.join(using[:10])}.",
                    hint=f"shareai route remove {using[0]}",
                )
            del _array(document["local"], "models")[names.index(name)]

        return self._change(change)

    def apply(self, change: Callable[[Document], None]) -> Settings:
        """Make a change of the caller's own, which may be called more than once."""
        return self._change(change)

    def preview(self, change: Callable[[Document], None]) -> tuple[str, str]:
        """Return the file's text as it is and as a change would leave it, writing nothing."""
        text = decode(self._file, self._read() or b"")
        self._check(text)
        changed = self._changed(text, change)
        self._check(changed)
        return text, changed

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
            providers = _section(document, "providers")
            known = name in providers
            entry = providers[name] if known else _entry(providers)
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
                _extend(entry, "keys", [key.name for key in (*implied, *keys)])
            if not known:
                providers[name] = entry

        return change

    def _keys(self, document: Document, name: str) -> tuple[Sequence[SecretReference], Array]:
        """Return a provider's keys and the list that names them, made where the preset implies them."""
        providers = document.get("providers", {})
        if name not in providers:
            raise _unknown("provider", name, providers)
        keys = self._check(tomlkit.dumps(document)).providers[name].keys
        if "keys" not in providers[name]:
            _extend(providers[name], "keys", [key.name for key in keys])
        return keys, _array(providers[name], "keys")

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
        models = _array(_section(document, "local"), "models")
        if chosen == path.stem:
            models.append(str(path))
            return
        if not ROUTE_NAME.fullmatch(chosen):
            raise UsageError(f"{shown(chosen)} is not a model's name: letters, digits and . _ : -, no slash.")
        item = tomlkit.inline_table()
        item.update({"path": str(path), "name": chosen})
        models.append(item)

    def _check(self, text: str) -> Settings:
        return load_text(text, self._file, self._environ, self._presets)

    def _change(self, change: Callable[[Document], None]) -> Settings:
        self._read()  # what cannot be read is said before a lock is made beside it
        with locked(self._file.resolve()):
            return self._change_locked(change)

    def _change_locked(self, change: Callable[[Document], None]) -> Settings:
        for _ in range(_ATTEMPTS):
            before = self._read()
            text = decode(self._file, before or b"")
            self._check(text)  # a broken file is reported as it stands, and never made worse
            changed = self._changed(text, change)
            settings = self._check(changed)
            if changed == text and before is not None:
                return settings
            if self._read() == before:
                self._write(changed)
                self._has_written = True
                return settings
        raise StateError(f"{self._file} is being changed by another program.", hint="Try again.")

    def _changed(self, text: str, change: Callable[[Document], None]) -> str:
        try:
            document = tomlkit.parse(text)
            change(document)
            return tomlkit.dumps(document)
        except (TOMLKitError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"{self._file} is written in a way that this command cannot change.",
                hint=f"Edit it by hand ({type(error).__name__}).",
            ) from error

    def _read(self) -> bytes | None:
        try:
            return read_bytes(self._file)
        except FileNotFoundError:
            return None

    def _write(self, text: str) -> None:
        file = self._file.resolve()  # a link stays one
        make_private_folder(file.parent)
        try:
            write_private(file, text)
        except OSError as error:
            raise StateError(f"{file} cannot be written: {error.strerror or error}.") from None


def _section(document: Document, name: str) -> Any:
    """Return a table of the document, made where there is none."""
    if name not in document:
        document[name] = tomlkit.table(is_super_table=name != "local")
    return document[name]


def _entry(section: object) -> Any:
    """Return an empty table of the kind that the section takes."""
    return tomlkit.inline_table() if isinstance(section, InlineTable) else tomlkit.table()


def _set(table: Any, key: str, value: object) -> None:
    """Set a key, or take it out where the value is None."""
    if value is not None:
        table[key] = value
    elif key in table:
        del table[key]


def _extend(table: Any, key: str, texts: Sequence[str]) -> None:
    array = _array(table, key)
    for text in texts:
        if text not in array:
            array.append(text)


def _array(table: Any, key: str) -> Array:
    """Return a list of a table's, made where there is none; the check before has refused what is none."""
    if key not in table:
        table[key] = tomlkit.array()
    array = table[key]
    if not isinstance(array, Array):
        raise TypeError
    return array


def _remove(document: Document, section: str, name: str, noun: str) -> None:
    table: Mapping[str, object] = document.get(section, {})
    if name not in table:
        raise _unknown(noun, name, table)
    del document[section][name]


def _unknown(noun: str, name: str, known: Mapping[str, object]) -> UsageError:
    near = nearest(name, known)
    return UsageError(
        f"There is no {noun} {shown(name)} in the configuration.",
        hint=f"Did you mean {near}?" if near else f"shareai {noun} list",
    )


def _place(name: str, keys: Sequence[SecretReference], key: SecretReference) -> int:
    if key not in keys:
        raise UsageError(f"{name} has no key {key.name}.", hint=f"shareai provider key list {name}")
    return keys.index(key)


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
