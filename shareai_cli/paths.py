"""Where files live: the platform's folders, or all of it under `SHAREAI_HOME`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from shareai_cli.errors import StateError

HOME_VARIABLE = "SHAREAI_HOME"
APPLICATION = "shareai"


class Paths(Struct, frozen=True):
    """The two places that a person can name; everything else follows from them."""

    config_file: Path
    state: Path
    """Folder of what happens: the database, the journal, the lock."""
    home: Path | None = None
    """What `SHAREAI_HOME` names; None where the platform's folders are used."""

    @property
    def database(self) -> Path:
        """The SQLite database."""
        return self.state / "shareai.db"

    @property
    def replies(self) -> Path:
        """The SQLite database of replies that are kept, where the configuration wants them on disk (0600)."""
        return self.state / "replies.db"

    @property
    def journal(self) -> Path:
        """Folder of the journal's numbered files."""
        return self.state / "journal"

    @property
    def lock_file(self) -> Path:
        """Locked by the process that owns the state folder."""
        return self.state / "gateway.lock"

    @property
    def endpoint_file(self) -> Path:
        """Where the running gateway tells its address and its admin token (0600)."""
        return self.state / "gateway.json"

    @property
    def first_key_file(self) -> Path:
        """The key made at the first start, where no terminal could show it (0600)."""
        return self.state / "first-key"

    @property
    def in_force_file(self) -> Path:
        """The configuration by which a gateway went last, without secrets, to tell what changed (0600)."""
        return self.state / "in-force.json"

    @property
    def offered_file(self) -> Path:
        """The models that providers were last seen to offer, for shells to complete (0600)."""
        return self.state / "offered.json"

    @property
    def chat_key_file(self) -> Path:
        """The client's key that `shareai chat` presents (0600)."""
        return self.state / "chat-key"

    @property
    def chat_history_file(self) -> Path:
        """The lines typed into `shareai chat` (0600)."""
        return self.state / "chat-history"

    @property
    def secrets(self) -> Path:
        """Folder of keys taken from standard input, each a 0600 file."""
        return self.config_file.parent / "secrets"

    def make_state(self) -> Path:
        """Make the state folder, open to its owner alone, and return it; raises `StateError`."""
        return make_private_folder(self.state)


def find_paths(environ: Mapping[str, str]) -> Paths:
    """Return where files live, making nothing."""
    named = environ.get(HOME_VARIABLE)
    if named:
        home = absolute(Path(named))
        return Paths(config_file=home / "config.toml", state=home / "state", home=home)
    import platformdirs  # only where it is needed: `--help` has no use for it

    return Paths(
        config_file=platformdirs.user_config_path(APPLICATION, appauthor=False) / "config.toml",
        state=platformdirs.user_state_path(APPLICATION, appauthor=False),
    )


def make_private_folder(folder: Path) -> Path:
    """Make a folder, and those above it, open to its owner alone; raises `StateError`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(
            f"The folder {folder} cannot be made: {error.strerror or error}.",
            hint=f"{HOME_VARIABLE} moves all files to a folder that can be written.",
        ) from None
    return folder


def absolute(path: Path, base: Path | None = None) -> Path:
    """Expand `~` where there is a home, and stand on `base` (the working folder) where relative."""
    with suppress(RuntimeError):  # no home folder: the name stays as it is, and is not found
        path = path.expanduser()
    return (base or Path.cwd()) / path
