from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from shareai_cli.errors import ExitCode, LedgerUnavailable
from shareai_cli.ledger import recent, usage_report
from shareai_cli.ledger.schema import VERSION, migrations
from shareai_cli.paths import Paths, find_paths
from shareai_cli.types import Outcome
from tests.ledger.making import locked_by_foreigner, open_ledger, record, recorded


def refusal(paths: Paths) -> LedgerUnavailable:
    """Open the accounts, and return why that cannot be."""
    with pytest.raises(LedgerUnavailable) as refused:
        open_ledger(paths)
    assert refused.value.exit_code is ExitCode.FAILURE
    return refused.value


def make_accounts(paths: Paths) -> None:
    """Leave accounts of ten requests."""
    ledger = open_ledger(paths)
    record(ledger, range(1, 11))
    ledger.close()


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_newer_database_is_refused_untouched(paths: Paths) -> None:
    """Neither opening nor reporting changes a byte, and both say what to do."""
    make_accounts(paths)
    with closing(sqlite3.connect(paths.database)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = contents(paths.state)
    error = refusal(paths)
    with pytest.raises(LedgerUnavailable, match="newer version"):
        usage_report(paths)
    assert contents(paths.state) == before
    assert f"format {VERSION + 1}, not {VERSION}" in error.message
    assert "Upgrade" in str(error.hint)


def test_an_older_database_is_migrated(paths: Paths) -> None:
    """A database whose version lags behind its tables, as after a kill during a migration, is finished."""
    make_accounts(paths)
    with closing(sqlite3.connect(paths.database)) as connection:
        connection.execute("PRAGMA user_version = 0")
    open_ledger(paths).close()
    assert recorded(paths) == list(range(1, 11))


def test_accounts_of_the_first_version_are_read_on(paths: Paths) -> None:
    """What was counted before rejected requests were a kind of their own stays, and new ones are added."""
    paths.make_state()
    with closing(sqlite3.connect(paths.database, isolation_level=None)) as connection:
        migrations().apply(Database(connection), stop_before="rejected_requests")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("INSERT INTO names (id, name) VALUES (1, 'old')")
        places = [name for (_, name, *_) in connection.execute("PRAGMA table_info(hourly)")]
        row = dict.fromkeys(places, 0) | {"dimension": 1, "name": 1, "requests": 5, "failed": 2}
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO hourly ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
    ledger = open_ledger(paths)
    record(ledger, range(1, 4), outcome=Outcome.REJECTED, status=400)
    ledger.close()
    rows = {row.name: row for row in usage_report(paths, by="route").rows}
    assert (rows["old"].requests, rows["old"].failed, rows["old"].rejected) == (5, 2, 0)
    assert (rows["chat"].requests, rows["chat"].rejected) == (3, 3)
    assert [row.outcome for row in recent(paths)] == [Outcome.REJECTED] * 3


def test_a_file_that_is_no_database(paths: Paths) -> None:
    """It is named, and left as it is."""
    paths.make_state()
    paths.database.write_bytes(b"something else entirely\n" * 100)
    assert str(paths.database) in str(refusal(paths))
    assert "not a database" in str(refusal(paths))
    assert paths.database.read_bytes() == b"something else entirely\n" * 100


def test_a_damaged_database(paths: Paths) -> None:
    """Pages full of nonsense are told as damage, not as a traceback."""
    make_accounts(paths)
    content = bytearray(paths.database.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    paths.database.write_bytes(content)
    assert "damaged" in str(refusal(paths))


def test_a_database_that_another_program_has_locked(paths: Paths) -> None:
    """After a bounded wait a line says so."""
    make_accounts(paths)
    with locked_by_foreigner(paths):
        assert "locked by another program" in str(refusal(paths))
    open_ledger(paths).close()


def test_a_journal_folder_that_cannot_be_made(paths: Paths) -> None:
    """A file in its place is named."""
    paths.make_state()
    paths.journal.write_text("in the way")
    assert str(paths.journal) in str(refusal(paths))


def test_a_read_only_disk(small_disk: Path) -> None:
    """Accounts on a file system that takes nothing: a line, not a traceback; reading goes on."""
    paths = find_paths({"SHAREAI_HOME": str(small_disk / "home")})
    make_accounts(paths)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    message = str(refusal(paths))
    assert str(paths.state) in message


def test_a_full_disk(small_disk: Path) -> None:
    """The first start without room for a database says so."""
    paths = find_paths({"SHAREAI_HOME": str(small_disk / "home")})
    paths.make_state()
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="space"):
        while True:
            file.write(bytes(4096))
    assert "room" in str(refusal(paths))
    ballast.unlink()
    make_accounts(paths)
    assert recorded(paths) == list(range(1, 11))
