"""What is generated, and what comes of it: the words between the server, the scheduler and the engine."""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

from shareai_cli.errors import ShareAIError
from shareai_cli.llama.batching.sampling import Sampling

FinishReason = Literal["stop", "length"]


class GenerationRequest(Struct, frozen=True):
    """What to generate: the prompts' tokens, at most `limit` tokens more of each, and how to draw them."""

    prompts: tuple[tuple[int, ...], ...]
    limit: int
    sampling: Sampling
    stops: tuple[str, ...] = ()
    stop_tokens: frozenset[int] = frozenset()
    """Tokens that end the reply, beside the model's own."""
    choices: int = 1
    """How many replies to each prompt, each with the next seed."""

    grammar: str = ""
    """What each reply has to keep to, in GBNF; "" for nothing."""
    shown: frozenset[int] = frozenset()
    """Control tokens whose text is part of the reply: the marks of calls and of reasoning."""

    @property
    def replies(self) -> int:
        """How many replies that are; those to the first prompt come first."""
        return len(self.prompts) * self.choices


class Scored(Struct, frozen=True):
    """A token of the reply with the logarithm of its probability, and the likeliest ones in its place."""

    token: int
    logprob: float
    alternatives: tuple[tuple[int, float], ...]


class Text(Struct, frozen=True):
    """A piece of a reply."""

    text: str
    choice: int = 0
    scores: tuple[Scored, ...] = ()
    """The tokens that begin in this piece, where the request asks for their probabilities."""


class Finish(Struct, frozen=True):
    """How a reply ended, and its exact tokens; `cached` are those of the prompt that were still held."""

    reason: FinishReason
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    choice: int = 0


Delta = Text | Finish
"""A piece of a reply, or, once and last for each choice, how it ended."""


class Reader(Protocol):
    """Whoever takes a sequence's deltas; called from the engine's thread."""

    def put(self, delta: Delta | ShareAIError) -> None:
        """Take a delta, or the failure that ends the reply."""
