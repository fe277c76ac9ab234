"""An error as a reply in OpenAI's shape, the same from every server of this program.

Reference: https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import math

import msgspec

from shareai_cli.errors import RateLimited, RateState, ShareAIError
from shareai_cli.wire.message import Response


def error_body(error: ShareAIError) -> bytes:
    """Encode an error: `{"error": {"message", "type", "param", "code"}}`."""
    return msgspec.json.encode(
        {"error": {"message": str(error), "type": error.type, "param": error.param, "code": error.code}}
    )


def error_event(error: ShareAIError) -> bytes:
    """Encode an error as the event that ends a stream."""
    return b"data: " + error_body(error) + b"\n\n"


def refusal(error: ShareAIError) -> Response:
    """Render an error as a reply, with what tells clients whether and when to try again."""
    headers = [(b"content-type", b"application/json")]
    if error.retry_useless:
        headers.append((b"x-should-retry", b"false"))
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
    if isinstance(error, RateLimited) and error.rate is not None:
        headers += _rate_fields(error.rate)
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return Response(error.status, headers, error_body(error))


def _rate_fields(rate: RateState) -> list[tuple[bytes, bytes]]:
    """Tell how a limit stands, as OpenAI does: platform.openai.com/docs/guides/rate-limits."""
    measure = rate.measure.encode()
    values = {"limit": b"%d" % rate.most, "remaining": b"%d" % rate.remaining, "reset": _duration(rate.reset)}
    return [(b"x-ratelimit-%b-%b" % (name.encode(), measure), value) for name, value in values.items()]


def _duration(seconds: float) -> bytes:
    """Write a duration as `6m0s`, `1s` or `20ms`."""
    milliseconds = max(0, math.ceil(seconds * 1000))
    if milliseconds < 1000:
        return b"%dms" % milliseconds
    minutes, rest = divmod(math.ceil(milliseconds / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    return f"{text}{minutes}m{rest}s".encode() if hours or minutes else b"%ds" % rest
