"""What an upstream's reply means for the next step: pure, one function, the table of the design.

408, 409, 5xx                next target; repeated, the target is ejected
429                          the (key, model) cools; next key, then next target
401, 402, insufficient_quota the key is put aside; next key
403                          next key; after three different requests the (key, model) is put aside
404, 410                     the target is put aside; next target
404, 405, 410, 501           to what is no chat: next target; this one may serve chats all the same
other 4xx                    the client's: passed back, never retried
1xx, 3xx                     not an answer: next target
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from enum import Enum

import msgspec
from msgspec import Struct

LONGEST_RETRY_AFTER = 3600.0
DEFAULT_RETRY_AFTER = 5.0
LONGEST_MESSAGE = 500
"""Characters of an error's message that are passed on."""


class Effect(Enum):
    """What follows from a reply, or from its absence."""

    ANSWER = "answer"
    REFUSED = "refused"
    FAILED = "failed"
    COOL_KEY = "cool key"
    SHELVE_KEY = "put key aside"
    FORBIDDEN = "forbidden"
    SHELVE_TARGET = "put target aside"
    NOT_SERVED = "not served"


class Verdict(Struct, frozen=True):
    """An effect, and for `COOL_KEY` the seconds that it lasts."""

    effect: Effect
    retry_after: float = 0.0


ANSWER = Verdict(Effect.ANSWER)
FAILED = Verdict(Effect.FAILED)
NOT_SERVED = Verdict(Effect.NOT_SERVED)

_NOT_SERVED = (404, 405, 410, 501)

_BY_STATUS = {
    401: Verdict(Effect.SHELVE_KEY),
    402: Verdict(Effect.SHELVE_KEY),
    403: Verdict(Effect.FORBIDDEN),
    404: Verdict(Effect.SHELVE_TARGET),
    408: FAILED,
    409: FAILED,
    410: Verdict(Effect.SHELVE_TARGET),
}


class _Detail(Struct):
    code: str | int | None = None
    type: str | None = None
    message: str | None = None


class _Body(Struct):
    error: _Detail | None = None


_body_decoder = msgspec.json.Decoder(_Body)


def judge(status: int, headers: Mapping[bytes, bytes], body: bytes, now: float) -> Verdict:
    """Judge a reply by its status, and by its body where the status is an error's.

    `now` is the time of day in seconds, for a `Retry-After` that names a date.
    """
    if 200 <= status < 300:
        return ANSWER
    if status >= 500 or status < 400:
        return FAILED
    if status == 429:
        if _says_quota_is_spent(body):
            return Verdict(Effect.SHELVE_KEY)
        return Verdict(Effect.COOL_KEY, retry_after(headers, now))
    verdict = _BY_STATUS.get(status)
    if verdict is not None:
        return verdict
    if _says_quota_is_spent(body):
        return Verdict(Effect.SHELVE_KEY)
    return Verdict(Effect.REFUSED)


def beside_chat(status: int, verdict: Verdict) -> Verdict:
    """Return what a reply means to a request that is no chat: a target need not serve all kinds of them."""
    return NOT_SERVED if status in _NOT_SERVED else verdict


def retry_after(headers: Mapping[bytes, bytes], now: float) -> float:
    """Read `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), or OpenAI's `retry-after-ms`.

    At most an hour; `DEFAULT_RETRY_AFTER` where the upstream says nothing that can be read.
    """
    seconds = _number(headers.get(b"retry-after-ms"))
    if seconds is not None:
        seconds /= 1000
    else:
        text = headers.get(b"retry-after")
        seconds = _number(text)
        if seconds is None and text is not None:
            seconds = _seconds_until(text, now)
    if seconds is None:
        return DEFAULT_RETRY_AFTER
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def message_of(body: bytes) -> str:
    """Return what an error in OpenAI's shape says; empty where the body is none."""
    error = _error_of(body)
    return (error.message or "")[:LONGEST_MESSAGE] if error is not None else ""


def _error_of(body: bytes) -> _Detail | None:
    try:
        return _body_decoder.decode(body).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _number(text: bytes | None) -> float | None:
    if text is None or len(text) > 32:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value == value else None  # NaN is no number of seconds


def _seconds_until(text: bytes, now: float) -> float | None:
    try:
        return parsedate_to_datetime(text[:64].decode("ascii")).timestamp() - now
    except (ValueError, OverflowError):
        return None


def _says_quota_is_spent(body: bytes) -> bool:
    if b"insufficient_quota" not in body and b"insufficient_credits" not in body:
        return False
    error = _error_of(body)
    spent = ("insufficient_quota", "insufficient_credits")
    return error is not None and (error.code in spent or error.type in spent)
