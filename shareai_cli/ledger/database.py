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

_ERRORS: Final = {
    "SQLITE_BUSY": ("The database is locked by another program.", "Close the program that has it open."),
    "SQLITE_FULL": ("The disk has no room for the database.", "Make room on it."),
    "SQLITE_READONLY": ("The database is read-only.", "Let this user write the file and its folder."),
    "SQLITE_CANTOPEN": ("The database cannot be opened.", "Let this user write the file and its folder."),
    "SQLITE_CORRUPT": ("The database is damaged.", "Put a backup in its place, or move it away."),
    "SQLITE_NOTADB": ("This is not a database.", "Put a backup in its place, or move it away."),
}
"""What to say, by how SQLite's name of an error begins (sqlite.org/rescode.html)."""


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
        raise LedgerUnavailable(f"{path}: {explain(error)}", hint=_remedy(error)) from None


def explain(error: Exception) -> str:
    """Say in a sentence what keeps the accounts from being read or written."""
    if isinstance(error, OSError):
        return f"The accounts cannot be kept there ({error.strerror or error})."
    known = _known(error)
    return known[0] if known else f"The database cannot be used ({error})."


def _remedy(error: Exception) -> str | None:
    known = _known(error)
    return known[1] if known else None


def _known(error: Exception) -> tuple[str, str] | None:
    name = getattr(error, "sqlite_errorname", "")
    return next((said for start, said in _ERRORS.items() if name.startswith(start)), None)


def _refuse_newer(path: Path) -> None:
    """Look at the version without touching anything."""
    log = path.with_name(f"{path.name}-wal")
    # Without a log, SQLite need not even make the file that connections share.
    immutable = not log.exists() or not log.stat().st_size
    with closing(_read_only(path, immutable=immutable)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise LedgerUnavailable(
            f"{path} was written by a newer version of this program (format {version}, not {VERSION}).",
            hint="Upgrade this installation; nothing was changed.",
        )


def _read_only(path: Path, *, immutable: bool = False) -> sqlite3.Connection:
    address = f"file:{quote(str(path))}?mode=ro{'&immutable=1' if immutable else ''}"
    return sqlite3.connect(address, uri=True, timeout=BUSY_MS / 1000, isolation_level=None)


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
