from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from shareai_cli.ledger.journal import Journal, Position, file_numbers, file_of


class Disk:
    """A disk with room for so many more bytes; what does not fit is written in part, as on a full tmpfs."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.room = room

    def write(self, descriptor: int, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = data[: self.room]
        self.room -= len(part)
        return os.write(descriptor, part)


def content(folder: Path, number: int = 1) -> bytes:
    return file_of(folder, number).read_bytes()


def test_entries_are_in_the_file_when_append_returns(tmp_path: Path) -> None:
    """Another process reads what was appended, in order: a killed process loses nothing."""
    journal = Journal(tmp_path, 1)
    for number in range(10):
        journal.append([b"entry%d" % number])
    assert content(tmp_path) == b"".join(b"entry%d" % number for number in range(10))
    assert journal.end == Position(1, 60)
    journal.close()


def test_a_new_file_begins_at_the_size_limit(tmp_path: Path) -> None:
    """Files are numbered on, and each entry is whole in one of them."""
    journal = Journal(tmp_path, 7, file_bytes=100)
    for _ in range(25):
        journal.append([b"x" * 30])
    journal.sync()
    journal.close()
    assert file_numbers(tmp_path) == [7, 8, 9, 10, 11, 12, 13]
    assert {len(content(tmp_path, number)) for number in range(7, 13)} == {120}


def test_files_are_private(tmp_path: Path) -> None:
    """Nobody else on the machine reads who asked what."""
    Journal(tmp_path, 1).close()
    assert file_of(tmp_path, 1).stat().st_mode & 0o077 == 0


def test_an_existing_file_is_never_continued(tmp_path: Path) -> None:
    """What may end in a torn entry is not written to again."""
    Journal(tmp_path, 1).close()
    with pytest.raises(FileExistsError):
        Journal(tmp_path, 1)


@pytest.mark.parametrize("room", range(30, 41))
def test_a_short_write_is_cut_off_and_written_again(tmp_path: Path, room: int) -> None:
    """However much of an entry a full disk took: whole entries, in order, once there is room."""
    disk = Disk(room)
    journal = Journal(tmp_path, 1, write=disk.write)
    entries = [b"%010d" % number for number in range(8)]
    for entry in entries:
        journal.append([entry])
    assert content(tmp_path) == b"".join(entries[: room // 10])
    assert len(journal.waiting) == 8 - room // 10
    assert "journal" in str(journal.problem)
    disk.room = 1 << 20
    journal.retry()
    assert content(tmp_path) == b"".join(entries)
    assert (len(journal.waiting), journal.problem) == (0, None)
    journal.close()


def test_entries_behind_waiting_ones_wait_too(tmp_path: Path) -> None:
    """The order stays, also when there is room again before what waits was written."""
    disk = Disk(0)
    journal = Journal(tmp_path, 1, write=disk.write)
    journal.append([b"first"])
    disk.room = 1 << 20
    journal.append([b"second"])
    assert content(tmp_path) == b""
    journal.retry()
    journal.append([b"third"])
    assert content(tmp_path) == b"firstsecondthird"
    journal.close()


def test_a_retry_that_fails_keeps_what_waits(tmp_path: Path) -> None:
    """A disk with room for one entry takes one, and the rest goes on waiting in order."""
    disk = Disk(0)
    journal = Journal(tmp_path, 1, write=disk.write)
    for number in range(4):
        journal.append([b"entry%d" % number])
    disk.room = 8
    journal.retry()
    assert content(tmp_path) == b"entry0"
    disk.room = 1 << 20
    journal.retry()
    assert content(tmp_path) == b"entry0entry1entry2entry3"
    journal.close()


def test_after_close_an_entry_goes_nowhere_else(tmp_path: Path) -> None:
    """A late entry never lands in a file that took over the descriptor's number."""
    journal = Journal(tmp_path, 1)
    journal.close()
    other = tmp_path / "other"
    with other.open("wb"):
        journal.append([b"late"])
    assert other.read_bytes() == b""
    assert list(journal.waiting) == [b"late"]
