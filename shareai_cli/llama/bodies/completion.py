"""The body of `POST /v1/completions`, checked field by field.

Reference: https://platform.openai.com/docs/api-reference/completions/create
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shareai_cli.llama.bodies.generation import GenerationBody, decode, unsupported

USUAL_LIMIT = 16
"""Tokens of a reply where the client says nothing, as in OpenAI's interface."""


class CompletionBody(GenerationBody, frozen=True, kw_only=True):
    """The fields that this server knows."""

    prompt: Any
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    best_of: int | None = None
    suffix: str | None = None

    @property
    def alternatives(self) -> int | None:
        """How many of the likeliest tokens are told with each drawn one; None for none of it."""
        return self.logprobs

    @property
    def limit(self) -> int:
        """The most tokens that the client wants."""
        return self.max_tokens or USUAL_LIMIT


_decoder = msgspec.json.Decoder(CompletionBody)


def decode_completion(body: bytes) -> CompletionBody:
    """Decode a body; `MalformedRequest` names the field that is wrong or not supported yet."""
    completion = decode(body, _decoder, "a completion's")
    if completion.suffix:
        raise unsupported("suffix")
    if completion.best_of not in (None, completion.n or 1):
        raise unsupported("best_of", "other than n is")
    if completion.echo and completion.logprobs is not None:
        raise unsupported("echo", "together with logprobs is")
    return completion
