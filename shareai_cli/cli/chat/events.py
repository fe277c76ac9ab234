"""What the events of a streamed chat completion say, and what a refusal says."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from shareai_cli.cli.chat.answer import Answer, Tokens
from shareai_cli.errors import (
    AuthenticationFailed,
    ContextTooLong,
    EngineBusy,
    EngineFailed,
    LedgerUnavailable,
    MalformedReply,
    MalformedRequest,
    ModelUnavailable,
    NoTargetLeft,
    Overloaded,
    PermissionRefused,
    RequestError,
    RequestTooLarge,
    ShareAIError,
    UpstreamError,
    UsageError,
)
from shareai_cli.wire.sse import data_of

MOST_CHARACTERS: Final = 32 << 20
"""The longest answer that is taken."""

_MODEL_NOT_FOUND = "model_not_found"

_ERRORS: Final = {
    error.code: error
    for error in (
        AuthenticationFailed, ContextTooLong, EngineBusy, EngineFailed, LedgerUnavailable, ModelUnavailable,
        NoTargetLeft, Overloaded, PermissionRefused, RequestTooLarge, UpstreamError,
    )
} | {_MODEL_NOT_FOUND: UsageError}  # fmt: skip
"""The gateway's errors by their code; a model that nobody knows is a mistake in what was typed."""

_TARGET = re.compile(rb": x-shareai-target: (\S{1,512}) x-shareai-attempts: (\d{1,4})\s")
"""The comment that tells who answered, where keep-alive comments went out before that was known."""


class _Delta(Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class _Choice(Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: Tokens | None = None
    error: Any = None


class _Detail(Struct):
    message: str = ""
    code: str | int | None = None


_chunk_decoder = msgspec.json.Decoder(_Chunk)


class _Refusal(Struct):
    error: Any = None


def take_event(answer: Answer, event: bytes) -> bool:
    """Let an answer take in one event of its stream; returns whether that was the last one.

    Raises the error that the event tells of, `MalformedReply` where it cannot be understood.
    """
    data = data_of(event)
    if data is None:
        _take_comment(answer, event)
        return False
    if data.strip() == b"[DONE]":
        return True
    try:
        chunk = _chunk_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise MalformedReply("The answer has an event that is not of a chat completion.") from None
    if chunk.error is not None:
        raise _error(502, chunk.error)
    _take_chunk(answer, chunk)
    return False


def refused(status: int, body: bytes) -> ShareAIError:
    """Return the error that a reply other than 200 tells of."""
    try:
        return _error(status, msgspec.json.decode(body, type=_Refusal).error)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _error(status, None)


def _take_chunk(answer: Answer, chunk: _Chunk) -> None:
    if chunk.usage is not None:
        answer.tokens = chunk.usage
    for choice in chunk.choices or ():
        if choice.finish_reason:
            answer.finish_reason = choice.finish_reason
        delta = choice.delta
        if delta is None:
            continue
        if text := delta.content or delta.refusal:
            answer.add(text)
        elif delta.reasoning or delta.reasoning_content:
            answer.think()
    if answer.characters > MOST_CHARACTERS:
        raise MalformedReply(f"The answer is longer than {MOST_CHARACTERS} characters.")


def _take_comment(answer: Answer, event: bytes) -> None:
    if (found := _TARGET.match(event)) is not None:
        answer.target = found[1].decode("ascii", "replace")
        answer.attempts = int(found[2])


def _error(status: int, told: object) -> ShareAIError:
    """Return an error of the class that its code names, else of the one that the status suggests."""
    detail = _detail(told)
    message = detail.message or f"The gateway answered with HTTP {status}."
    message = message.replace("GET /v1/models lists", "shareai models lists")  # for one who types commands
    kind = _ERRORS.get(str(detail.code)) or _by_status(status)
    return kind(message)


def _detail(told: object) -> _Detail:
    if isinstance(told, str):
        return _Detail(told)
    try:
        return msgspec.convert(told, _Detail)
    except msgspec.ValidationError:
        return _Detail()


def _by_status(status: int) -> type[ShareAIError]:
    if status == 401:
        return AuthenticationFailed
    if status == 403:
        return PermissionRefused
    if status == 429 or status >= 500:
        return UpstreamError
    return MalformedRequest if status == 400 else RequestError
