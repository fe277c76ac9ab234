"""How a reply's tokens are drawn: what a request asks for, and the chain of llama.cpp's samplers for it.

Reference: llama.h of llama.cpp.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import llama_cpp
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shareai_cli.errors import EngineFailed
from shareai_cli.llama.batching.context import Context
from shareai_cli.llama.batching.grammar import Candidates, Grammar
from shareai_cli.llama.batching.penalties import Bias, Penalties

COLDEST = 1e-3
"""Temperatures below take the likeliest token: a division by less leaves no finite numbers."""


class Sampling(Struct, frozen=True):
    """How a token is drawn from the logits; the defaults are llama.cpp's own."""

    temperature: float = 0.8
    """0 takes the likeliest token."""
    top_p: float = 0.95
    top_k: int = 40
    """0 for all."""
    min_p: float = 0.05
    typical_p: float = 1.0
    repeat_penalty: float = 1.0
    """Divides the logits of tokens that are in the prompt or the reply; 1 leaves them."""
    frequency_penalty: float = 0.0
    """Taken off the logit of a token for each time that it is in the reply."""
    presence_penalty: float = 0.0
    """Taken off the logit of a token that is in the reply."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """Tokens of the vocabulary and what is added to their logits; -100 bans one."""
    seed: int = 0
    """32 bits."""
    alternatives: int | None = None
    """How many of the likeliest tokens are told with each drawn one; None tells no probabilities at all."""

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is taken."""
        return self.temperature < COLDEST


class Drawn(Struct, frozen=True, gc=False):
    """A token, and if wanted the natural logarithms of its probability and of the likeliest tokens' ones.

    They are the model's own, before temperature, biases and penalties.
    """

    token: int
    logprob: float = 0.0
    alternatives: tuple[tuple[int, float], ...] = ()


class Sampler:
    """Draws the tokens of one reply; it has to be closed."""

    def __init__(self, sampling: Sampling, *, prompt: Sequence[int], grammar: Grammar | None = None) -> None:
        self._sampling = sampling
        self._grammar = grammar
        self._bias = Bias(sampling.logit_bias) if sampling.logit_bias else None
        self._penalties = _penalties(sampling, prompt)
        self._chain: Any = None if sampling.greedy else _chain(sampling)

    def draw(self, context: Context, sequence: int) -> Drawn:
        """Draw the token after those that the last `decode` evaluated; the logits are changed by that."""
        if self._sampling.alternatives is None:
            return Drawn(self._draw(context, sequence))
        logprobs = _log_softmax(context.logits(sequence))
        token = self._draw(context, sequence)
        likeliest = _likeliest(logprobs, self._sampling.alternatives)
        return Drawn(token, float(logprobs[token]), likeliest)

    def close(self) -> None:
        """Free the chain, its samplers, and the grammar."""
        if self._grammar is not None:
            self._grammar.close()
        if self._chain:
            llama_cpp.llama_sampler_free(self._chain)
            self._chain = None

    def _draw(self, context: Context, sequence: int) -> int:
        if self._bias is not None:
            self._bias.apply(context.logits(sequence))
        if self._penalties is not None:
            self._penalties.apply(context.logits(sequence))
        token = self._draw_of_all(context, sequence)
        if self._grammar is not None:
            logits = context.logits(sequence)
            if not self._grammar.admits(token, logits):
                token = self._draw_of(self._grammar.admitted(logits))
            self._grammar.accept(token)
        if self._penalties is not None:
            self._penalties.add(token)
        return token

    def _draw_of_all(self, context: Context, sequence: int) -> int:
        if self._sampling.greedy:
            return int(context.logits(sequence).argmax())
        return int(llama_cpp.llama_sampler_sample(self._chain, context.pointer, context.row(sequence)))

    def _draw_of(self, candidates: Candidates) -> int:
        if self._sampling.greedy:
            return candidates.likeliest()
        return candidates.drawn(self._chain)


def _chain(sampling: Sampling) -> Any:
    chain: Any = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    if not chain:
        raise EngineFailed("llama.cpp cannot make a sampler.")
    for sampler in _samplers(sampling):
        # A refused sampler is a NULL pointer object; adding it would end the process.
        if not sampler:
            llama_cpp.llama_sampler_free(chain)
            raise EngineFailed("llama.cpp refuses these sampling parameters.")
        llama_cpp.llama_sampler_chain_add(chain, sampler)
    return chain


def _samplers(sampling: Sampling) -> Iterable[Any]:
    """Yield the samplers in llama.cpp's own order; what cuts nothing off is left out."""
    if sampling.top_k > 0:
        yield llama_cpp.llama_sampler_init_top_k(sampling.top_k)
    if sampling.typical_p < 1:
        yield llama_cpp.llama_sampler_init_typical(sampling.typical_p, 1)
    if sampling.top_p < 1:
        yield llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1)
    if sampling.min_p > 0:
        yield llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1)
    yield llama_cpp.llama_sampler_init_temp(sampling.temperature)
    yield llama_cpp.llama_sampler_init_dist(sampling.seed)


def _penalties(sampling: Sampling, prompt: Iterable[int]) -> Penalties | None:
    if sampling.repeat_penalty == 1 and not sampling.frequency_penalty and not sampling.presence_penalty:
        return None
    return Penalties(
        sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty, prompt=prompt
    )


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = logits - logits.max()
    total: np.float32 = np.exp(shifted).sum(dtype=np.float64)
    normalised: NDArray[np.float32] = shifted - np.float32(np.log(total))
    return normalised


def _likeliest(logprobs: NDArray[np.float32], count: int) -> tuple[tuple[int, float], ...]:
    if not count:
        return ()
    count = min(count, len(logprobs))
    best = np.argpartition(logprobs, -count)[-count:]
    ordered = best[np.argsort(-logprobs[best], kind="stable")]
    return tuple((int(token), float(logprobs[token])) for token in ordered)
