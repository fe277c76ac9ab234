"""A loaded model that computes many replies together: at each step a token of each, and a piece of prompts.

Whoever drives it calls `step` from one thread, which also adds and removes sequences. Finished sequences stay
in the cache as prefixes for those who begin like them, until the room is needed.
"""

from __future__ import annotations

import time
from collections import deque

from shareai_cli.catalog.footprint import SLOTS
from shareai_cli.errors import EngineFailed, ShareAIError
from shareai_cli.llama.batching.cache import Cache, shared_length
from shareai_cli.llama.batching.context import Context, Piece
from shareai_cli.llama.batching.pace import Pace
from shareai_cli.llama.batching.plan import Step, View, admits, next_step
from shareai_cli.llama.batching.sequence import Sequence
from shareai_cli.llama.bindings import Library, Model
from shareai_cli.llama.embedding import Embedder
from shareai_cli.llama.fit import context_of, default_cells, default_threads
from shareai_cli.types import Clock

PREFIXES = 16
"""Finished sequences that are kept at least, room permitting."""


class Engine:
    """A model and its sequences. Loading may take minutes for a large file."""

    def __init__(
        self,
        path: str,
        *,
        context: int | None = None,
        cells: int | None = None,
        threads: int | None = None,
        slots: int = SLOTS,
        batch: int = 512,
        gpu_layers: int = -1,
        flash_attention: bool | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        library = Library()
        self.model = Model(library, path, gpu_layers=gpu_layers)
        try:
            self._context = Context(
                library,
                self.model,
                cells=cells or context or default_cells(self.model),
                sequences=slots + PREFIXES,
                threads=threads or default_threads(self.model),
                batch=batch,
                flash_attention=flash_attention,
            )
        except BaseException:
            self.model.close()
            raise
        self.embedder = Embedder(library, self.model, threads=threads or default_threads(self.model))
        self._clock = clock
        self.slots = slots
        # More than a model was trained for is for those who ask for it.
        self._context_size = self._context.cells if context else context_of(self.model, self._context.cells)
        self.pace = Pace()
        self.cache = Cache(self._context.cells, self._context.sequences, shares=self.model.shares_beginnings)
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._crowded = False
        """One was put back, and none of the others has left since: nobody comes in."""

    def __repr__(self) -> str:
        return f"<Engine {self.model!r}, {self.running} running, {self.waiting} waiting, {self.cache!r}>"

    @property
    def context_size(self) -> int:
        """Tokens that prompt and reply may have together."""
        return self._context_size

    @property
    def running(self) -> int:
        """How many sequences are being computed."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many sequences wait for a slot or for room in the cache."""
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether a step has something to do."""
        return bool(self._running or self._waiting)

    def add(self, sequence: Sequence) -> None:
        """Take a sequence, behind those that wait."""
        self._waiting.append(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Forget a sequence that nobody waits for any more; does nothing after its end."""
        if sequence in self._running:
            self._leave(sequence)
        elif sequence in self._waiting:
            self._waiting.remove(sequence)
        sequence.close()

    def step(self) -> None:
        """Let waiting sequences in and compute the next tokens; a failure ends only its own reply."""
        self._admit()
        plan = self._plan()
        chosen = {
            sequence: sequence.piece(count)
            for sequence, count in zip(self._running, plan.pieces, strict=True)
            if count
        }
        if not chosen:
            return None
        for sequence in chosen:
            if sequence.cached is None:
                sequence.cached = sequence.evaluated
        self._context.apply(self.cache.make_room(sum(plan.pieces)))
        started = self._clock()
        try:
            decoded = self._context.decode(list(chosen.values()))
        except EngineFailed as error:
            return self._find_the_blame(list(chosen), error)
        if not decoded:
            return self._make_way()
        prompt = sum(count for count in plan.pieces if count > 1)
        self.pace.took(self._clock() - started, prompt=prompt, reply=sum(plan.pieces) - prompt)
        for sequence, piece in chosen.items():
            self._advance(sequence, piece)
        return None

    def forget_prefixes(self) -> None:
        """Empty the cache but for what runs."""
        self._context.apply(self.cache.make_room(self.cache.cells))

    def held(self) -> int:
        """Return how many tokens llama.cpp holds, each counted for every sequence that shares it."""
        return sum(self._context.length(number) for number in range(self._context.sequences))

    def close(self) -> None:
        """Free the model and all sequences."""
        for sequence in (*self._running, *self._waiting):
            sequence.close()
        self._running.clear()
        self._waiting.clear()
        self.embedder.close()
        self._context.close()
        self.model.close()

    # Who runs -----------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        while self._waiting and len(self._running) < self.slots and self._fits(self._waiting[0]):
            sequence = self._waiting.popleft()
            sequence.leaders = self._leaders(sequence)
            sequence.number, changes = self.cache.join(sequence.tokens)
            self._context.apply(changes)
            sequence.evaluated = self.cache.length(sequence.number)
            self._running.append(sequence)

    def _fits(self, sequence: Sequence) -> bool:
        """Return whether the cache has room for what a sequence may need; what runs can be shared."""
        if self._crowded and self._running:
            return False
        shared = max((self._shared(sequence, other) for other in self._running), default=0)
        view = sequence.view(follows=False)
        # A slot's share of the cache is for a prompt and a reply.
        share = self.cache.cells // self.slots // 2
        need = view.pending - shared + min(view.remaining, share)
        return admits(need, self._views(), room=self.cache.room, share=share)

    def _leaders(self, sequence: Sequence) -> dict[Sequence, int]:
        """Return those that will have more of a sequence's beginning than is in the cache now."""
        shared = {other: self._shared(sequence, other) for other in self._running}
        return {other: count for other, count in shared.items() if count > other.evaluated}

    def _shared(self, sequence: Sequence, other: Sequence) -> int:
        if not self.model.shares_beginnings:
            return 0
        return min(shared_length(sequence.tokens, other.tokens), len(sequence.tokens) - 1)

    def _leave(self, sequence: Sequence, *, keep: bool = True) -> None:
        self._running.remove(sequence)
        leave = self.cache.rest if keep else self.cache.drop
        self._context.apply(leave(sequence.number))
        sequence.number, sequence.evaluated = -1, 0
        sequence.leaders = {}
        self._crowded = False

    def _put_back(self) -> None:
        """Take the newest out of the cache; it is the first to come in again, and is computed anew."""
        newest = self._running[-1]
        self._leave(newest)
        self._waiting.appendleft(newest)
        self._crowded = True

    # What a step does ---------------------------------------------------------------------------------------

    def _plan(self) -> Step:
        for sequence in self._running:
            self._catch_up(sequence)
        while True:
            views = self._views()
            replies = any(view.pending == 1 for view in views)
            piece = self.pace.piece(self._context.batch, replies=replies)
            step = next_step(views, room=self.cache.room, batch=self._context.batch, piece=piece)
            if not step.put_back:
                return step
            self._put_back()

    def _views(self) -> list[View]:
        return [sequence.view(follows=self._follows(sequence)) for sequence in self._running]

    def _follows(self, sequence: Sequence) -> bool:
        return any(
            leader.number >= 0 and leader.evaluated < count and sequence.evaluated < count
            for leader, count in sequence.leaders.items()
        )

    def _catch_up(self, sequence: Sequence) -> None:
        """Take over what the leaders have computed, once none of them goes on with it."""
        if sequence.leaders and not self._follows(sequence):
            sequence.leaders = {}
            self._context.apply(self.cache.catch_up(sequence.number, sequence.tokens))
            sequence.evaluated = self.cache.length(sequence.number)

    def _advance(self, sequence: Sequence, piece: Piece) -> None:
        """Take note of what was evaluated, and draw a token where that was all."""
        self.cache.grow(sequence.number, piece.tokens)
        sequence.evaluated += len(piece.tokens)
        sequence.alone = False
        if not piece.wants_logits:
            return
        try:
            finish = sequence.take(sequence.draw(self._context, self.model), self.model)
        except ShareAIError as error:
            self._fail(sequence, error)
        except Exception as error:
            # Whatever it is, it is about this reply, and the others go on.
            self._fail(sequence, EngineFailed(f"The engine failed: {type(error).__name__}."))
        else:
            if finish is not None:
                self._leave(sequence)
                sequence.close()
                sequence.reader.put(finish)

    # What can go wrong --------------------------------------------------------------------------------------

    def _find_the_blame(self, sequences: list[Sequence], error: EngineFailed) -> None:
        """Fail the only sequence of a step, or let each of several show by itself whether it can go on."""
        if len(sequences) == 1:
            self._fail(sequences[0], error)
        for sequence in sequences:
            sequence.alone = True

    def _make_way(self) -> None:
        """Free cells although there should be some: llama.cpp found no room for a step."""
        if self.cache.prefixes:
            self._context.apply(self.cache.make_room(self.cache.free + 1))
        elif len(self._running) > 1:
            self._put_back()
        else:
            self._fail(self._running[0], EngineFailed("The cache of the model has no room for this request."))

    def _fail(self, sequence: Sequence, error: ShareAIError) -> None:
        self._leave(sequence, keep=False)
        sequence.close()
        sequence.reader.put(error)
