"""One reply on its way through the engine: its tokens, how many of them are in the cache, and its text."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from msgspec.structs import replace

from shareai_cli.llama.batching.context import Context, Piece
from shareai_cli.llama.batching.generation import (
    Finish,
    FinishReason,
    GenerationRequest,
    Reader,
    Scored,
    Text,
)
from shareai_cli.llama.batching.grammar import Grammar
from shareai_cli.llama.batching.plan import View
from shareai_cli.llama.batching.sampling import Drawn, Sampler
from shareai_cli.llama.bindings import Model
from shareai_cli.llama.text import ReplyText


class Vocabulary(Protocol):
    """What tokens mean."""

    def ends(self, token: int) -> bool:
        """Return whether a token ends a reply."""

    def piece(self, token: int, *, shown: bool = False) -> bytes:
        """Return a token's bytes in the reply; of a control token's, only if it is `shown`."""


class Sequence:
    """One of a request's replies; `tokens` are the prompt's and the reply's so far."""

    def __init__(self, request: GenerationRequest, reader: Reader, *, choice: int = 0) -> None:
        self.request = request
        self.prompt = request.prompts[choice // request.choices]
        self.reader = reader
        self.choice = choice
        self.tokens = list(self.prompt)
        self.evaluated = 0
        """How many of `tokens` are in the cache."""
        self.number = -1
        """The number of its cells in the cache while it runs."""
        self.cached: int | None = None
        """Tokens of the prompt that were still held when it ran first."""
        self.alone = False
        """A step that it was part of failed."""
        self.leaders: dict[Sequence, int] = {}
        """Sequences before it whose beginning it shares, and how much of it."""
        self._sampler: Sampler | None = None
        self._text = ReplyText(request.stops)
        self._scores: deque[tuple[int, Scored]] = deque()
        self._written = 0
        self._settled = 0

    def __repr__(self) -> str:
        return f"<Sequence {self.number}: {self.evaluated} of {len(self.tokens)} tokens, {self.drawn} drawn>"

    @property
    def drawn(self) -> int:
        """How many tokens the reply has."""
        return len(self.tokens) - len(self.prompt)

    def view(self, *, follows: bool) -> View:
        """Return what the plan has to know."""
        return View(
            pending=len(self.tokens) - self.evaluated,
            remaining=self.request.limit - self.drawn,
            follows=follows,
            alone=self.alone,
        )

    def piece(self, count: int) -> Piece:
        """Return the next `count` tokens to evaluate."""
        end = self.evaluated + count
        return Piece(
            sequence=self.number,
            position=self.evaluated,
            tokens=self.tokens[self.evaluated : end],
            wants_logits=end == len(self.tokens),
        )

    def draw(self, context: Context, model: Model) -> Drawn:
        """Draw the next token from what the last step computed for this sequence."""
        if self._sampler is None:
            request = self.request
            later = self.choice % request.choices
            sampling = replace(request.sampling, seed=(request.sampling.seed + later) & 0xFFFFFFFF)
            grammar = Grammar(model, request.grammar, request.shown) if request.grammar else None
            self._sampler = Sampler(sampling, prompt=self.prompt, grammar=grammar)
        return self._sampler.draw(context, self.number)

    def take(self, drawn: Drawn, vocabulary: Vocabulary) -> Finish | None:
        """Add a drawn token and hand on the text that it settles; return the reply's end if this is it."""
        request = self.request
        if vocabulary.ends(drawn.token) or drawn.token in request.stop_tokens:
            return self._finish("stop")
        self.tokens.append(drawn.token)
        piece = vocabulary.piece(drawn.token, shown=drawn.token in request.shown)
        if request.sampling.alternatives is not None:
            scored = Scored(drawn.token, drawn.logprob, drawn.alternatives)
            self._scores.append((self._written, scored))
            self._written += len(piece)
        self._hand_on(self._text.feed(piece))
        if self._text.stopped:
            return self._finish("stop")
        if self.drawn >= request.limit:
            return self._finish("length")
        return None

    def close(self) -> None:
        """Free what draws its tokens."""
        if self._sampler is not None:
            self._sampler.close()
            self._sampler = None

    def _finish(self, reason: FinishReason) -> Finish:
        self._hand_on(self._text.finish())
        # What was held back may be a stop string, too.
        reason = "stop" if self._text.stopped else reason
        return Finish(reason, len(self.prompt), self.cached or 0, self.drawn, self.choice)

    def _hand_on(self, settled: str) -> None:
        if not settled:
            return
        scores: list[Scored] = []
        if self._scores:
            # A token belongs to the text that it begins in; one of a cut-off stop string belongs to none.
            self._settled += len(settled.encode())
            while self._scores and self._scores[0][0] < self._settled:
                scores.append(self._scores.popleft()[1])
        self.reader.put(Text(settled, self.choice, tuple(scores)))
