"""What every command starts from: the environment, the files, and the settings in effect."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:  # `shareai --help` needs none of them
    import typer

    from shareai_cli.config import Settings
    from shareai_cli.config.edit import Editor
    from shareai_cli.paths import Paths


class Invocation:
    """One run of the command line; `context.obj` in every command."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.config_file: Path | None = None
        """What `--config` names."""
        self.command = "shareai"
        """The words of the command that is run."""
        self.debug = False
        self.no_input = False
        """Whether nobody is to be asked anything."""
        self._editor: Editor | None = None

    @property
    def paths(self) -> Paths:
        """Where files live."""
        from shareai_cli.paths import find_paths

        return find_paths(self.environ)

    @property
    def file(self) -> Path:
        """The configuration file that is read and edited."""
        from shareai_cli.paths import absolute

        return absolute(self.config_file) if self.config_file is not None else self.paths.config_file

    def settings(
        self, *, config_file: Path | None = None, host: str | None = None, port: int | None = None
    ) -> Settings:
        """Load the settings in effect; raises `ConfigurationError`."""
        from shareai_cli.catalog.presets import PRESETS
        from shareai_cli.config import load

        return load(
            self.paths,
            self.environ,
            presets=PRESETS,
            config_file=config_file or self.config_file,
            host=host,
            port=port,
        )

    def editor(self) -> Editor:
        """Return what changes the configuration file."""
        from shareai_cli.catalog.presets import PRESETS
        from shareai_cli.config.edit import Editor

        if self._editor is None:
            self._editor = Editor(self.file, self.environ, PRESETS)
        return self._editor

    @property
    def has_edited(self) -> bool:
        """Whether the configuration file was changed."""
        return self._editor is not None and self._editor.has_written


def invocation(context: typer.Context) -> Invocation:
    """Return the run that a command belongs to."""
    return cast(Invocation, context.obj)
