"""What a client may ask for, each under a path of its own."""

from __future__ import annotations

from msgspec import Struct


class Kind(Struct, frozen=True, eq=False):
    """One of the things that targets can be asked for."""

    path: str
    """Under a base URL."""
    prompt: str
    """The field that holds what the model reads."""
    streams: bool = True


CHAT = Kind("/chat/completions", "messages")
COMPLETION = Kind("/completions", "prompt")
EMBEDDING = Kind("/embeddings", "input", streams=False)

BESIDE_CHAT = (COMPLETION, EMBEDDING)
KINDS = (CHAT, *BESIDE_CHAT)
