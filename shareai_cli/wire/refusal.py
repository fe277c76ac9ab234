"""An error as a reply in OpenAI's shape, the same from every server of this program.

Reference: https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import math

import msgspec

from shareai_cli.errors import ShareAIError
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
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return Response(error.status, headers, error_body(error))
