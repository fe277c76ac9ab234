"""The form of an entry in the journal: mark, CRC-32 of all that follows, kind, length, request, MessagePack.

The mark starts with a byte that MessagePack never uses, so that what follows damage is found again.
"""

from __future__ import annotations

from struct import Struct as Layout
from typing import Final
from zlib import crc32

from msgspec import Struct, msgpack

from shareai_cli.ledger.entries import Closed, Opened

OPENED: Final = 1
CLOSED: Final = 2

LONGEST_PAYLOAD: Final = 128 << 10
"""Bytes; a longer one is damage. Real ones take some 200."""

Frame = tuple[int, int, bytes]
"""Kind, request, payload: the payload is decoded only where somebody needs it."""

_MARK: Final = b"\xc1SA"
_SUM: Final = Layout("<3sI")
_HEAD: Final = Layout("<BIQ")
_WHOLE: Final = Layout("<3sIBIQ")

_encode = msgpack.Encoder().encode
_pack_sum, _pack_head = _SUM.pack, _HEAD.pack
decode_opened = msgpack.Decoder(Opened).decode
decode_closed = msgpack.Decoder(Closed).decode


class Split(Struct, frozen=True):
    """What a piece of a journal file holds."""

    frames: list[Frame]
    used: int
    """Bytes that need not be looked at again."""
    damaged: int
    """Bytes among them that are no entries and have entries behind them."""


def frame(entry: Opened | Closed) -> bytes:
    """Encode an entry."""
    payload = _encode(entry)
    kind = OPENED if type(entry) is Opened else CLOSED
    body = _pack_head(kind, len(payload), entry.request) + payload
    return _pack_sum(_MARK, crc32(body)) + body


def split(data: bytes, *, last: bool) -> Split:
    """Take a piece of a file apart; `last` says that nothing will follow it.

    An entry that is not whole yet is left for the next time, or, in the last piece, is the torn tail of a
    process that was killed, and dropped.
    """
    frames: list[Frame] = []
    at = damaged = skipped = 0
    size, view = len(data), memoryview(data)
    while size - at >= _WHOLE.size:
        mark, checksum, kind, length, request = _WHOLE.unpack_from(data, at)
        begin = at + _WHOLE.size
        end = begin + length
        if mark == _MARK and kind in (OPENED, CLOSED) and length <= LONGEST_PAYLOAD:
            if end > size and not last:
                break
            if end <= size and crc32(view[at + _SUM.size : end]) == checksum:
                frames.append((kind, request, data[begin:end]))
                damaged += skipped
                skipped = 0
                at = end
                continue
        following = data.find(_MARK, at + 1)
        if following < 0:
            following = size if last else size - len(_MARK) + 1
        skipped += following - at
        at = following
    if last:
        return Split(frames, size, damaged)
    return Split(frames, at, damaged + skipped)
