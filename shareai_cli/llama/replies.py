"""OpenAI's objects for a reply of this server: `chat.completion`, and `chat.completion.chunk` as SSE events.

Reference: https://platform.openai.com/docs/api-reference/chat/object and .../chat/streaming
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from shareai_cli.llama.scheduler import Finish
from shareai_cli.llama.text import Call

DONE = b"data: [DONE]\n\n"


def usage_object(finish: Finish) -> dict[str, Any]:
    """Return `usage`: exact counts of the model's own tokens."""
    return {
        "prompt_tokens": finish.prompt_tokens,
        "completion_tokens": finish.completion_tokens,
        "total_tokens": finish.prompt_tokens + finish.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": finish.cached_tokens},
    }


class Writer:
    """Writes one reply's objects: all with the same id, time and model."""

    def __init__(self, model: str, created: int) -> None:
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        self._calls = 0

    def completion(self, text: str, calls: Sequence[Call], finish: Finish) -> bytes:
        """Encode the whole reply."""
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if calls:
            message["content"] = text.strip() or None
            message["tool_calls"] = [self._call(call) for call in calls]
        reason = "tool_calls" if calls and finish.reason == "stop" else finish.reason
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        head = {**self._head, "object": "chat.completion"}
        return msgspec.json.encode({**head, "choices": [choice], "usage": usage_object(finish)})

    def role(self) -> bytes:
        """Encode the first event of a stream."""
        return self._event({"role": "assistant", "content": ""})

    def delta(self, piece: str | Call) -> bytes:
        """Encode the event of a piece of text, or of a whole tool call."""
        if isinstance(piece, str):
            return self._event({"content": piece})
        index = self._calls
        return self._event({"tool_calls": [{"index": index, **self._call(piece)}]})

    def end(self, finish: Finish, *, include_usage: bool) -> bytes:
        """Encode the last events of a stream, `[DONE]` included."""
        reason = "tool_calls" if self._calls and finish.reason == "stop" else finish.reason
        events = self._event({}, reason)
        if include_usage:
            events += _event({**self._head, "choices": [], "usage": usage_object(finish)})
        return events + DONE

    def _call(self, call: Call) -> dict[str, Any]:
        self._calls += 1
        function = {"name": call.name, "arguments": call.arguments}
        return {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}

    def _event(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return _event({**self._head, "choices": [choice]})


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"
