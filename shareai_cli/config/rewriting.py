"""Replaces `config.toml` by what a change makes of it, in one step, one command after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError

from shareai_cli.config.document import Document
from shareai_cli.config.load import load_text
from shareai_cli.config.lock import locked
from shareai_cli.config.preset import Preset
from shareai_cli.config.reading import decode, read_bytes
from shareai_cli.config.settings import Settings
from shareai_cli.errors import ConfigurationError, StateError
from shareai_cli.paths import absolute, make_private_folder
from shareai_cli.secrets import write_private

_ATTEMPTS = 5
"""How often a change is made anew because a person, who knows no lock, changed the file meanwhile."""


class Rewriter:
    """One configuration file, of which only texts are written that declare something."""

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
        return f"<{type(self).__name__} of {self._file}>"

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
