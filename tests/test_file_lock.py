"""A file's lock is one process's at a time, and never outlives it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shareai_cli.file_lock import FileLock

HOLDER = """
import sys
from pathlib import Path
from shareai_cli.file_lock import FileLock
lock = FileLock.take(Path(sys.argv[1]))
print(lock is not None, flush=True)
sys.stdin.read()
"""


def test_a_lock_is_anothers_until_it_is_given_back(tmp_path: Path) -> None:
    """Not waited for; the file is its owner's alone, and stays."""
    file = tmp_path / "lock"
    held = FileLock.take(file)
    assert held is not None
    assert FileLock.take(file) is None
    held.release()
    held.release()
    with FileLock.take(file) or pytest.fail("the lock was not given back"):
        assert FileLock.take(file) is None
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    """However it ends; meanwhile no other process has it."""
    file = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        assert FileLock.take(file) is None
        holder.kill()
    lock = FileLock.take(file)
    assert lock is not None
    lock.release()


def test_a_file_that_cannot_be_made_is_the_callers_to_explain(tmp_path: Path) -> None:
    """The system's own error comes through."""
    with pytest.raises(FileNotFoundError):
        FileLock.take(tmp_path / "nowhere" / "lock")
