"""Reading what passes by: usage, finish reasons, errors and first content, without changing a byte.

Counts come as OpenAI's `usage` object gives them; dialects that differ are settled by `total_tokens`.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from shareai_cli.errors import MalformedReply
from shareai_cli.types import Usage
from shareai_cli.wire.sse import data_of

Count = Annotated[int, Meta(ge=0, le=1 << 40)]

DONE = b"[DONE]"


class _PromptDetails(Struct, gc=False):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    cache_creation_tokens: Count | None = None
    audio_tokens: Count | None = None


class _CompletionDetails(Struct, gc=False):
    reasoning_tokens: Count | None = None
    audio_tokens: Count | None = None


class _Usage(Struct, gc=False):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    total_tokens: Count | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: Count | None = None


class _UsageHolder(Struct, gc=False):
    usage: _Usage | None = None


class _Completion(Struct, gc=False):
    choices: list[Raw] | None = None
    error: Raw = Raw(b"null")
    usage: _Usage | None = None


class _UncountedCompletion(Struct, gc=False):
    choices: list[Raw] | None = None
    error: Raw = Raw(b"null")


class _Embeddings(Struct, gc=False):
    data: list[Raw] | None = None
    error: Raw = Raw(b"null")
    usage: _Usage | None = None


class _Delta(Struct):
    content: Raw = Raw(b"")
    reasoning_content: Raw = Raw(b"")
    reasoning: Raw = Raw(b"")
    refusal: Raw = Raw(b"")
    audio: Raw = Raw(b"")
    tool_calls: Raw = Raw(b"")
    function_call: Raw = Raw(b"")


class _Choice(Struct):
    delta: _Delta | None = None
    text: Raw = Raw(b"")
    finish_reason: str | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    error: Raw = Raw(b"")


_usage_decoder = msgspec.json.Decoder(_UsageHolder)
_completion_decoder = msgspec.json.Decoder(_Completion)
_embeddings_decoder = msgspec.json.Decoder(_Embeddings)
_uncounted_decoder = msgspec.json.Decoder(_UncountedCompletion)
_chunk_decoder = msgspec.json.Decoder(_Chunk)

_EMPTY = frozenset((b"", b"null", b'""', b"[]", b"{}"))
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_holds_usage = re.compile(rb'"usage"\s*:\s*\{').search
_holds_finish = re.compile(rb'"finish_reason"\s*:\s*"').search
_no_choices = re.compile(rb'"choices"\s*:\s*\[\s*\]').search


def completion_usage(body: bytes) -> Usage | None:
    """Check that a 2xx body is what it promises, and read its disjoint token counts, None without any.

    Raises `MalformedReply` unless it is a JSON object with `choices` and without an `error`.
    """
    try:
        completion = _completion_decoder.decode(body)
    except _UNREADABLE:
        completion = _without_usage(body)
    if completion.choices is None or bytes(completion.error) not in _EMPTY:
        raise MalformedReply("no completion in the body of its 2xx")
    return _disjoint(completion.usage)


def embeddings_usage(body: bytes) -> Usage | None:
    """Do the same with embeddings, which are `data`."""
    try:
        found = _embeddings_decoder.decode(body)
    except _UNREADABLE:
        found = _Embeddings()
    if found.data is None or bytes(found.error) not in _EMPTY:
        raise MalformedReply("no embeddings in the body of its 2xx")
    return _disjoint(found.usage)


def _without_usage(body: bytes) -> _Completion:
    """Read a completion that cannot be read, perhaps for an odd usage alone, which fails no request."""
    try:
        uncounted = _uncounted_decoder.decode(body)
    except _UNREADABLE:
        return _Completion()
    return _Completion(uncounted.choices, uncounted.error)


def usage_of(data: bytes) -> Usage | None:
    """Read the disjoint token counts out of an event's data; None where there are none."""
    try:
        return _disjoint(_usage_decoder.decode(data).usage)
    except _UNREADABLE:
        return None


def _disjoint(found: _Usage | None) -> Usage | None:
    if found is None or found.prompt_tokens is None:
        return None
    prompt, completion, total = found.prompt_tokens, found.completion_tokens or 0, found.total_tokens
    cached, written, reasoning, has_audio = found.prompt_cache_hit_tokens or 0, 0, 0, False
    if (details := found.prompt_tokens_details) is not None:
        cached = details.cached_tokens or cached
        written = details.cache_write_tokens or details.cache_creation_tokens or 0
        has_audio = bool(details.audio_tokens)
    if (output := found.completion_tokens_details) is not None and output.audio_tokens:
        has_audio = True
    if total is not None and total > prompt + completion:
        # Some count thinking beside the completion (xAI), or only in the total (Gemini).
        reasoning = total - prompt - completion
    elif output is not None and output.reasoning_tokens:
        reasoning = min(output.reasoning_tokens, completion)
        completion -= reasoning
    if cached or written:
        cached = min(cached, prompt)
        written = min(written, prompt - cached)
        prompt -= cached + written
    return Usage(prompt, cached, written, completion, reasoning, has_audio)


class EventKind:
    """What one event of a stream is, as `classify_event` tells."""

    OTHER = 0
    CONTENT = 1
    """Text, reasoning, a refusal, audio, a tool call, or the reason why there is none."""
    ERROR = 2
    DONE = 3
    USAGE = 4
    """Has counts in it, beside content or not."""


def classify_event(event: bytes) -> int:
    """Classify an event that came before any content (`EventKind`)."""
    data = data_of(event)
    if data is None:
        return EventKind.OTHER
    if data.strip() == DONE:
        return EventKind.DONE
    if event.startswith(b"event: error"):
        return EventKind.ERROR
    try:
        chunk = _chunk_decoder.decode(data)
    except _UNREADABLE:
        return EventKind.ERROR
    if bytes(chunk.error) not in _EMPTY:
        return EventKind.ERROR
    for choice in chunk.choices or ():
        if choice.finish_reason == "error":
            return EventKind.ERROR
        if choice.finish_reason or bytes(choice.text) not in _EMPTY:
            return EventKind.CONTENT
        if choice.delta is not None and _has_content(choice.delta):
            return EventKind.CONTENT
    return EventKind.OTHER


def _has_content(delta: _Delta) -> bool:
    return any(
        bytes(value) not in _EMPTY
        for value in (
            delta.content,
            delta.reasoning_content,
            delta.reasoning,
            delta.refusal,
            delta.audio,
            delta.tool_calls,
            delta.function_call,
        )
    )


class StreamTap:
    """Follows the events of one stream once content flows."""

    __slots__ = ("finished", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finished = False

    def note(self, event: bytes) -> int:
        """Take in one event; tells `DONE`, `ERROR`, `USAGE`, or `OTHER` (0) for all that just passes."""
        find = event.find  # `in` takes longer: it tries bytes as a number first
        if (
            find(b'"usage"') < 0
            and find(b"error") < 0
            and find(DONE) < 0
            and (self.finished or not _holds_finish(event))
        ):
            return EventKind.OTHER
        return self._take_in(event)

    def _take_in(self, event: bytes) -> int:
        """Take in an event that may be more than text."""
        kind = EventKind.OTHER
        if _holds_usage(event):
            kind = EventKind.USAGE
            self.usage = usage_of(data_of(event) or b"") or self.usage
        if _holds_finish(event):
            self.finished = True
        if is_done(event):
            return EventKind.DONE
        names_error = b'"error"' in event or b"event: error" in event
        if names_error and classify_event(event) == EventKind.ERROR:
            return EventKind.ERROR
        return kind


def is_only_usage(event: bytes) -> bool:
    """Whether an event is the one that `stream_options.include_usage` adds: usage, and empty `choices`."""
    return bool(_no_choices(event) and _holds_usage(event))


def is_done(event: bytes) -> bool:
    """Whether an event is the `[DONE]` that ends a stream, with or without its blank line."""
    return (data_of(event) or b"").strip() == DONE
