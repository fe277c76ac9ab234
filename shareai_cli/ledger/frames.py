"""The form of entries in the journal: mark, CRC-32 of all that follows, kind, length, request, MessagePack.

The mark starts with a byte that MessagePack never uses, so that what follows damage is found again. Entries
that are written together are one frame, which has their number in the request's place.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct as Layout
from typing import Final
from zlib import crc32

from msgspec import MsgspecError, Raw, Struct, msgpack

from shareai_cli.ledger.entries import Closed, Opened

OPENED: Final = 1
CLOSED: Final = 2
_GROUP: Final = 3

LONGEST_GROUP: Final = 16
"""Entries to a frame: what damage to it costs, and some 3 KB."""

LONGEST_PAYLOAD: Final = 512 << 10
"""Bytes; a longer one is damage. Real entries take some 200."""

Payload = bytes | Raw
Frame = tuple[int, int, Payload]
"""Kind, request, payload: the payload is decoded only where somebody needs it."""

_MARK: Final = b"\xc1SA"
_SUM: Final = Layout("<3sI")
_HEAD: Final = Layout("<BIQ")
_WHOLE: Final = Layout("<3sIBIQ")

_encode = msgpack.Encoder().encode
_pack_sum, _pack_head = _SUM.pack, _HEAD.pack
decode_opened = msgpack.Decoder(Opened).decode
decode_closed = msgpack.Decoder(Closed).decode
_decode_group = msgpack.Decoder(list[tuple[int, int, Raw]]).decode


class Split(Struct, frozen=True):
    """What a piece of a journal file holds."""

    frames: list[Frame]
    used: int
    """Bytes that need not be looked at again."""
    damaged: int
    """Bytes among them that are no entries and have entries behind them."""


def frame(entry: Opened | Closed) -> bytes:
    """Encode an entry."""
    return _frame(_kind(entry), entry.request, _encode(entry))


def frames(entries: Sequence[Opened | Closed]) -> list[bytes]:
    """Encode entries that are written together, which costs less than one by one."""
    if len(entries) == 1:
        return [frame(entries[0])]
    groups = [entries[at : at + LONGEST_GROUP] for at in range(0, len(entries), LONGEST_GROUP)]
    return [
        _frame(_GROUP, len(group), _encode([(_kind(one), one.request, one) for one in group]))
        for group in groups
    ]


def _kind(entry: Opened | Closed) -> int:
    return OPENED if type(entry) is Opened else CLOSED


def _frame(kind: int, request: int, payload: bytes) -> bytes:
    body = _pack_head(kind, len(payload), request) + payload
    return _pack_sum(_MARK, crc32(body)) + body


def split(data: bytes, *, last: bool) -> Split:
    """Take a piece of a file apart; `last` says that nothing will follow it.

    An entry that is not whole yet is left for the next time, or, in the last piece, is the torn tail of a
    process that was killed, and dropped.
    """
    found: list[Frame] = []
    at = damaged = skipped = 0
    size, view = len(data), memoryview(data)
    while size - at >= _WHOLE.size:
        mark, checksum, kind, length, request = _WHOLE.unpack_from(data, at)
        begin = at + _WHOLE.size
        end = begin + length
        if mark == _MARK and OPENED <= kind <= _GROUP and length <= LONGEST_PAYLOAD:
            if end > size and not last:
                break
            if end <= size and crc32(view[at + _SUM.size : end]) == checksum:
                if kind == _GROUP:
                    found += _apart(view[begin:end])
                else:
                    found.append((kind, request, data[begin:end]))
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
        return Split(found, size, damaged)
    return Split(found, at, damaged + skipped)


def _apart(payload: memoryview) -> list[Frame]:
    """Take a group apart; nothing of one that a program of another version wrote."""
    try:
        return [*_decode_group(payload)]
    except MsgspecError:
        return []
