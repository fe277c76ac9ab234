"""An export of the audit, a row of JSON a line, verified by the file alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import astuple

from shareai_cli.errors import StateError, UsageError
from shareai_cli.ledger.audit_chain import Values, faults_of, look_at
from shareai_cli.ledger.schema import AUDIT_START
from shareai_cli.types import AuditRow, AuditVerdict

LONGEST: Final = 16 << 20
"""Bytes of a line; the longest rows hold whole sections of a configuration."""

_decode = msgspec.json.Decoder(AuditRow).decode


def verify_export(file: Path) -> AuditVerdict:
    """Look at every row of an export, however many; nothing in it tells whether rows are missing at its end.

    Raises `UsageError` where there is no such file, `StateError` where a line is not the next row.
    """
    chain = look_at(lambda: _rows(file))
    head = (chain.end.id, str(chain.end.hash)) if chain.end is not None else (0, AUDIT_START)
    return AuditVerdict(chain.rows, head[1], tuple(faults_of(chain, head)))


def _rows(file: Path) -> Iterator[Values]:
    """Return the rows, which have to be in the order of their ids."""
    latest: int | None = None
    for number, line in _lines(file):
        try:
            row = _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise _misplaced(file, number, "that is no row of an audit") from None
        if latest is not None and row.id <= latest:
            raise _misplaced(file, number, f"row {row.id} is there twice, or behind row {latest}")
        latest = row.id
        yield astuple(row)


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with file.open("rb") as stream:
            for number, line in enumerate(iter(lambda: stream.readline(LONGEST + 1), b""), 1):
                if len(line) > LONGEST:
                    raise _misplaced(file, number, "that is no row of an audit")
                yield number, line
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None


def _misplaced(file: Path, number: int, what: str) -> StateError:
    return StateError(
        f"{file}, line {number}: {what}.",
        hint="'shareai audit export FILE' writes every row once, in their order, a line for each.",
    )
