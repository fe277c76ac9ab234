"""Changes of one configuration file happen one after the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from shareai_cli.catalog.presets import PRESETS
from shareai_cli.config import load
from shareai_cli.config.edit import Editor
from shareai_cli.config.lock import locked
from shareai_cli.errors import StateError
from shareai_cli.paths import Paths


def test_changes_at_once_are_all_kept(paths: Paths) -> None:
    """None overwrites another one, however many there are."""
    names = [f"p{number}" for number in range(12)]
    together = Barrier(len(names))

    def add(name: str) -> None:
        editor = Editor(paths.config_file, {}, PRESETS)
        together.wait()
        editor.add_provider(name, base_url=f"https://{name}.example/v1")

    with ThreadPoolExecutor(len(names)) as threads:
        list(threads.map(add, names))
    assert set(load(paths, {}, presets=PRESETS).providers) == set(names)


def test_a_change_that_takes_too_long_is_not_waited_for(tmp_path: Path) -> None:
    """The file is named; once the other one is done, the lock is to be had."""
    file = tmp_path / "config.toml"
    with (
        locked(file),
        pytest.raises(StateError, match=rf"Another command is changing {file}"),
        locked(file, seconds=0.0),
    ):
        pass
    with locked(file, seconds=0.0):
        assert not file.exists()


def test_a_link_and_its_file_have_one_lock(tmp_path: Path) -> None:
    """Whichever of the two a command names, it waits for the other."""
    real, link = tmp_path / "real.toml", tmp_path / "link.toml"
    real.touch()
    link.symlink_to(real)
    names = [f"p{number}" for number in range(6)]

    def add(name: str) -> None:
        editor = Editor(link if name in names[::2] else real, {}, PRESETS)
        editor.add_provider(name, base_url=f"https://{name}.example/v1")

    with ThreadPoolExecutor(len(names)) as threads:
        list(threads.map(add, names))
    assert [name for name in names if f"[providers.{name}]" not in real.read_text()] == []


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    """With the place of the lock."""
    (tmp_path / ".config.toml.lock").mkdir()
    with (
        pytest.raises(StateError, match=r"\.config\.toml\.lock cannot be written"),
        locked(tmp_path / "config.toml"),
    ):
        pass
