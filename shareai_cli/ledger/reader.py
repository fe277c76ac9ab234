"""The end of the journal that is read from: what the writer moves into the database, piece by piece."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct

from shareai_cli.ledger.frames import CLOSED, LONGEST_PAYLOAD, Frame, split
from shareai_cli.ledger.journal import Journal, Position, file_of

LONG_PIECE: Final = 2 * LONGEST_PAYLOAD
"""Bytes that are read where an entry is longer than a piece."""


class Piece(Struct, frozen=True):
    """Entries, and the position behind them."""

    frames: list[Frame]
    after: Position
    damaged: int = 0


class JournalReader:
    """Reads the files up to what the journal says is whole."""

    def __init__(self, folder: Path, journal: Journal, position: Position) -> None:
        self._folder = folder
        self._journal = journal
        self._file: BinaryIO | None = None
        self._file_number = -1
        self.position = position

    def __repr__(self) -> str:
        return f"<JournalReader [file: {self.position.file}, offset: {self.position.offset}]>"

    def has_more(self) -> bool:
        """Tell whether there may be something behind the position."""
        return self.position < self._journal.end

    def unmoved_bytes(self) -> int:
        """Return the size of what lies behind the position."""
        position, end = self.position, self._journal.end
        if position.file == end.file:
            return max(end.offset - position.offset, 0)
        sizes = [self._size(number) for number in range(position.file, end.file)]
        return max(sum(sizes) - position.offset, 0) + end.offset

    def next(self, position: Position, most: int) -> Piece | None:
        """Return the piece at a position, of so many bytes if it can be; None where there is none yet.

        Raises `OSError`.
        """
        return self._next(position, most) or self._next(position, LONG_PIECE)

    def advance(self, position: Position) -> None:
        """Go on from a position: what lies before it is in the database."""
        self.position = position

    def opened_before_position(self) -> dict[int, bytes]:
        """Return the `Opened` of this file that no `Closed` has followed up to the position."""
        under_way: dict[int, bytes] = {}
        end, at = self.position.offset, 0
        while at < end:
            data = self._read(self.position.file, at, min(LONG_PIECE, end - at))
            found = split(data, last=at + len(data) >= end or not data)
            if not found.used:
                break
            at += found.used
            for kind, request, payload in found.frames:
                if kind == CLOSED:
                    under_way.pop(request, None)
                else:
                    under_way[request] = bytes(payload)
        return under_way

    def _next(self, position: Position, most: int) -> Piece | None:
        number, offset = position.file, position.offset
        size = self._journal.size
        live = number == self._journal.number
        if live and size <= offset:
            return None
        data = self._read(number, offset, min(most, size - offset) if live else most)
        last = not live and len(data) < most
        found = split(data, last=last)
        after = Position(number + 1, 0) if last else Position(number, offset + found.used)
        return Piece(found.frames, after, found.damaged) if after != position else None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._file_number = -1

    def _size(self, number: int) -> int:
        try:
            return file_of(self._folder, number).stat().st_size
        except OSError:
            return 0

    def _read(self, number: int, offset: int, size: int) -> bytes:
        if self._file_number != number:
            self.close()
            try:
                self._file = file_of(self._folder, number).open("rb", buffering=0)
            except FileNotFoundError:
                return b""  # a number that was never used, or a file that somebody took away
            self._file_number = number
        assert self._file is not None  # noqa: S101 - for the type checker
        self._file.seek(offset)
        return self._file.read(size)
