"""OpenAI's objects for a reply to `POST /v1/completions`: `text_completion`, whole and as SSE events.

Reference: https://platform.openai.com/docs/api-reference/completions/object
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from shareai_cli.llama.batching.generation import Delta, Scored, Text
from shareai_cli.llama.replies import DONE, LEAST_LOGPROB, Pieces, Tally, event


class _Choice:
    """One reply: its text so far, and the probabilities of its tokens."""

    def __init__(self, index: int, echoed: str) -> None:
        self.index = index
        self.echoed = echoed
        self.text: list[str] = [echoed] if echoed else []
        self.length = len(echoed)
        self.scores: list[dict[str, Any]] = []
        self.reason: str | None = None


class CompletionReply:
    """Replies to one or more prompts: all objects have the same id, time and model."""

    def __init__(
        self, model: str, created: int, *, echoed: Sequence[str], choices: int, logprobs: bool, pieces: Pieces
    ) -> None:
        self._head: dict[str, Any] = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": created,
            "model": model,
        }
        replies = len(echoed) * choices
        self._choices = [_Choice(index, echoed[index // choices]) for index in range(replies)]
        self._tally = Tally(replies, choices=choices)
        self._logprobs = logprobs
        self._pieces = pieces

    @property
    def complete(self) -> bool:
        """Whether every reply has come to its end."""
        return self._tally.complete

    def begin(self) -> bytes:
        """Return an event for each prompt that is to be echoed."""
        return b"".join(self._event(one, one.echoed, None, None) for one in self._choices if one.echoed)

    def events(self, delta: Delta) -> bytes:
        """Return an event for a piece of text or for an end."""
        choice = self._choices[delta.choice]
        if not isinstance(delta, Text):
            self._tally.add(delta)
            choice.reason = delta.reason
            return self._event(choice, "", None, delta.reason)
        scores = self._scores(delta.scores, choice.length) if self._logprobs else None
        choice.text.append(delta.text)
        choice.length += len(delta.text)
        if scores is not None:
            choice.scores.append(scores)
        return self._event(choice, delta.text, scores, None)

    def end(self, *, include_usage: bool) -> bytes:
        """Return the event with the usage, if wanted, and `[DONE]`."""
        if not include_usage:
            return DONE
        return event({**self._head, "choices": [], "usage": self._tally.usage()}) + DONE

    def whole(self) -> bytes:
        """Return the replies as one object."""
        choices = [
            {
                "text": "".join(choice.text),
                "index": choice.index,
                "logprobs": _joined(choice.scores) if self._logprobs else None,
                "finish_reason": choice.reason,
            }
            for choice in self._choices
        ]
        return msgspec.json.encode({**self._head, "choices": choices, "usage": self._tally.usage()})

    def _event(self, choice: _Choice, text: str, scores: dict[str, Any] | None, reason: str | None) -> bytes:
        written = {"text": text, "index": choice.index, "logprobs": scores, "finish_reason": reason}
        return event({**self._head, "choices": [written]})

    def _scores(self, scores: Sequence[Scored], offset: int) -> dict[str, Any]:
        """Return the probabilities of some tokens, whose text begins `offset` characters into the reply."""
        found = _joined([])
        for score in scores:
            text = self._text(score.token)
            found["tokens"].append(text)
            found["token_logprobs"].append(max(score.logprob, LEAST_LOGPROB))
            found["text_offset"].append(offset)
            found["top_logprobs"].append(
                {self._text(token): max(logprob, LEAST_LOGPROB) for token, logprob in score.alternatives}
            )
            offset += len(text)
        return found

    def _text(self, token: int) -> str:
        return self._pieces(token).decode("utf-8", "replace")


def _joined(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    fields = ("tokens", "token_logprobs", "top_logprobs", "text_offset")
    return {field: [entry for part in parts for entry in part[field]] for field in fields}
