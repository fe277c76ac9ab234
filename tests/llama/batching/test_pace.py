from __future__ import annotations

import pytest

from shareai_cli.llama.batching.pace import CANCEL_SECONDS, FIRST, LEAST, SMOOTH_SECONDS, Pace


def test_pieces_of_prompts_fit_into_the_time_that_streams_can_wait() -> None:
    """At 1 000 tokens a second a step with replies takes a tenth of them, one without half of them."""
    pace = Pace()
    assert pace.piece(512, replies=True) == FIRST
    assert pace.piece(8, replies=True) == 8
    pace.took(0.1, prompt=100, reply=0)
    assert pace.piece(512, replies=True) == pytest.approx(1000 * SMOOTH_SECONDS, abs=1)
    assert pace.piece(512, replies=False) == pytest.approx(1000 * CANCEL_SECONDS, abs=1)
    assert pace.piece(64, replies=False) == 64


def test_a_slow_machine_still_reads_prompts() -> None:
    """Below some size a piece would make prompts crawl, at little use for the streams."""
    pace = Pace()
    pace.took(100.0, prompt=100, reply=1)
    assert pace.piece(512, replies=True) == LEAST


def test_speeds_are_those_of_the_last_steps() -> None:
    """Prompts and replies are measured apart; a change shows after some steps, an exception hardly."""
    pace = Pace()
    assert (pace.prompt_tokens_per_second, pace.reply_tokens_per_second) == (0.0, 0.0)
    for _ in range(20):
        pace.took(0.5, prompt=100, reply=0)
        pace.took(0.1, prompt=0, reply=4)
    assert pace.prompt_tokens_per_second == pytest.approx(200)
    assert pace.reply_tokens_per_second == pytest.approx(40)
    pace.took(0.1, prompt=0, reply=40)
    assert 80 < pace.reply_tokens_per_second < 120
    # A few tokens say nothing of the speed of prompts.
    pace.took(5.0, prompt=3, reply=1)
    assert pace.prompt_tokens_per_second == pytest.approx(200)
