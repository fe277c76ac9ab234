"""Kept replies of one route in memory: those not asked for the longest go first."""

from __future__ import annotations

from collections import OrderedDict

from msgspec import Struct

from shareai_cli.gateway.cache.recording import PIECE_BYTES
from shareai_cli.ledger import KeptReply

ENTRY_BYTES = 512
"""What a reply takes in memory beside its pieces, about."""


class _Entry(Struct, frozen=True):
    reply: KeptReply
    size: int


class Memory:
    """Replies by key, at most `most` bytes of them, overheads included."""

    def __init__(self, most: int) -> None:
        self._most = most
        # Not a dict: finding its first entry takes as long as the list of those that went before it.
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        """The one asked for last is the last."""
        self.size = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<Memory [replies: {len(self)}, bytes: {self.size}]>"

    def find(self, key: bytes, since_ms: int, until_ms: int) -> KeptReply | None:
        """Return a reply that was kept from `since_ms` to `until_ms`; any other one of this key goes."""
        entries = self._entries
        entry = entries.pop(key, None)
        if entry is None:
            return None
        if not since_ms <= entry.reply.kept_ms <= until_ms:
            self.size -= entry.size
            return None
        entries[key] = entry
        return entry.reply

    def keep(self, key: bytes, reply: KeptReply) -> None:
        """Keep a reply, in the place of one that has the key."""
        size = ENTRY_BYTES + reply.size + PIECE_BYTES * len(reply.pieces)
        former = self._entries.pop(key, None)
        if former is not None:
            self.size -= former.size
        if size > self._most:
            return
        self._entries[key] = _Entry(reply, size)
        self.size += size
        self._shrink()

    def limit(self, most: int) -> None:
        """Keep at most that many bytes from now on."""
        self._most = most
        self._shrink()

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.size = 0

    def _shrink(self) -> None:
        while self.size > self._most:
            self.size -= self._entries.popitem(last=False)[1].size
