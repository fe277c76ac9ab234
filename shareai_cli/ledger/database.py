"""Opening the database: the one connection that writes, and those of reports, which cannot."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from shareai_cli.errors import LedgerUnavailable
from shareai_cli.ledger.schema import VERSION, migrations

BUSY_MS: Final = 2000
"""How long a lock of a foreign program's is waited for."""

_STATEMENTS: Final = 128


def connect(path: Path) -> sqlite3.Connection:
    """Open the database for writing, and make or migrate it; raises `LedgerUnavailable`."""
    with understood(path):
        if path.exists() and path.stat().st_size:
            _refuse_newer(path)
        else:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(
            path,
            timeout=BUSY_MS / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS,
        )
        try:
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open the database for reading; raises `LedgerUnavailable`, also where there is none yet."""
    with understood(path):
        if not path.exists():
            raise LedgerUnavailable(
                f"There are no accounts yet: {path} does not exist.", hint="'shareai serve' begins them."
            )
        _refuse_newer(path)
        return _read_only(path)


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into `LedgerUnavailable`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise LedgerUnavailable(*_reason(path, error)) from None


def explain(error: Exception) -> str:
    """Say in a sentence what keeps the accounts from being written."""
    if isinstance(error, OSError):
        return f"The disk refuses the accounts ({error.strerror or error})."
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "The database is locked by another program."
    if code.startswith("SQLITE_FULL"):
        return "The disk has no room for the database."
    if code.startswith("SQLITE_READONLY"):
        return "The database cannot be written: it is read-only."
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return "The database is damaged."
    return f"The database cannot be written ({error})."


def _reason(path: Path, error: Exception) -> tuple[str]:
    return (f"{path}: {explain(error)} {_remedy(error)}".strip(),)


def _remedy(error: Exception) -> str:
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith("SQLITE_BUSY"):
        return "Close the program that has it open."
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return "Move it away to begin new accounts, or put a backup in its place."
    if code.startswith("SQLITE_FULL"):
        return "Make room, and start again."
    return ""


def _refuse_newer(path: Path) -> None:
    """Look at the version without touching anything."""
    with closing(_read_only(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise LedgerUnavailable(
            f"{path} was written by a newer version of this program (format {version}, not {VERSION}).",
            hint="Upgrade this installation; nothing was changed.",
        )


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_MS / 1000, isolation_level=None
    )


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if connection.execute("PRAGMA user_version").fetchone()[0] < VERSION:
        _migrate(connection)
    # Fails here and now where the database cannot be written.
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE ledger SET id = 1")
    connection.execute("COMMIT")


def _migrate(connection: sqlite3.Connection) -> None:
    from sqlite_utils import Database

    migrations().apply(Database(connection))
    connection.execute(f"PRAGMA user_version = {VERSION}")
