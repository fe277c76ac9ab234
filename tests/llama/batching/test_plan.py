from __future__ import annotations

import pytest

from shareai_cli.llama.batching.plan import Step, View, admits, next_step

REPLY = View(pending=1, remaining=10)


def prompt(pending: int, **fields: bool) -> View:
    return View(pending=pending, remaining=10, **fields)


@pytest.mark.parametrize(
    ("views", "pieces"),
    [
        ([], ()),
        ([REPLY], (1,)),
        ([REPLY, REPLY, REPLY], (1, 1, 1)),
        # The oldest prompt comes first, what it leaves goes to the next.
        ([prompt(100), prompt(100)], (50, 0)),
        ([prompt(30), prompt(100)], (30, 20)),
        # Replies get theirs wherever they stand.
        ([prompt(100), REPLY, prompt(100), REPLY], (50, 1, 0, 1)),
        # Who follows another one waits, and does not take what others need.
        ([prompt(100), prompt(100, follows=True), REPLY], (50, 0, 1)),
        ([prompt(20), prompt(100, follows=True), prompt(40)], (20, 0, 30)),
        # After a failure one at a time.
        ([REPLY, prompt(100, alone=True), prompt(100, alone=True), REPLY], (0, 50, 0, 0)),
        ([View(pending=1, alone=True), REPLY], (1, 0)),
    ],
)
def test_a_step_gives_replies_a_token_and_prompts_the_rest(
    views: list[View], pieces: tuple[int, ...]
) -> None:
    """A token for each reply, and together 50 tokens of prompts, the oldest first."""
    assert next_step(views, room=1000, batch=512, piece=50) == Step(pieces)


def test_a_step_is_no_larger_than_the_batch_and_the_room() -> None:
    """llama.cpp ends the process over a larger batch; cells that there are not make it refuse the step."""
    views = [prompt(100), REPLY, prompt(100)]
    assert next_step(views, room=1000, batch=32, piece=50).pieces == (31, 1, 0)
    assert next_step(views, room=8, batch=32, piece=50).pieces == (7, 1, 0)


def test_the_newest_goes_back_where_not_each_can_have_a_cell() -> None:
    """Who is computed needs a cell; the last one never goes back, so that somebody always comes to an end."""
    assert next_step([REPLY, REPLY], room=1, batch=32, piece=50).put_back
    assert next_step([REPLY, REPLY], room=2, batch=32, piece=50) == Step((1, 1))
    assert next_step([prompt(5), prompt(5)], room=1, batch=32, piece=50).put_back
    assert next_step([REPLY, prompt(5, follows=True)], room=1, batch=32, piece=50) == Step((1, 0))
    assert next_step([REPLY], room=0, batch=32, piece=50) == Step((0,))


def test_nobody_joins_where_the_room_is_promised() -> None:
    """Each that runs is promised the rest of its prompt and its reply, of that at most a share."""
    running = [View(pending=30, remaining=500), View(pending=1, remaining=4)]
    promised = (30 + 64) + (1 + 4)
    assert admits(100, running, room=promised + 100, share=64)
    assert not admits(100, running, room=promised + 99, share=64)


def test_whoever_comes_to_an_idle_engine_is_let_in() -> None:
    """Nothing else would ever make more room."""
    assert admits(10_000, [], room=10, share=64)
