"""Entries, prices and ledgers as the tests of the accounts need them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from msgspec.structs import replace

from shareai_cli.ledger import Closed, Ledger, Opened
from shareai_cli.paths import Paths
from shareai_cli.types import Attempt, Outcome, Usage

NOW_MS = 1_790_000_000_000  # Mon, 21 Sep 2026 14:13:20 GMT

OPENED = Opened(
    request=1,
    time_ms=NOW_MS,
    caller_key=7,
    team="default",
    route="chat",
    streamed=True,
    prompt_bytes=400,
    fingerprint=b"12345678",
)

CLOSED = Closed(
    request=1,
    time_ms=NOW_MS,
    caller_key=7,
    team="default",
    route="chat",
    target="alpha/m",
    price_as="alpha",
    model="m",
    provider_key="aabbccdd",
    status=200,
    streamed=True,
    outcome=Outcome.OK,
    error="",
    attempts=(Attempt("alpha/m", "aabbccdd", "ok", 200, 1500),),
    usage=Usage(10, 20, 5, 7, 3),
    prompt_bytes=400,
    completion_bytes=40,
    first_token_us=900,
    total_us=2000,
    fingerprint=b"12345678",
)


def opened(request: int, **changes: Any) -> Opened:
    """Return an `Opened` that differs from `OPENED` in what is given."""
    return replace(OPENED, request=request, **changes)


def closed(request: int, **changes: Any) -> Closed:
    """Return a `Closed` that differs from `CLOSED` in what is given."""
    return replace(CLOSED, request=request, **changes)


class FakePrices:
    """Model `m` of `alpha` costs a nano-dollar for each token of whatever kind."""

    def cost_nano(self, price_as: str, model: str, usage: Usage, time_ms: int) -> int | None:
        if (price_as, model) != ("alpha", "m"):
            return None
        return usage.prompt + usage.cached + usage.cache_write + usage.completion + usage.reasoning


def open_ledger(paths: Paths, **options: Any) -> Ledger:
    """Open the accounts with made-up prices."""
    return Ledger.open(paths, FakePrices, **options)


def record(ledger: Ledger, requests: Iterable[int], **changes: Any) -> None:
    """Take in both entries of some requests."""
    for request in requests:
        ledger.opened(opened(request))
        ledger.closed(closed(request, **changes))


def query(paths: Paths, statement: str) -> list[tuple[Any, ...]]:
    """Ask the database, on a connection that only reads."""
    with closing(sqlite3.connect(f"file:{paths.database}?mode=ro", uri=True)) as connection:
        return connection.execute(statement).fetchall()


def recorded(paths: Paths) -> list[int]:
    """Return the requests that have rows."""
    return [row[0] for row in query(paths, "SELECT id FROM requests ORDER BY id")]


def journal_files(paths: Paths) -> list[str]:
    """Return the names of the journal's files."""
    return sorted(path.name for path in paths.journal.iterdir())


@contextmanager
def locked_by_foreigner(paths: Paths) -> Iterator[None]:
    """Let a connection that is none of the ledger's hold the database's lock."""
    with closing(sqlite3.connect(paths.database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def check_whole(paths: Paths) -> None:
    """Check that the database is undamaged, and that the hourly sums are those of the rows."""
    assert query(paths, "PRAGMA integrity_check") == [("ok",)]
    rows = query(
        paths, "SELECT count(*), coalesce(sum(cost_nano), 0), coalesce(sum(prompt), 0) FROM requests"
    )
    for dimension in (1, 2, 3):
        sums = (
            "SELECT coalesce(sum(requests), 0), coalesce(sum(cost_nano), 0), coalesce(sum(prompt), 0) "
            f"FROM hourly WHERE dimension = {dimension}"
        )
        assert query(paths, sums) == rows
