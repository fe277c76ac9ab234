"""Where files live."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from shareai_cli.errors import StateError
from shareai_cli.paths import Paths, find_paths, make_private_folder


def test_one_variable_moves_everything(tmp_path: Path) -> None:
    """SHAREAI_HOME holds configuration, state and kept keys."""
    paths = find_paths({"SHAREAI_HOME": str(tmp_path)})
    assert paths.config_file == tmp_path / "config.toml"
    inside = (paths.database, paths.journal, paths.lock_file, paths.endpoint_file, paths.first_key_file)
    assert {path.parent for path in inside} == {tmp_path / "state"}
    assert paths.secrets == tmp_path / "secrets"


def test_a_relative_home_means_one_folder_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative SHAREAI_HOME stands on the working folder of the moment, and `~` is the home."""
    monkeypatch.chdir(tmp_path)
    assert find_paths({"SHAREAI_HOME": "here"}).state == tmp_path / "here" / "state"
    assert find_paths({"SHAREAI_HOME": "~/x"}).home == Path(os.environ["HOME"]) / "x"


def test_without_the_variable_the_platform_decides() -> None:
    """Configuration and state stand in folders named after the program."""
    paths = find_paths({})
    assert paths.home is None
    assert "shareai" in paths.config_file.parts
    assert "shareai" in paths.state.parts


def test_the_state_folder_is_the_owners_alone(paths: Paths) -> None:
    """Whoever writes first makes it, closed to others; making it twice does no harm."""
    assert paths.make_state() == paths.make_state() == paths.state
    assert stat.S_IMODE(paths.state.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    """The error names the folder and what moves it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"file/state.*SHAREAI_HOME"):
        make_private_folder(tmp_path / "file" / "state")
