"""OpenAI's objects for a reply of this server: `chat.completion`, and `chat.completion.chunk` as SSE events.

Reference: https://platform.openai.com/docs/api-reference/chat/object and .../chat/streaming
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec

from shareai_cli.llama.batching.generation import Delta, Finish, Scored, Text
from shareai_cli.llama.tools.pieces import CallBegins, Content, Piece, Reasoning
from shareai_cli.llama.tools.source import ReplyReader

DONE = b"data: [DONE]\n\n"

LEAST_LOGPROB = -9999.0
"""What OpenAI writes for a token that cannot come: JSON has no infinity."""

MOST_CALLS = 128
"""Tool calls of one reply, as in OpenAI's interface."""

Pieces = Callable[[int], bytes]
"""The bytes of a token."""


class Reply(Protocol):
    """Turns a generation's deltas into the body that its client asked for."""

    @property
    def complete(self) -> bool:
        """Whether every reply has come to its end."""

    def begin(self) -> bytes:
        """Return the first events of a stream."""

    def events(self, delta: Delta) -> bytes:
        """Return a delta's events; often none for an end of text that may become something else."""

    def end(self, *, include_usage: bool) -> bytes:
        """Return the last events of a stream, `[DONE]` included."""

    def whole(self) -> bytes:
        """Return the reply as one object, after all deltas went through `events`."""


class Tally:
    """The ends of a request's replies, of which each prompt has some, and what they took together."""

    def __init__(self, replies: int, *, choices: int) -> None:
        self._missing = replies
        self._choices = choices
        self._prompt = 0
        self._cached = 0
        self._completion = 0

    @property
    def complete(self) -> bool:
        """Whether every reply has come to its end."""
        return not self._missing

    def add(self, finish: Finish) -> None:
        """Take note of the end of a reply; what the first of a prompt had to read is that prompt."""
        self._missing -= 1
        self._completion += finish.completion_tokens
        if finish.choice % self._choices == 0:
            self._prompt += finish.prompt_tokens
            self._cached += finish.cached_tokens

    def usage(self) -> dict[str, Any]:
        """Return `usage`: exact counts of the model's own tokens."""
        return {
            "prompt_tokens": self._prompt,
            "completion_tokens": self._completion,
            "total_tokens": self._prompt + self._completion,
            "prompt_tokens_details": {"cached_tokens": self._cached},
        }


class _Choice:
    """One choice of a reply: what its text holds so far, and what is not written yet."""

    def __init__(self, index: int, reader: ReplyReader | None, *, several_calls: bool) -> None:
        self.index = index
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.calls: list[_Call] = []
        self.scores: list[Scored] = []
        self.reason: str | None = None
        self._reader = reader
        self._most_calls = MOST_CALLS if several_calls else 1
        self._is_passed_over = False

    def feed(self, text: Text) -> list[Piece]:
        """Return what is settled after more text."""
        self.scores += text.scores
        return self._reader.feed(text.text) if self._reader is not None else [Content(text.text)]

    def finish(self, finish: Finish) -> list[Piece]:
        """Return what was held back."""
        rest = self._reader.finish() if self._reader is not None else []
        called = self.calls or any(isinstance(piece, CallBegins) for piece in rest)
        self.reason = "tool_calls" if called and finish.reason == "stop" else finish.reason
        return rest

    def add(self, piece: Piece) -> dict[str, Any] | None:
        """Keep a piece and return its delta; None for a call that is beyond those that may come."""
        if isinstance(piece, Content):
            self.text.append(piece.text)
            return {"content": piece.text}
        if isinstance(piece, Reasoning):
            self.reasoning.append(piece.text)
            return {"reasoning_content": piece.text}
        if isinstance(piece, CallBegins):
            self._is_passed_over = len(self.calls) >= self._most_calls
            if self._is_passed_over:
                return None
            self.calls.append(_Call(piece.name))
            return {"tool_calls": [{"index": len(self.calls) - 1, **self.calls[-1].whole()}]}
        if self._is_passed_over:
            return None
        self.calls[-1].arguments.append(piece.text)
        return {"tool_calls": [{"index": len(self.calls) - 1, "function": {"arguments": piece.text}}]}

    def message(self) -> dict[str, Any]:
        """Return the whole message."""
        text = "".join(self.text)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        if self.calls:
            message["content"] = text.strip() or None
            message["tool_calls"] = [call.whole() for call in self.calls]
        return message


class _Call:
    """A tool call, its arguments as far as they came."""

    def __init__(self, name: str) -> None:
        self.id = f"call_{secrets.token_hex(12)}"
        self.name = name
        self.arguments: list[str] = []

    def whole(self) -> dict[str, Any]:
        """Return it as an object."""
        function = {"name": self.name, "arguments": "".join(self.arguments)}
        return {"id": self.id, "type": "function", "function": function}


class ChatReply:
    """A chat completion: all its objects have the same id, time and model."""

    def __init__(
        self,
        model: str,
        created: int,
        *,
        choices: int,
        logprobs: bool,
        pieces: Pieces,
        reader: Callable[[], ReplyReader] | None = None,
        several_calls: bool = True,
    ) -> None:
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        readers = [reader() if reader is not None else None for _ in range(choices)]
        self._choices = [
            _Choice(index, one, several_calls=several_calls) for index, one in enumerate(readers)
        ]
        self._tally = Tally(choices, choices=choices)
        self._logprobs = logprobs
        self._pieces = pieces
        self._scores: list[list[dict[str, Any]]] = [[] for _ in range(choices)]

    @property
    def complete(self) -> bool:
        """Whether every reply has come to its end."""
        return self._tally.complete

    def begin(self) -> bytes:
        """Return an event with the role for each choice."""
        role = {"role": "assistant", "content": ""}
        return b"".join(self._event(choice.index, role) for choice in self._choices)

    def events(self, delta: Delta) -> bytes:
        """Return an event for each piece of text, of reasoning and of a tool call, and one for an end."""
        choice = self._choices[delta.choice]
        if isinstance(delta, Text):
            return b"".join(self._written(choice, choice.feed(delta)))
        self._tally.add(delta)
        written = b"".join(self._written(choice, choice.finish(delta)))
        return written + self._event(choice.index, {}, choice.reason)

    def end(self, *, include_usage: bool) -> bytes:
        """Return the event with the usage, if wanted, and `[DONE]`."""
        if not include_usage:
            return DONE
        return event({**self._head, "choices": [], "usage": self._tally.usage()}) + DONE

    def whole(self) -> bytes:
        """Return the reply as one object."""
        choices = [
            {
                "index": choice.index,
                "message": choice.message(),
                "logprobs": {"content": self._scores[choice.index], "refusal": None}
                if self._logprobs
                else None,
                "finish_reason": choice.reason,
            }
            for choice in self._choices
        ]
        head = {**self._head, "object": "chat.completion"}
        return msgspec.json.encode({**head, "choices": choices, "usage": self._tally.usage()})

    def _written(self, choice: _Choice, pieces: Sequence[Piece]) -> Iterable[bytes]:
        for piece in pieces:
            delta = choice.add(piece)
            if delta is None:
                continue
            scores = [score_object(score, self._pieces) for score in choice.scores]
            choice.scores.clear()
            self._scores[choice.index] += scores
            yield self._event(choice.index, delta, scores=scores)

    def _event(
        self, index: int, delta: dict[str, Any], reason: str | None = None, scores: Sequence[Any] = ()
    ) -> bytes:
        logprobs = {"content": scores, "refusal": None} if scores else None
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return event({**self._head, "choices": [choice]})


def score_object(score: Scored, pieces: Pieces) -> dict[str, Any]:
    """Return a token's entry in `logprobs.content`."""
    alternatives = [_token_object(token, logprob, pieces) for token, logprob in score.alternatives]
    return {**_token_object(score.token, score.logprob, pieces), "top_logprobs": alternatives}


def _token_object(token: int, logprob: float, pieces: Pieces) -> dict[str, Any]:
    piece = pieces(token)
    text = piece.decode("utf-8", "replace")
    return {"token": text, "logprob": max(logprob, LEAST_LOGPROB), "bytes": list(piece)}


def event(value: dict[str, Any]) -> bytes:
    """Return a value as one SSE event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"
