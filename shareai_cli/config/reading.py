"""Tables of a TOML file, read strictly: whatever is wrong is said with its file, line and key."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from shareai_cli.config.positions import find_line
from shareai_cli.errors import ConfigurationError
from shareai_cli.nearest import suggestion
from shareai_cli.secrets import MASK, conceal, looks_like_key

SIZE_LIMIT = 1 << 20
"""Bytes of a configuration file."""
TEXT_LIMIT = 4096
"""Characters of a text in it, unless its own limit is lower."""

KeyPath = tuple[str | int, ...]
Result = TypeVar("Result")

_MEANT = {
    "api_key": "keys",
    "api_keys": "keys",
    "apikey": "keys",
    "key": "keys",
    "key_env": "keys",
    "token": "keys",
    "url": "base_url",
    "api_base": "base_url",
    "endpoint": "base_url",
    "timeout": "timeouts",
    "model": "models",
    "target": "targets",
    "http_proxy": "proxy",
    "https_proxy": "proxy",
    "ca_bundle": "ca_file",
    "ca_cert": "ca_file",
    "verify": "ca_file",
    "extra_headers": "headers",
    "default_headers": "headers",
}
"""What other programs call the same thing."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Source:
    """A configuration file's name and text: what a message about it needs."""

    def __init__(self, file: Path, text: str) -> None:
        self.file = file
        self._text = text

    def __repr__(self) -> str:
        return f"<Source {self.file}>"

    def error(self, path: KeyPath, message: str, *, hint: str | None = None) -> ConfigurationError:
        """Return the error that names the file, the line and the key."""
        line = find_line(self._text, path)
        where = f"{self.file}, line {line}" if line is not None else f"{self.file}"
        key = f"{dotted(path)}: " if path else ""
        return ConfigurationError(f"{where}: {key}{message}", hint=hint)


class Table:
    """One table; asking for a key checks its value, and keys that nobody knows are refused at once."""

    def __init__(self, source: Source, path: KeyPath, value: object, known: Iterable[str]) -> None:
        self._source = source
        self._path = path
        if not isinstance(value, dict):
            raise source.error(path, f"should be a table, and is {kind_of(value)}.")
        self._values: dict[str, Any] = value
        names = tuple(known)
        for key in self._values:
            if key not in names:
                raise self.error(key, "unknown key.", hint=suggestion(_MEANT.get(key, key), names))

    def error(self, key: str, message: str, *, hint: str | None = None) -> ConfigurationError:
        """Return an error about one of this table's keys."""
        return self._source.error((*self._path, key), message, hint=hint)

    def has(self, key: str) -> bool:
        """Tell whether a key is there."""
        return key in self._values

    def value(self, key: str) -> object:
        """Return a value as it stands; None where there is none."""
        return self._values.get(key)

    def text(self, key: str, default: Result, *, limit: int = TEXT_LIMIT) -> str | Result:
        """Return a text of printable characters."""
        if key not in self._values:
            return default
        return self._text((*self._path, key), self._values[key], limit)

    def texts(self, key: str, *, most: int, limit: int = TEXT_LIMIT) -> tuple[str, ...]:
        """Return a list of texts, none twice; empty where there is none."""
        path = (*self._path, key)
        found = tuple(
            self._text((*path, index), item, limit) for index, item in enumerate(self.items(key, most=most))
        )
        seen: set[str] = set()
        for index, item in enumerate(found):
            if item in seen:
                raise self._source.error((*path, index), f"{shown(item)} is there twice.")
            seen.add(item)
        return found

    def items(self, key: str, *, most: int) -> Sequence[object]:
        """Return a list's items, unchecked; empty where there is none."""
        value = self._values.get(key, [])
        if not isinstance(value, list):
            raise self.error(key, f"should be a list, and is {kind_of(value)}.", hint=f"{key} = [...]")
        if len(value) > most:
            raise self.error(key, f"has {len(value)} items; at most {most} are taken.")
        return value

    def integer(self, key: str, default: Result, *, least: int, most: int) -> int | Result:
        """Return a whole number within its bounds."""
        if key not in self._values:
            return default
        value = self._values[key]
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error(key, f"should be a whole number, and is {kind_of(value)}.")
        if not least <= value <= most:
            raise self.error(key, f"should be from {least} to {most}.")
        return value

    def number(self, key: str, default: float, *, least: float, most: float, positive: bool = False) -> float:
        """Return a number within its bounds."""
        if key not in self._values:
            return default
        value = self._values[key]
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise self.error(key, f"should be a number, and is {kind_of(value)}.")
        if not least <= value <= most or (positive and value <= 0):
            lower = f"more than {least:g}" if positive else f"from {least:g}"
            raise self.error(key, f"should be {lower} to {most:g}.")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"should be true or false, and is {kind_of(value)}.")
        return value

    def choice(self, key: str, default: Result, choices: Sequence[str]) -> str | Result:
        """Return one of a few words."""
        if key not in self._values:
            return default
        value = self.text(key, "")
        if value not in choices:
            raise self.error(key, f"{shown(value)} is not known.", hint=f"It takes {listed(choices)}.")
        return value

    def table(self, key: str, known: Iterable[str]) -> Table:
        """Return a table inside this one; empty where there is none."""
        return Table(self._source, (*self._path, key), self._values.get(key, {}), known)

    def tables(self, key: str, read: Callable[[str, object], Result], *, most: int) -> dict[str, Result]:
        """Return what `read` makes of each named value in the table at `key`."""
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            raise self.error(key, f"should be a table, and is {kind_of(value)}.", hint=f"[{key}.NAME]")
        if len(value) > most:
            raise self.error(key, f"has {len(value)} entries; at most {most} are taken.")
        return {name: read(name, item) for name, item in value.items()}

    def _text(self, path: KeyPath, value: object, limit: int) -> str:
        if not isinstance(value, str):
            raise self._source.error(path, f"should be a text, and is {kind_of(value)}.")
        if len(value) > limit:
            raise self._source.error(path, f"has {len(value)} characters; at most {limit} are taken.")
        if not value.isprintable():
            raise self._source.error(path, "has characters that cannot be printed.")
        return value


def read_bytes(file: Path) -> bytes:
    """Read a configuration file; `FileNotFoundError` passes, all else is a `ConfigurationError`."""
    try:
        if not file.is_file() and file.exists():
            raise ConfigurationError(f"{file} is a folder or a device, not a configuration file.")
        with file.open("rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is not possible"
        raise ConfigurationError(f"{file} cannot be read: {reason}.") from None
    if len(data) > SIZE_LIMIT:
        raise ConfigurationError(f"{file} is larger than {SIZE_LIMIT >> 20} MiB: not a configuration file.")
    return data


def decode(file: Path, data: bytes) -> str:
    """Return a file's text; `ConfigurationError` names the line that is not UTF-8."""
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{file}, line {line}: not UTF-8.", hint="Save the file as UTF-8.") from None


def parse(file: Path, text: str) -> Mapping[str, object]:
    """Return the values of a TOML text; `ConfigurationError` names the line that is not TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigurationError(f"{file}: nested too deeply.") from None
    except ValueError as error:
        message = conceal(str(error)[:300])
        place = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", message, re.DOTALL)
        if place is None:
            raise ConfigurationError(f"{file}: not TOML: {message}.") from None
        line = place[2] or max(1, text.rstrip("\n").count("\n") + 1)
        raise ConfigurationError(f"{file}, line {line}: not TOML: {place[1]}.") from None


def dotted(path: KeyPath) -> str:
    """Return a key's path as TOML writes it, with `[n]` for the n-th item of a list."""
    shown_path = ""
    for part in path:
        if isinstance(part, int):
            shown_path += f"[{part}]"
        else:
            shown_path += ("." if shown_path else "") + (
                part if _BARE_KEY.fullmatch(part) and not looks_like_key(part) else shown(part)
            )
    return shown_path


def shown(text: str) -> str:
    """Return a text in quotes for a message: shortened, and masked where it may be a key."""
    if len(text) > 100:
        return f"a text of {len(text)} characters"
    if any(looks_like_key(word) for word in re.split(r"[\s:=/,\"']+", text)) or looks_like_key(text):
        return f"'{MASK}'"
    return repr(text)


def listed(names: Iterable[str]) -> str:
    """Return names as words: `a, b or c`."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def kind_of(value: object) -> str:
    """Return what a TOML value is, in words, never the value itself."""
    if isinstance(value, bool):
        return "true or false"
    words = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return words.get(type(value), "a date or time")
