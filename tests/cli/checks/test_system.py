"""Folders, files, room and limits of this machine are looked at."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest

from shareai_cli.cli.checks.system import check_disk, check_open_files, check_permissions
from tests.cli.checks.subjects import said, subject

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes and limits of POSIX")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make a home as this program makes it."""
    for folder in (tmp_path, tmp_path / "state", tmp_path / "secrets"):
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
    return tmp_path


def test_files_of_their_owners_alone_are_well(home: Path) -> None:
    """Also where there are none yet."""
    for name in ("state/gateway.json", "state/shareai.db", "secrets/groq.key"):
        (home / name).touch(mode=0o600)
    (home / "config.toml").touch(mode=0o644)
    assert said(check_permissions(subject(home))) == [("permissions", "ok")]
    assert said(check_permissions(subject(home / "later"))) == [("permissions", "ok")]
    assert not (home / "later").exists()


@pytest.mark.parametrize(
    ("name", "mode", "says"),
    [
        ("secrets/groq.key", 0o644, "others can read"),
        ("secrets/groq.key", 0o620, "others can change"),
        ("state/gateway.json", 0o640, "others can read"),
        ("state/first-key", 0o604, "others can read"),
        ("state/shareai.db", 0o644, "others can read"),
        ("config.toml", 0o666, "others can change"),
        ("mine.key", 0o644, "others can read"),
    ],
)
def test_a_file_that_is_open_to_others_is_a_problem(home: Path, name: str, mode: int, says: str) -> None:
    """Kept keys, the admin interface's token, the accounts, and what the configuration names as a key."""
    file = home / name
    file.touch()
    file.chmod(mode)
    text = f'[providers.groq]\nkeys = ["file:{home}/mine.key"]\n'
    [finding] = check_permissions(subject(home, text))
    assert (finding.level, finding.mend) == ("problem", f"chmod 600 {file}")
    assert f"{says} {file} (mode {mode:04o})" in finding.text


@pytest.mark.parametrize(("mode", "level"), [(0o755, "warning"), (0o770, "problem"), (0o702, "problem")])
def test_a_folder_that_is_open_to_others_is_told(home: Path, mode: int, level: str) -> None:
    """One into which they can write is worse."""
    (home / "state").chmod(mode)
    [finding] = check_permissions(subject(home))
    assert (finding.level, finding.mend) == (level, f"chmod 700 {home}/state")


@pytest.mark.skipif(sys.platform != "linux", reason="a folder that root cannot write either")
def test_a_folder_that_cannot_be_written_is_a_problem() -> None:
    """With what moves everything elsewhere."""
    findings = check_permissions(subject(Path("/proc/shareai")))
    assert {one.level for one in findings} == {"problem"}
    assert "cannot be written" in findings[0].text
    assert "SHAREAI_HOME" in findings[0].mend


def test_room_on_the_disk_is_told(home: Path) -> None:
    """Of the nearest folder that is there."""
    [finding] = check_disk(subject(home / "later"))
    assert "free for" in finding.text
    assert finding.level in ("ok", "warning", "problem")


def test_fewer_open_files_than_connections_are_a_warning(home: Path) -> None:
    """With the limit that would be enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        [few] = check_open_files(subject(home))
        [enough] = check_open_files(subject(home, "[server]\nconnections = 50\n"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (few.level, few.mend) == ("warning", f"ulimit -n {2 * 4096 + 64}")
    assert enough.level == "ok"
