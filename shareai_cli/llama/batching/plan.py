"""Which sequences get how much of the next step: pure decisions from figures.

Replies come first, a token each. Prompts share what the pace leaves, the oldest first, and a prompt that
another one is about to compute waits for that one's cells. References: Orca (Yu et al., OSDI 2022) for
scheduling at each iteration, Sarathi-Serve (Agrawal et al., OSDI 2024) for prompts in pieces.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct


class View(Struct, frozen=True, gc=False):
    """A running sequence as the plan sees it."""

    pending: int
    """Tokens to evaluate before one can be drawn, at least 1; 1 for a reply that goes on."""
    remaining: int = 0
    """Tokens that may still be drawn."""
    follows: bool = False
    """An earlier sequence is about to compute what this one can share."""
    alone: bool = False
    """It was part of a step that failed: the next step is its own, to tell who is to blame."""


class Step(Struct, frozen=True):
    """What to do next."""

    pieces: tuple[int, ...] = ()
    """For each sequence the tokens to evaluate now."""
    put_back: bool = False
    """The newest one has to leave the cache first; then plan again."""


def next_step(views: Sequence[View], *, room: int, batch: int, piece: int) -> Step:
    """Share a step of at most `batch` tokens, `piece` of them of prompts, among sequences, the oldest first.

    `room` is how many cells the step can have. Each that is computed needs at least one: when not even these
    are there the newest is put back, so that the oldest always comes to its end.
    """
    chosen = _chosen(views)
    if len(chosen) > room and len(views) > 1:
        return Step(put_back=True)
    pieces = [0] * len(views)
    left = min(batch, room)
    for number in chosen:
        if views[number].pending == 1 and left:
            pieces[number] = 1
            left -= 1
    left = min(left, piece)
    for number in chosen:
        if views[number].pending > 1:
            pieces[number] = min(left, views[number].pending)
            left -= pieces[number]
    return Step(tuple(pieces))


def _chosen(views: Sequence[View]) -> list[int]:
    for number, view in enumerate(views):
        if view.alone:
            return [number]
    return [number for number, view in enumerate(views) if not view.follows]


def admits(need: int, views: Sequence[View], *, room: int, share: int) -> bool:
    """Return whether a sequence that will need `need` more cells may join those that run.

    Each of them is promised the rest of its prompt and of its reply, of the reply at most a `share`:
    what a client may take is often far more than what it takes.
    """
    return not views or room - sum(promised(view, share) for view in views) >= need


def promised(view: View, share: int) -> int:
    """Return the cells that are set aside for a sequence beyond those that it has."""
    return view.pending + min(view.remaining, share)
