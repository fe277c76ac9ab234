"""One model and one sequence: from a prompt's tokens to a reply's.

What two prompts share at their start is evaluated once.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence

import psutil

from shareai_cli.llama.bindings import Context, Library, Model, Sampling

SMALL_MODEL = 64 << 20
"""Bytes of weights below which more than one thread costs more than it brings."""

CACHE_BYTES = 1 << 30
"""The KV cache that a context takes unless the configuration asks for another size."""

LEAST_CONTEXT = 4096


class Engine:
    """A loaded model that answers one request at a time. Loading may take minutes for a large file."""

    def __init__(self, path: str, *, context: int | None = None, threads: int | None = None) -> None:
        library = Library()
        self.model = Model(library, path)
        try:
            self._context = Context(
                library,
                self.model,
                size=context or default_context(self.model),
                threads=threads or default_threads(self.model),
            )
        except BaseException:
            self.model.close()
            raise
        self._library = library
        self._held: list[int] = []

    def __repr__(self) -> str:
        return f"<Engine {self.model!r}, {len(self._held)} of {self.context_size} tokens held>"

    @property
    def context_size(self) -> int:
        """Tokens that prompt and reply may have together."""
        return self._context.size

    def interrupt(self, wanted: bool) -> None:
        """Make a running `prepare` or `generate` end soon. From any thread."""
        self._context.interrupt(wanted)

    def prepare(self, prompt: Sequence[int]) -> int | None:
        """Evaluate a prompt; return how many of its tokens were still held, None when interrupted."""
        shared = 0
        for held, wanted in zip(self._held, prompt[:-1], strict=False):
            if held != wanted:
                break
            shared += 1
        if not self._context.keep(shared):
            shared = 0
        del self._held[shared:]
        return shared if self._evaluate(prompt[shared:]) else None

    def generate(self, sampling: Sampling) -> Generator[int]:
        """Draw tokens after a prepared prompt until interrupted; the caller stops at an end or limit."""
        sampler = self._context.sampler(sampling)
        try:
            while True:
                token = sampler.next()
                yield token
                if not self._evaluate([token]):
                    return
        finally:
            sampler.close()

    def close(self) -> None:
        """Free the model; no `generate` may be running."""
        self._context.close()
        self.model.close()

    def _evaluate(self, tokens: Sequence[int]) -> bool:
        try:
            done = self._context.decode(tokens)
        except BaseException:
            self._held.clear()
            raise
        if done:
            self._held.extend(tokens)
            return True
        # What an interrupted call left in the cache is not known: nothing of it is used again.
        self._context.clear()
        self._held.clear()
        return False


def default_context(model: Model) -> int:
    """Return a context that the model was trained for and whose KV cache stays within `CACHE_BYTES`."""
    affordable = CACHE_BYTES // max(1, model.cache_bytes_per_token)
    return max(256, min(model.trained_context or LEAST_CONTEXT, max(LEAST_CONTEXT, affordable)))


def default_threads(model: Model) -> int:
    """Return the physical cores that this process may use, one for a small model."""
    if model.size < SMALL_MODEL:
        return 1
    physical = psutil.cpu_count(logical=False) or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    return max(1, min(physical, allowed))
