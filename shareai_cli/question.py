"""A question, typed or read from a file, as the request that it makes."""

from __future__ import annotations

from typing import Any, Final

import msgspec

QUESTION: Final = "Hello!"
"""What is asked where nothing is said."""


def request_of(model: str, text: str = QUESTION) -> bytes:
    """Return the body of a chat completion's request.

    A JSON object with messages is one already, for another model or none; any other text is a question.
    """
    request: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    if text.lstrip()[:1] == "{":
        try:
            found = msgspec.json.decode(text)
        except (msgspec.MsgspecError, RecursionError):
            found = None
        if isinstance(found, dict) and isinstance(found.get("messages"), list):
            request = found
    return msgspec.json.encode({**request, "model": model})
