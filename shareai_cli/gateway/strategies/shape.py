"""What the choice of a target needs to know of a request, read from its body."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from shareai_cli.gateway.body import Fields, prompt_of

TOOLS: Final = 1
VISION: Final = 2
JSON_SCHEMA: Final = 4
"""What a request may need, as bits."""

BYTES_PER_TOKEN: Final = 4
"""What a token of a prompt is taken to be, as in the accounts."""
TOKENS_PER_MEDIUM: Final = 1_000
"""What a picture, or another file within the messages, is taken for."""

_PRECISION: Final = 3
"""Bits that a rounded number of tokens has behind its first one."""

_MEDIUM: Final = re.compile(rb'"type"\s*:\s*"(image_url|input_audio|file)"')
_BASE64: Final = re.compile(rb"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{256,}")
"""Looked for where there are media; at the beginning of words alone, so that it stays linear."""

_list_decoder = msgspec.json.Decoder(list[Raw])
_value_decoder = msgspec.json.Decoder()


class _Message(Struct):
    role: Any = None


class _Format(Struct):
    type: Any = None


_message_decoder = msgspec.json.Decoder(_Message)
_format_decoder = msgspec.json.Decoder(_Format | None)


class Shape(Struct, frozen=True):
    """What a request is like."""

    prompt: int
    """Tokens of its messages and tools, estimated."""
    longest: int | None = None
    """Tokens that it lets its answer have; None leaves them to the model."""
    needs: int = 0
    """`TOOLS`, `VISION`, `JSON_SCHEMA`."""

    @property
    def context(self) -> int:
        """Tokens of context that it needs."""
        return self.prompt + (self.longest or 0)


def shape_of(fields: Fields) -> Shape:
    """Return the shape of a request; what is malformed counts as not said."""
    messages, tools = prompt_of(fields), fields.get("tools")
    prompt = len(memoryview(messages))
    needs = 0
    if tools is not None and len(memoryview(tools)) > len(b"null"):
        needs |= TOOLS
        prompt += len(memoryview(tools))
    media = _MEDIUM.findall(memoryview(messages))
    if media:
        prompt -= sum(map(len, _BASE64.findall(memoryview(messages))))
        if b"image_url" in media:
            needs |= VISION
    if (wanted := fields.get("response_format")) is not None and _is_schema(wanted):
        needs |= JSON_SCHEMA
    longest = _tokens(fields.get("max_completion_tokens"))
    if longest is None:
        longest = _tokens(fields.get("max_tokens"))
    return Shape(-(-prompt // BYTES_PER_TOKEN) + len(media) * TOKENS_PER_MEDIUM, longest, needs)


def conversation_of(fields: Fields, caller: int) -> bytes:
    """Return what a conversation's requests have in common: a hash of all up to its first question.

    A `prompt_cache_key` (OpenAI's) stands for that where there is one. `caller` is the client's key.
    """
    digest = blake2b(b"%d\n" % caller, digest_size=16)
    key = fields.get("prompt_cache_key")
    if key is not None and bytes(key) != b"null":
        digest.update(key)
        return digest.digest()
    try:
        for message in _list_decoder.decode(prompt_of(fields)):
            digest.update(message)
            if _message_decoder.decode(message).role == "user":
                break
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        digest.update(prompt_of(fields))
    return digest.digest()


def rounded(tokens: int) -> int:
    """Round up to a step of at most an eighth: estimates are no finer, and requests share what follows."""
    step = max(0, tokens.bit_length() - 1 - _PRECISION)
    return -(-tokens >> step) << step


def _is_schema(value: Raw) -> bool:
    try:
        wanted = _format_decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return wanted is not None and wanted.type == "json_schema"


def _tokens(value: Raw | None) -> int | None:
    if value is None or len(memoryview(value)) > 12:
        return None
    try:
        tokens = _value_decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return tokens if type(tokens) is int and tokens > 0 else None
