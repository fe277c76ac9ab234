"""Where each setting in effect came from: the file and its line, a variable, a preset, or the default."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from shareai_cli.config.describe import describe
from shareai_cli.config.load import HOST_VARIABLE, PORT_VARIABLE
from shareai_cli.config.positions import find_lines
from shareai_cli.config.preset import Preset
from shareai_cli.config.reading import KeyPath, dotted
from shareai_cli.config.settings import ProviderSettings, Settings

Origin = Literal["file", "variable", "preset", "default"]

_SECTIONS: Final = ("server", "network", "providers", "routes", "local", "limits", "webhook")
_OF_PRESETS: Final = frozenset(
    {"preset", "base_url", "keys", "check", "key_style", "check_style", "price_as", "stream_usage"}
)
"""What a preset fills in."""

_VARIABLES: Final[Mapping[KeyPath, str]] = {
    ("server", "host"): HOST_VARIABLE,
    ("server", "port"): PORT_VARIABLE,
}


class Setting(Struct, frozen=True):
    """One setting in effect, as `describe` shows its value."""

    name: str
    """As TOML writes it: `server.port`."""
    value: object
    origin: Origin
    place: str = ""
    """The variable or the preset; empty for the file and for defaults."""
    line: int | None = None
    """In the file."""


def trace(
    settings: Settings, text: str, environ: Mapping[str, str], presets: Mapping[str, Preset]
) -> list[Setting]:
    """Return every setting that has a value, with its origin; `text` is the file's that declared them."""
    return list(_Tracer(settings, text, environ, presets).settings())


class _Tracer:
    def __init__(
        self, settings: Settings, text: str, environ: Mapping[str, str], presets: Mapping[str, Preset]
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._presets = presets
        self._lines = find_lines(text)
        self._declared = frozenset(_paths(tomllib.loads(text)))

    def settings(self) -> Iterator[Setting]:
        described = describe(self._settings)
        for section in _SECTIONS:
            for path, value in _leaves((section,), described[section]):
                if value is not None:
                    yield self._setting(path, value)

    def _setting(self, path: KeyPath, value: object) -> Setting:
        name = dotted(path)
        variable = _VARIABLES.get(path)
        if variable is not None and self._environ.get(variable):
            return Setting(name, value, "variable", variable)
        if path in self._declared:
            return Setting(name, value, "file", line=self._lines.get(path))
        # `cache = "5m"` is an age, `hedge = "2s"` the wait after which another one is asked.
        if path[-1] in ("age", "after") and path[:-1] in self._declared:
            return Setting(name, value, "file", line=self._lines.get(path[:-1]))
        if path[0] == "providers":
            return self._of_provider(name, value, str(path[2]), self._settings.providers[str(path[1])])
        return Setting(name, value, "default")

    def _of_provider(self, name: str, value: object, key: str, provider: ProviderSettings) -> Setting:
        if key == "proxy" and provider.egress.proxy is not None:
            return self._named(name, value, provider.egress.proxy.named_by)
        if provider.preset is None or key not in _OF_PRESETS:
            return Setting(name, value, "default")
        if key == "keys" and self._settings.discovered:
            return Setting(name, value, "variable", provider.keys[0].location)
        blank = self._presets[provider.preset].blank
        if key == "base_url" and blank is not None:
            filled_by = next(one for one in blank.variables if self._environ.get(one, "").strip())
            return Setting(name, value, "variable", filled_by)
        return Setting(name, value, "preset", provider.preset)

    def _named(self, name: str, value: object, named_by: str) -> Setting:
        """Return a setting that another one, or a variable, decides."""
        path = tuple(named_by.split("."))
        if path in self._declared:
            return Setting(name, value, "file", line=self._lines.get(path))
        return Setting(name, value, "variable", named_by)


def _leaves(path: KeyPath, value: object) -> Iterator[tuple[KeyPath, object]]:
    """Yield each setting; a list is one."""
    if not isinstance(value, dict):
        yield path, value
        return
    for key, item in value.items():
        yield from _leaves((*path, key), item)


def _paths(values: Mapping[str, Any], path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the path of everything that a file declares."""
    for key, item in values.items():
        yield (*path, key)
        if isinstance(item, dict):
            yield from _paths(item, (*path, key))
